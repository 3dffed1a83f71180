"""What one client may ask for, and how much there may be of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingError, check_range
from .budget import BODY_COPIES, RATE

MAX_WINDOW = 25  # of `ras_window`, below the setting's own most: each step looks through so many frames of every row


@dataclass(frozen=True)
class ServerLimits:
    """
    Attributes:
        rows: lines that speak side by side.
        waiting: lines that may wait for a row; more are refused.
        characters: of a text.
        seconds: of sound in one take; a longer text is spoken in several, see `pieces_of`.
        silence_s: that end a take; None: only its end, or `seconds`.
        prepare: texts are prepared for the model where a request does not say.
        reference_seconds: of all reference clips of a request together.
        references: clips in a request.
        positions: of a prompt together with its answer, in the language model; memory is set aside for `rows` of them.
        body_bytes: of a request.
        held_bytes: of memory that all requests together hold, see budget.py; beyond it further ones are refused.
        connections: at once; further ones are refused.
        header_timeout_s: headers that are not whole after so long end the connection.
        receive_timeout_s, send_timeout_s: a client that sends or takes nothing for so long is left.
        hosts: further names by which clients call this server; looked at where no key is asked.
        folders: where references by path may lie; none: paths are refused.
        addresses: beginnings of URLs that references may be fetched from, each with a path; none: URLs are refused.

    Raises:
        SettingError: out of range, or an address that does not end in a slash.
    """

    rows: int = 8
    waiting: int = 64
    characters: int = 4096
    seconds: float = 60.0
    silence_s: float | None = None
    prepare: bool = False
    reference_seconds: float = 30.0
    references: int = 8
    positions: int = 4096
    body_bytes: int = 16 * 2**20
    held_bytes: int = 10**9
    connections: int = 512
    header_timeout_s: float = 10.0
    receive_timeout_s: float = 30.0
    send_timeout_s: float = 60.0
    folders: tuple[Path, ...] = ()
    addresses: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def __post_init__(self):
        for name, high in (
            ("rows", 10_000),
            ("waiting", 1_000_000),
            ("characters", 1_000_000),
            ("references", 1000),
            ("positions", 10_000_000),
            ("body_bytes", 2**32),
            ("held_bytes", 2**50),
            ("connections", 1_000_000),
        ):
            check_range(name, getattr(self, name), 1, high)
        for name in ("seconds", "reference_seconds", "header_timeout_s", "receive_timeout_s", "send_timeout_s"):
            check_range(name, getattr(self, name), 0.04, 36_000.0)
        least = (BODY_COPIES + 1) * self.body_bytes + round(self.reference_seconds * 4 * RATE)
        if self.held_bytes < least:
            raise SettingError(
                "One request may hold more memory than all requests together.",
                got=str(self.held_bytes),
                expected=f"{least} bytes or more, for the largest body and its clips",
                remedy="Allow more to be held (--max-held-mb), or smaller requests (--max-body-mb).",
            )
        for address in self.addresses:
            if not address.startswith(("http://", "https://")) or not address.endswith("/") or address.count("/") < 3:
                raise SettingError(
                    "This URL prefix cannot be allowed.",
                    got=repr(address),
                    expected="http:// or https://, a host and a path that ends in a slash",
                    remedy="Write it like https://voices.example/clips/",
                )
