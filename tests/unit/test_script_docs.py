"""docs/script.md says what is true; the report, the `higgs script` command and the nodes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers_workflow import PACK, node_classes

from higgs_runtime import Script, Turn, parse_script
from higgs_runtime.cli import main
from higgs_runtime.script import describe_script
from higgs_runtime.script.grammar import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "script.md").read_text(encoding="utf-8")
HELP = (ROOT / "web" / "docs" / "HiggsScript.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"```\n(.*?)```", DOCS, re.S)
FORMS = dict(re.findall(r"^\| `(.+?)` \|(.*)\|$", DOCS.split("## Forms")[1].split("| setting |")[0], re.M))


def test_the_example_reads_without_a_warning():
    script = parse_script(EXAMPLE)
    assert script.warnings == () and str(script) == EXAMPLE and parse_script(str(replace(script))) == script
    assert [turn.speaker for turn in script.turns] == ["Anna", "Anna", "", "Bob"]
    assert len(script.cues) == 2 and len(script.comments) == 1 and script.turns[3].scene == "a quiet hall at night"
    assert script.cues[0].last == 3 and script.cues[1].before_s == 1


WHAT = {  # of each form: what it leaves, after "Hi." and before "End."
    "[Anna] Hello.": lambda s: s.turns[1] == Turn("Anna", "Hello."),
    "Anna: Hello.": lambda s: s.turns[1].speaker == "Anna",
    "**Anna:** Hello.": lambda s: s.turns[1] == Turn("Anna", "Hello."),
    "Wait. [pause] Now!": lambda s: s.turns[0].pause_s == 0.8 and s.turns[1].text == "Now!",
    "[SPEAKER0] Hello.": lambda s: s.turns[1].speaker == "SPEAKER0",
    "and welcome.": lambda s: s.turns[0].text == "Hi.\nand welcome.",
    "The door opens.": lambda s: s.turns[0].text.endswith("opens."),
    "Wait. [pause 0.8s] Now!": lambda s: s.turns[0].pause_s == 0.8 and s.turns[1].text == "Now!",
    "[Bob] [overlap 0.3s] No!": lambda s: s.turns[1].overlap_s == 0.3,
    "[Bob] [slot 12.5s-14s] No!": lambda s: s.turns[1].slot == (12.5, 14),
    "[Bob] [fit: 2.4s] No!": lambda s: s.turns[1].fit_s == 2.4 and s.turns[1].slot is None,
    "[Bob] {seed=7 gain=-3dB} No!": lambda s: s.turns[1].settings == {"seed": 7, "gain": -3},
    "Look! [sfx: door.wav -6dB] There!": lambda s: s.cues[0].turn == 1 and s.cues[0].gain_db == -6,
    "[music: bed.flac -12dB fade=2s duck] Hi. [/music]": lambda s: s.cues[0].duck and s.cues[0].last == 1,
    "# Scene: quiet room": lambda s: s.turns[1].scene == "quiet room",
    "# a note": lambda s: s.comments[0].turn == 1,
    r"\[Anna] is a name.": lambda s: "[Anna] is" in s.turns[0].text,
    "[laugh] Very good!": lambda s: s.turns[0].text == "Hi.\n[laugh] Very good!",
}


def test_every_form_has_its_check():
    assert set(FORMS) == set(WHAT)


@pytest.mark.parametrize("form", WHAT)
def test_each_form_does_what_it_says(form):
    script = parse_script(f"Hi.\n{form}\n\nEnd.")
    assert WHAT[form](script) and script.warnings == ()


def test_every_setting_stands_there_with_its_range():
    table = DOCS.split("| setting |")[1].split("**Files**")[0].replace("−", "-").replace("⁶⁴", "**64")
    rows = [(names, ranges) for names, ranges in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.M)]
    found = {}
    for names, ranges in rows:
        for name, span in zip(re.findall(r"`(\w+)`", names), ranges.split(", "), strict=True):
            low, high = span.removesuffix(" dB").split(" to ")
            found[name] = (eval(low), eval(high))  # "2**64-1"
    assert found == {name: (setting.least, setting.most) for name, setting in SETTINGS.items()}


def test_the_python_example():
    [code] = re.findall(r"```python\n(.*?)```", DOCS, re.S)
    names = {"parse_script": parse_script, "replace": replace, "text": "[A] x"}
    for line in code.splitlines():
        exec(line, names) if " = " in line else None
        assert " == " not in line or eval(line, names)


def test_the_help_page_of_the_node_has_the_same_forms():
    for form in re.findall(r"^\| `(.+?)` ", HELP.split("## Use")[1], re.M):
        parse_script(f"Hi.\n{form}\n\nEnd.")


def test_report():
    lines = describe_script(parse_script(EXAMPLE + "\nScene: end\n" + "long " * 50)).splitlines()
    assert lines[:3] == [
        "5 turns · 3 speakers · 1 scene · 2 cues · 1 warning",
        "Anna 2, narrator 2, Bob 1",
        "! 13:1 This is spoken. A scene header begins with '#': '# Scene: …'.",
    ]
    assert lines[3] == "     # Scene: a quiet hall at night"
    assert lines[4] == "     [music: bed.flac -12dB fade=2s duck] under 1 to 4, 3 s before"
    assert lines[5] == "   1 [Anna] {seed=7 temperature=0.6} Who is there? … 0.8 s"
    assert lines[8] == "   3 [narrator] The door opens."
    assert lines[7] == '     [sfx: "old door [2].wav" -6dB], 1 s before' and len(lines[-1]) < 90
    assert describe_script(Script([Turn("A", "x")])).startswith("1 turn · 1 speaker · 0 scenes")


# --- the command ----------------------------------------------------------------------------------------------------


def check(capsys, tmp_path, text: str | bytes, name: str = "a.txt", *more: str) -> tuple[int, str, str]:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    status = main(["script", "check", str(tmp_path / name), *more])
    out, err = capsys.readouterr()
    return status, out.replace(str(tmp_path), ""), err


def test_check_points_at_an_error(capsys, tmp_path):
    status, out, err = check(capsys, tmp_path, "[A] hi\n[B] {sed=1} x")
    assert (status, err) == (1, "") and out.startswith("/a.txt:2:6: error: This setting cannot be read.")


def test_check_lists_warnings_and_turns(capsys, tmp_path):
    assert check(capsys, tmp_path, EXAMPLE) == (0, "", "")
    status, out, _ = check(capsys, tmp_path, "hi\n [anna] x", "a.txt", "--turns")
    assert status == 0 and out.startswith("/a.txt:2:2: warning: '[anna]' is read as text") and "1 turn ·" in out


def test_check_of_subtitles(capsys, tmp_path):
    pytest.importorskip("pysubs2")
    status, out, _ = check(capsys, tmp_path, "1\n00:00:01,000 --> 00:00:01,000\nhi\n", "a.srt")
    assert (status, out) == (0, "/a.srt: warning: The subtitle at 0:00:01.000 has no duration; it is given 1 s.\n")


def test_check_of_an_unreadable_script(capsys, tmp_path):
    status, out, err = check(capsys, tmp_path, "Grüße".encode("latin-1"))
    assert (status, out) == (1, "") and "UTF-8" in err
    assert main(["script", "check", str(tmp_path / "none.txt")]) == 1
    assert "could not be read" in capsys.readouterr().err


# --- the nodes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    classes = node_classes()
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    return classes


def test_script_node(nodes):
    default = next(one.default for one in nodes["HiggsScript"].GET_SCHEMA().inputs if one.id == "text")
    script, report, *_ = nodes["HiggsScript"].execute(default).args
    assert [turn.speaker for turn in script.turns] == ["Anna", "Anna", "Bob", ""] and script.warnings == ()
    assert report == describe_script(parse_script(default)) and str(script) == default
    runtime = __import__(f"{PACK}.higgs_runtime", fromlist=["ScriptError"])
    with pytest.raises(runtime.ScriptError, match="Line 2, column 5"):
        nodes["HiggsScript"].execute("[A] x\n[B] {sed} y".replace("{sed}", "[pause 1s]"))


def test_load_subtitles_node(nodes, tmp_path):
    pytest.importorskip("pysubs2")
    node = nodes["HiggsLoadSubtitles"]
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nAnna: hi\n")
    (tmp_path / "b.wav").write_text("")
    assert node.GET_SCHEMA().inputs[0].options == ["a.srt"]
    before = node.fingerprint_inputs("a.srt")
    script, report, *_ = node.execute("a.srt").args
    assert [(turn.speaker, turn.slot) for turn in script.turns] == [("Anna", (1.0, 2.0))] and "[slot 1s-2s]" in report
    assert node.validate_inputs("a.srt") is True and "no file" in node.validate_inputs("c.srt")
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nAnna: bye\n")
    assert node.fingerprint_inputs("a.srt", descriptions=False) != before
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nAnna: (SIGHS) bye\n")
    for stay, words in ((False, "bye"), (True, "(SIGHS) bye")):
        script, report, *_ = node.execute("a.srt", descriptions=stay).args
        assert script.turns[0].text == words and ("SIGHS" in report) == (not stay or "SIGHS" in words)
