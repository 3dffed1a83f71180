"""What is asked of the hub: which files a repository has, and their bytes. Errors of the network in our words.

huggingface_hub comes with transformers, in versions whose HTTP library differs (requests, httpx): only what all of
them share is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..errors import DownloadError, one_sentence
from .releases import Release

TIMEOUT_S = 10.0  # of silence
PIECE = 1 << 16  # bytes
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # in the environment


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes:
        digest: "sha256:…" of large files, "git:…" (SHA-1 of git's blob) of others.
    """

    name: str
    size: int
    digest: str

    @property
    def part(self) -> str:
        """Name while it is fetched; another content has another one."""
        return f"{self.name}.{self.digest.partition(':')[2][:12]}.part"

    def new_digest(self) -> Any:
        if self.digest.startswith("sha256:"):
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


def repository_files(release: Release, revision: str | None) -> tuple[str, list[RemoteFile]]:
    """The commit that a revision (None: the newest) means, and the release's files at it.

    Raises:
        DownloadError: no connection, no access, no such repository or revision, or other files than expected.
    """
    from huggingface_hub import HfApi

    with _errors(release, revision):
        info = HfApi(token=_token()).model_info(
            release.repository, revision=revision, files_metadata=True, timeout=TIMEOUT_S
        )
    if revision and re.fullmatch("[0-9a-f]{40}", revision) and info.sha != revision or not info.sha:
        raise DownloadError(
            f"The hub answers with another revision of {release.repository}.",
            expected=revision or "a commit",
            got=str(info.sha),
            remedy="Is $HF_ENDPOINT a complete mirror? Leave it out.",
        )
    there = {sibling.rfilename: sibling for sibling in info.siblings or []}
    wanted = release.wanted(list(there))
    if "config.json" not in wanted or not any(
        fnmatchcase(name, pattern) for name in wanted for pattern in release.weights
    ):
        raise DownloadError(
            f"{release.repository} does not hold this release at {revision or 'its newest revision'}.",
            expected=f"config.json and {' or '.join(release.weights)}",
            got=", ".join(sorted(there)[:8]) or "no file",
            remedy="Leave the revision out, or name one in this layout.",
        )
    return info.sha, [_described(there[name], release) for name in wanted]


def stream(release: Release, revision: str, file: RemoteFile, start: int) -> Generator[bytes, None, None]:
    """The bytes of a file from `start` on, as they come; they may end early.

    Raises:
        ConnectionError: the connection was lost or the server is overloaded; trying again may help.
        DownloadError: it will not.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(release.repository, file.name, revision=revision)
    headers = {**build_hf_headers(token=_token()), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _errors(release, revision, file.name), _opened(get_session(), url, headers) as (answer, pieces):
        if answer.status_code in (408, 425, 429, 500, 502, 503, 504):
            raise ConnectionError(f"the server answers {answer.status_code}")
        hf_raise_for_status(answer)
        skip = start if answer.status_code == 200 else 0  # it sends the whole
        for piece in pieces:
            if skip:
                skip, piece = max(0, skip - len(piece)), piece[skip:]
            if piece:
                yield piece


@contextmanager
def _opened(session: Any, url: str, headers: dict[str, str]) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """(answer, its bytes) from the session of requests or of httpx."""
    if callable(getattr(session, "stream", None)):  # of requests it is a setting
        with session.stream("GET", url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True) as answer:
            yield answer, answer.iter_bytes()
    else:
        with session.get(url, headers=headers, timeout=TIMEOUT_S, stream=True) as answer:
            yield answer, answer.iter_content(PIECE)


def _described(sibling: Any, release: Release) -> RemoteFile:
    large = sibling.lfs
    digest = f"sha256:{large.sha256}" if large else f"git:{sibling.blob_id}"
    if sibling.size is None or not (large or sibling.blob_id):
        raise DownloadError(
            f"The hub does not say what {sibling.rfilename} of {release.repository} is.",
            expected="its size and checksum",
            got="neither",
            remedy="Is $HF_ENDPOINT a complete mirror? Leave it out.",
        )
    return RemoteFile(sibling.rfilename, sibling.size, digest)


def _token() -> str | bool:
    """From the environment only; False: none, not even one that was stored by a login."""
    return next((os.environ[name] for name in TOKENS if os.environ.get(name)), False)


@contextmanager
def _errors(release: Release, revision: str | None, file: str = "") -> Iterator[None]:
    """Errors of huggingface_hub and of its HTTP library as ours; ConnectionError where another try may help."""
    from huggingface_hub import errors as hub

    at = f"{release.repository} at {revision[:12] if revision else 'its newest revision'}"
    http_error: type[Exception] = hub.HfHubHTTPError.__bases__[0]  # of requests or httpx, whichever this version uses
    try:
        yield
    except hub.OfflineModeIsEnabled as error:
        raise DownloadError(
            "Downloads are switched off.",
            expected="a network",
            got="HF_HUB_OFFLINE=1 in the environment",
            remedy="Unset it and start again, or copy the folder from another computer.",
        ) from error
    except hub.HfHubHTTPError as error:
        raise _refused(error, at, release, file) from error
    except (http_error, OSError, ValueError, KeyError) as error:  # the last two: an answer that is no description
        if file:  # while bytes come
            raise ConnectionError(str(error) or type(error).__name__) from error
        raise DownloadError(
            "The hub cannot be reached.",
            expected=f"an answer about {at}",
            got=str(error) or type(error).__name__,
            remedy="Check the network (and $HF_ENDPOINT, if it is set), then download again.",
        ) from error


def _refused(error: Any, at: str, release: Release, file: str) -> DownloadError:
    from huggingface_hub import errors as hub

    status = error.response.status_code if error.response is not None else 0
    if isinstance(error, hub.GatedRepoError) or status == 403:
        return DownloadError(
            f"Access to {release.repository} is refused.",
            expected="an account that accepted its licence",
            got=f"the answer {status}" + ("" if _token() else " without a token"),
            remedy="Open its page on the hub, log in and accept the licence; then set HF_TOKEN in the environment to a "
            "token of that account with read access.",
        )
    if status == 401:
        return DownloadError(
            f"The hub does not let us read {release.repository}.",
            expected="a token, or an open repository",
            got="a token that is not accepted" if _token() else "no token",
            remedy="Set HF_TOKEN in the environment to a token with read access; if one is set, make a new one.",
        )
    if status == 404:
        missing = (
            f"no {file}"
            if file
            else "no such revision"
            if isinstance(error, hub.RevisionNotFoundError)
            else "no such repository"
        )
        return DownloadError(
            f"There is nothing to download: {at}.",
            expected="the released files",
            got=missing,
            remedy="They may have been moved or deleted: name a --revision that is there, or update this pack.",
        )
    return DownloadError(
        f"The hub refuses {at}.", expected="an answer", got=one_sentence(str(error)), remedy="Try again later."
    )
