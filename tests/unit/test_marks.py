"""Marks for the eye as a rule of text preparation: taken away where it is asked for, never in scripts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from helpers_time import grows_linearly
from helpers_workflow import node_classes

from higgs_runtime import RenderJob, RenderSettings, Sampling, parse_script, prepare_text, speech
from higgs_runtime.cli import main
from higgs_runtime.monologue import pieces_of
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.text.marks import plain_words


@pytest.mark.parametrize(
    "written, heard",
    [
        (
            "**Bold** and [a link](https://example.com/x) [1], `code` and ~~strike~~.",
            "Bold and a link, code and strike.",
        ),
        ("***both*** and **bold *in* it**", "both and bold in it"),
        ("un**believ**able, **bold**ly, a*b*c", "unbelievable, boldly, a*b*c"),
        ("E=mc² and a note* and that**.", "E=mc² and a note and that."),
        ("“*Well*” (*yes*), **Note:** this", "“Well” (yes), Note: this"),
        ("Name | Age\n--- | ---\nAnna | 5", "Name, Age\nAnna, 5"),
        ("<details><summary>Hi</summary>there</details>", "  Hi there "),
        ("｜東京《とうきょう》の海（うみ）と本(ほん)（一）", "東京の海と本（一）"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>です", "漢字です"),
        ("_yes_ and __no__, snake_case stays", "yes and no, snake_case stays"),
        ("2 * 3 * 4 and 5*3*2", "2 * 3 * 4 and 5*3*2"),
        ("- item one\n- item two!\n* [x] done", "item one.\nitem two!\ndone."),
        ("-5 degrees", "-5 degrees"),
        ("> quoted\n>> twice", "quoted\ntwice"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b.\n1, 2."),
        ("A word[12] and a note¹ and this.²", "A word and a note and this."),
        ("A note[^1].\n\n[^1]: The text of it.", "A note.\n\nThe text of it."),
        ("[text][ref] here.\n\n[ref]: https://example.com 'T'\n", "text here.\n\n"),
        ("![a picture](a.png) <https://example.com>", "a picture "),
        ("5 km² and x²", "5 km² and x²"),
        ("```python\nprint\n```\nend", "print\nend"),
        ("# Title #\ntext", "Title.\ntext"),
        ("Title\n=====\ntext", "Title.\ntext"),
        ("A <em>word</em><br/> &amp; more<!-- not said -->", "A word  & more"),
        ("\\*not bold\\*", "*not bold*"),
        ("<SE>[Laughter]</SE> <|sfx:cough|>Ahem [laugh] <3", "<SE>[Laughter]</SE> <|sfx:cough|>Ahem [laugh] <3"),
        ("He was nega-\ntive about the well-\nknown house.", "He was negative about the well-known house."),
        (
            "state-of-\nthe-art, e-\nmail, peut-\nêtre, Baden-\nWürttemberg",
            "state-of-the-art, e-mail, peut-être, Baden-Württemberg",
        ),
        ("a co-op is a co-\nop, a foot-\nnote", "a co-op is a co-op, a footnote"),
        ("hard-\nly, high-\ner, sing-\ning", "hardly, higher, singing"),
        ("nega\ufffetive nega\u00ad\ntive nega\x02\ntive nega¬\ntive", "negative negative negative negative"),
        ("An eﬃcient ﬁnd, ﬂat oﬀer", "An efficient find, flat offer"),
        ("A pause — \nthen more -\nand more", "A pause — \nthen more -\nand more"),
    ],
)
def test_a_listener_gets_the_words(written, heard):
    assert plain_words(written) == heard
    assert plain_words(heard) == heard or "\\" in written or "[" in heard, "and nothing more the second time"


def test_it_is_a_rule_that_is_asked_for():
    text = "**Bold** [a link](https://example.com) nega-\ntive"
    assert prepare_text(text, "v3").text == text
    found = prepare_text(text, "native", "en", marks=True)
    assert found.text == "Bold a link negative." and "marks for the eye" in {one.rule for one in found.changes}
    assert [text[found.written_at(0) : found.written_at(4)], found.written_at(len(found.text))] == [
        "**Bold**",
        len(text),
    ]


def test_it_is_off_for_scripts():
    script = parse_script("[Anna] *Well*, it is well-\nknown.")
    [line] = lines_of(
        script, Sampling(), 25.0, max_chars=99, language="en", prepare=partial(prepare_text, layout="native")
    )
    assert line.text == "*Well*, it is well-\nknown."
    job = RenderJob(script=script, voices={}, settings=RenderSettings(language="en"))
    assert job.lines(25.0, "native")[0].text == line.text
    job = replace(job, settings=RenderSettings(language="en", marks=True))
    assert job.lines(25.0, "native")[0].text == "Well, it is well-known."
    assert job.lines(25.0, None)[0].text == line.text, "nothing is prepared"


def test_prepare_text_leaves_them_out_on_wish():
    node, text = node_classes()["HiggsPrepareText"], "**Bold** [a link](https://example.com)."
    asked = {"text": text, "model": "Higgs Audio v3", "language": "en", "spell_numbers": False, "max_chars": 300}
    assert node.execute(**asked).args[0] == text == node.execute(**asked, marks=False).args[0]
    read, report, _ = node.execute(**asked, marks=True).args
    assert read == "Bold a link." and "marks for the eye" in report


def test_say_and_speak_leave_them_out_on_wish(tmp_path, monkeypatch):
    """The model is told what it reads by its own words: Higgs Nano names those that it does not know."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIGGS_MODELS", str(tmp_path))
    seen = []
    monkeypatch.setattr(
        speech, "pieces_of", lambda text, *args, **how: seen.append(how) or pieces_of(text, *args, **how)
    )
    say = ["say", "Good **morning**.", "-o", "a.wav", "--max-seconds", "0.4", "--device", "cpu"]
    assert main(say) == main([*say, "--marks"]) == 0
    assert [(how["prepare"], how["marks"]) for how in seen] == [(False, False), (True, True)]


@pytest.mark.parametrize("layout", ["native", "v3"])
def test_joined_letters_are_parted_for_every_model(layout):
    assert (
        prepare_text("An eﬃcient ﬁnd of nega\ufffetive\uffff.", layout, "en").text == "An efficient find of negative."
    )


PIECES = [
    "*",
    "**a",
    "_a ",
    "`",
    "[a](",
    "[a](b ",
    "![",
    "a-\n",
    "<!--",
    "<em ",
    "&a",
    "\\",
    "> ",
    "- a\n",
    "| a",
    "|--",
    "[1",
    "a\u00ad",
    "~~",
    "#",
    "a",
    " ",
    " |",
    "---\na:",
]


@pytest.mark.parametrize("piece", PIECES)
def test_it_takes_linear_time(piece):
    assert grows_linearly(lambda count: plain_words(piece * count), 2_000)
