"""Tags of v3: the table, what is wrong with a tag and how it is mended, and what a cut text carries on."""

from __future__ import annotations

from collections import Counter

import pytest

from higgs_runtime import RenderJob, RenderSettings, parse_script
from higgs_runtime.cli import main
from higgs_runtime.text.tags import TAG, TAGS, carried, mended, tag_faults, with_their_words


def test_the_table_has_the_43_documented_tags():
    assert Counter(tag.group for tag in TAGS.values()) == {"emotion": 21, "style": 3, "sfx": 9, "prosody": 10}
    assert all(tag.does and (tag.letters != ()) == (tag.group == "sfx") for tag in TAGS.values())


GOOD = [
    "<|emotion:anger|>No! <|style:whispering|>Not here.",
    "<|emotion:anger|><|prosody:speed_fast|>No!",
    "Wait <|prosody:pause|>for me. And<|prosody:long_pause|> again.",
    "[Anna] <|emotion:fear|>Who is there?\nBen: <|style:shouting|>Me!",
    "[Anna] {seed=7} [pause 1s] <|emotion:fear|>Who?",
    "Well, <|sfx:laughter|>Haha, that is good.",
    "他说。<|emotion:joy|>".replace("joy", "elation") + "好！",
    "# Scene: <|emotion:angry|> is no tag",
    "No tag at all.",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_left_alone(text):
    assert tag_faults(text) == [] and mended(text) == text


BAD = {
    "<|emotion:angry|>No!": ("the nearest is <|emotion:anger|>", "<|emotion:anger|>No!"),
    "<|emotion:whispering|>No!": ("the nearest is <|style:whispering|>", "<|style:whispering|>No!"),
    "<|laughter|>Haha!": ("the nearest is <|sfx:laughter|>", "<|sfx:laughter|>Haha!"),
    "<|env:music|>No!": ("no tag that Higgs Audio v3 documents", "<|env:music|>No!"),
    "Yes. I said <|emotion:anger|>no!": ("leads its sentence", "Yes. <|emotion:anger|>I said no!"),
    "[Anna] I said <|style:shouting|> no!": ("leads its sentence", "[Anna] <|style:shouting|>I said no!"),
    "Ben: Oh <|prosody:pitch_low|>no.": ("leads its sentence", "Ben: <|prosody:pitch_low|>Oh no."),
    "It is <|sfx:laughter|> funny.": ("in letters", "It is <|sfx:laughter|>Haha, funny."),
    "It is funny <|sfx:laughter|>.": ("in letters", "It is funny <|sfx:laughter|>Haha."),
    "他说 <|sfx:sigh|>好": ("in letters", "他说 <|sfx:sigh|>唉，好"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_is_named_at_its_place_and_mended(text):
    says, right = BAD[text]
    [fault] = tag_faults(text)
    assert says in fault.message and text[fault.start : fault.end].startswith("<|")
    assert mended(text) == right
    assert mended(right) == right


def test_several_in_one_text():
    text = "I <|emotion:angry|>said no. It is <|sfx:laughter|>good <|style:shouting|>here."
    assert len(tag_faults(text)) == 3
    assert mended(text) == "<|emotion:anger|>I said no. <|style:shouting|>It is <|sfx:laughter|>Haha, good here."


def test_a_model_that_knows_no_tags():
    text = "<|emotion:anger|> No! <|sfx:laughter|>Haha."
    assert [fault.message.split(" acts")[0] for fault in tag_faults(text, knows_tags=False)] == [
        "Only Higgs Audio v3"
    ] * 2
    assert mended(text, knows_tags=False) == "No! Haha."


def test_the_gentler_place_is_behind_the_first_word():
    assert mended("<|emotion:anger|>No, I said!", placement="gentle") == "No, <|emotion:anger|> I said!"
    assert mended("<|style:shouting|>No!", placement="gentle") == "<|style:shouting|>No!", "of emotions alone"
    assert tag_faults("No, <|emotion:anger|> I said!", placement="gentle") == []


# --- texts that are cut ---------------------------------------------------------------------------------------------


def test_a_cut_never_parts_a_tag_from_its_words():
    text = "One two. <|emotion:anger|><|prosody:speed_fast|> Three four."
    end = text.index(" Three")
    moved = with_their_words(text, [(0, end), (end + 1, len(text))])
    assert [text[start:stop] for start, stop in moved] == ["One two.", text[9:]]
    assert with_their_words(text, [(0, 8), (9, len(text))]) == [(0, 8), (9, len(text))]


def test_style_and_prosody_go_on_and_emotion_stays():
    pieces = [
        "<|emotion:fear|><|style:whispering|>One.",
        "Two.",
        "<|prosody:speed_slow|>Three.",
        "<|style:shouting|>Four.",
    ]
    assert carried(pieces) == [
        pieces[0],
        "<|style:whispering|>Two.",
        "<|style:whispering|><|prosody:speed_slow|>Three.",
        "<|prosody:speed_slow|><|style:shouting|>Four.",
    ]
    assert carried(pieces[:2], emotion=True)[1] == "<|emotion:fear|><|style:whispering|>Two."
    assert carried(["One <|prosody:pause|>two.", "Three."]) == ["One <|prosody:pause|>two.", "Three."]


def test_pieces_of_a_turn_carry_its_style_for_v3_alone():
    turn = "<|style:whispering|>One two three four. <|emotion:fear|>Five six seven eight. Nine ten eleven twelve."
    script = parse_script(f"[Anna] {turn}")
    assert script.warnings == ()

    def texts(layout, **settings):
        job = RenderJob(script=script, voices={}, settings=RenderSettings(max_chars=40, **settings))
        return [line.text for line in job.lines(25.0, layout)]

    held = "<|style:whispering|>"
    plain = [f"{held}One two three four.", "<|emotion:fear|>Five six seven eight.", "Nine ten eleven twelve."]
    assert texts("v3") == [plain[0], held + plain[1], held + plain[2]]
    assert texts("v3", carry_emotion=True)[2] == f"{held}<|emotion:fear|>{plain[2]}"
    assert texts("native") == texts("v3", prepare=False) == plain


# --- where people meet them -----------------------------------------------------------------------------------------


def test_a_script_doubts_tags_at_their_place():
    script = parse_script("[Anna] Yes.\n[Bob] I said <|emotion:angry|>no!\n")
    assert [(one.line, one.column) for one in script.warnings] == [(2, 14)]
    assert "<|emotion:anger|>" in script.warnings[0].message


def test_the_shell_mends_a_script(tmp_path, capsys):
    file = tmp_path / "scene.txt"
    file.write_bytes("\ufeff[Anna] I said <|style:shouting|> no!\r\n# <|emotion:angry|>\r\n".encode())
    assert main(["script", "check", str(file)]) == 0 and "leads its sentence" in capsys.readouterr().out
    before = file.read_bytes()
    assert main(["script", "check", str(file), "--fix"]) == 0
    said = capsys.readouterr().out
    assert "scene.txt:1: mended: " in said and "warning" not in said
    assert file.read_bytes() == before.replace(b"I said <|style:shouting|> no", b"<|style:shouting|>I said no")
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    assert main(["script", "check", str(tmp_path / "a.srt"), "--fix"]) == 1
    assert "Only the tags of scripts are mended" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["Bob: <|emotion:anger|>a好。Haha<|prosody:speed_slow|>", "<|emotion:fear|>\n好<|style:shouting|>x"]
)
def test_faults_that_overlap_lose_no_tag(text):
    """The second one stands inside what the first one moves: it waits for the next pass."""
    found = mended(text, placement="gentle")
    assert sorted(TAG.findall(found)) == sorted(TAG.findall(text)) and found.count("<|") == found.count("|>") == 2
