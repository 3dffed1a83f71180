"""Messages: expected, got, remedy; and install commands that agree with what dev.py installs."""

from __future__ import annotations

import dev_env

from higgs_runtime import AudioError, HiggsError, MissingExtraError
from higgs_runtime.errors import EXTRAS


def test_a_message_has_what_expected_got_and_remedy():
    error = AudioError("The clip is odd.", expected="an even one", got="3", remedy="Add one.")
    assert str(error) == "The clip is odd. Expected an even one, got 3. Add one."
    assert isinstance(error, HiggsError) and isinstance(error, ValueError)
    assert str(AudioError("Only this.")) == "Only this."
    assert str(AudioError("Half.", got="3")) == "Half. Got 3."


def test_a_missing_extra_names_commands_that_break_nothing():
    text = str(MissingExtraError("The DAC codec", "dac", "julius"))
    assert "'julius'" in text and "--no-deps" in text
    assert "comfyui-higgs[" not in text  # would install a second runtime beside the pack


def test_the_commands_for_dac_are_what_the_tests_run_with():
    with_lists = " ".join([*dev_env.DAC_PACKAGES, *dev_env.DAC_NEEDS])
    named = " ".join(command.removeprefix("pip install ").removeprefix("--no-deps ") for command in EXTRAS["dac"])
    assert named == with_lists
    readme = (dev_env.ROOT / "README.md").read_text(encoding="utf-8")
    assert all(command in readme for command in EXTRAS["dac"])
