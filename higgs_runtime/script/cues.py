"""From the file's name in a cue to a file, never outside of the folders given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from ..errors import ScriptError


def resolve_cue(path: str, folders: Iterable[str | Path]) -> Path:
    r"""The file that a cue names, in the first of the folders that has it.

    `/` and `\` both separate folders, so that a script works on every system.

    Raises:
        ScriptError: an absolute path, `..` or `~`, a link that leads out of the folder, or no such file.
    """
    folders = [Path(folder) for folder in folders]
    parts = PureWindowsPath(path)
    if parts.anchor or not parts.parts or ".." in parts.parts or path[0] == "~" or "\0" in path:
        raise ScriptError(
            f"The file '{path}' of a cue is refused.",
            expected="a name below a folder of sounds",
            got="a path that may lead elsewhere",
            remedy="Put the file into one and name it there.",
        )
    for folder in folders:
        file = folder.joinpath(*parts.parts)
        if file.is_file():
            if not file.resolve().is_relative_to(folder.resolve()):
                raise ScriptError(
                    f"The file '{path}' of a cue is refused.",
                    expected=f"a file in {folder}",
                    got="a link to elsewhere",
                    remedy="Put the file itself there.",
                )
            return file
    raise ScriptError(
        f"The file '{path}' of a cue is not there.",
        got="none",
        expected="a file in " + (" or ".join(map(str, folders)) or "a folder of sounds"),
        remedy="Put it there, or correct its name in the script.",
    )
