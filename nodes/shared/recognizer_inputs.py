"""Who listens to takes, and what fails one: inputs that several nodes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from comfy_api.latest import io

from ..host import files
from .settings import setting_input

if TYPE_CHECKING:
    from ...higgs_runtime.verification import Recognizer

AUTO, NONE = "auto", "none"


class Listener(NamedTuple):
    """A recognizer and the name it goes by."""

    name: str
    recognizer: Recognizer


def recognizer_input(auto: str, *, needed: bool = False) -> io.Input:
    """The choice of a recognizer; `auto` says what that means in this node."""
    from ...higgs_runtime.verification import find_recognizers

    return io.Combo.Input(
        "recognizer",
        options=[AUTO, *([] if needed else [NONE]), *find_recognizers(files.model_folders())],
        default=AUTO,
        tooltip=f"Listens to every take (extra 'asr'). auto: {auto}.{'' if needed else ' none: nobody listens.'}",
    )


def limit_inputs() -> list[io.Input]:
    """From where on a take fails; the names are those of `Limits`."""
    return [setting_input(name, optional=True) for name in ("max_wer", "max_cer", "min_similarity")]


def find_listener(choice: str, language: str) -> Listener | None:
    """The recognizer that a choice means; None where nobody listens.

    "auto" takes the first one that knows the language, and nobody where there is none, or an extra is missing.

    Raises:
        CheckpointError, MissingExtraError, SettingError: one that was chosen cannot be loaded, or not in this language.
    """
    from ...higgs_runtime import SettingError
    from ...higgs_runtime.text.languages import base_language
    from ...higgs_runtime.verification import first_recognizer

    if choice == NONE:
        return None
    if choice == AUTO:
        found = first_recognizer(language, files.model_folders())
        return Listener(*found) if found else None
    recognizer = load_named(choice)
    if language and base_language(language) not in recognizer.languages:
        raise SettingError(
            f"The recognizer '{choice}' does not know this language.",
            got=f"'{language}'",
            expected="one of " + ", ".join(recognizer.languages[:12]),
            remedy="Choose another recognizer, or none.",
        )
    return Listener(choice, recognizer)


def load_named(name: str):
    """The recognizer of a choice. The runtime would take the path of any folder, which a workflow must not name.

    Raises:
        CheckpointError: there is no such choice, or as `load_recognizer`.
        MissingExtraError: as `load_recognizer`.
    """
    from ...higgs_runtime import CheckpointError, load_recognizer
    from ...higgs_runtime.verification import find_recognizers

    folders = files.model_folders()
    found = find_recognizers(folders)
    if name not in found:
        raise CheckpointError(
            f"There is no speech recognizer '{name}' to choose.",
            got=f"'{name}'",
            expected=", ".join(found) or f"one in {folders[0]}/recognizers",
            remedy="Choose another one, and press R.",
        )
    return load_recognizer(name, folders=folders)
