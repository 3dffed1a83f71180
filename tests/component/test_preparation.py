"""What a text becomes before a model reads it: each rule, what it says it did, and that nothing else happens."""

from __future__ import annotations

import sys
from functools import partial

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_examples import examples
from helpers_rendering import rendered
from helpers_workflow import node_classes
from hypothesis import given, settings, strategies as st

from higgs_runtime import (
    AudioClip,
    HiggsWarning,
    MissingExtraError,
    RenderSettings,
    Sampling,
    SettingError,
    TakeStore,
    Voice,
    build_prompt,
    conversation,
    generate,
    load_model,
    parse_script,
    prepare_text,
    speak,
)
from higgs_runtime.cli import main
from higgs_runtime.model.config import V2_SAMPLING
from higgs_runtime.model.tokenizer import CONTROL
from higgs_runtime.rendering.lines import lines_of
from higgs_runtime.script.grammar import SOUND_WORDS
from higgs_runtime.takes import ModelIdentity, take_key
from higgs_runtime.text import languages as language_module
from higgs_runtime.text.languages import LANGUAGES, detect_language, languages_of
from higgs_runtime.text.normalize import RULES, Change
from higgs_runtime.text.sound_tags import V2, V3

# Boson AI's example: what its normalize_chinese_punctuation maps to what.
FULL_WIDTH = {
    "。": ".",
    "：": ":",
    "；": ";",
    "？": "?",
    "！": "!",
    "【": "[",
    "】": "]",
    "《": "<",
    "》": ">",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "、": ",",
    "—": "-",
    "…": "...",
    "·": ".",
    "「": '"',
    "」": '"',
    "『": '"',
    "』": '"',
}
QUICK = settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)


@pytest.fixture
def without(monkeypatch):
    def hide(package):
        monkeypatch.setitem(sys.modules, package, None)
        # Looked for anew, while what is loaded stays for the tests that follow.
        monkeypatch.setattr(language_module, "_identifier", language_module._identifier.__wrapped__)

    return hide


@pytest.mark.parametrize("mark", FULL_WIDTH)
def test_full_width_punctuation_as_in_the_example(mark):
    found = prepare_text(f"好{mark}好.", "native", "zh")
    assert found.text == f"好{FULL_WIDTH[mark]}好."
    assert [one.rule for one in found.changes] == ["full-width punctuation"]
    assert prepare_text(f"好{mark}好.", "v3", "zh").text == f"好{mark}好."


@pytest.mark.parametrize(
    "text, expected",
    [
        ("你好，世界", "你好, 世界."),
        ("“好，”他说。", '"好,"他说.'),
        ("a， b", "a, b."),
        ("说，“好”", '说, "好"'),
        ("col·lecció", "col·lecció."),
        ("（笑）好", "笑 好."),
        ("Yes (no) yes", "Yes no yes."),
        ("See http://a.org/b_(c) now", "See http://a.org/b_(c) now."),
        ("20°C today", "20 degrees Celsius today."),
        ("At 70 °F.", "At 70 degrees Fahrenheit."),
        ("°Cx", "°Cx."),
        ("  a \t b\u00a0c \r\n\n d\u3000e ", "a b c\nd e."),
        ("so\u00adft \ufeffwo\u200brd", "soft word."),
        ("می\u200cخواهم", "می\u200cخواهم."),
        ("Wait,", "Wait,"),
        ("क्या।", "क्या।"),
        ("Hello", "Hello."),
        ("", ""),
        (" \n ", ""),
        ("He said: 'no'", "He said: 'no'"),
        ("50%", "50%."),
        ("[laugh]", "<SE>[Laughter]</SE>"),
    ],
)
def test_rules_of_v2(text, expected):
    assert prepare_text(text, "native", "en").text == expected
    assert prepare_text(text, "original", "en").text == expected


@pytest.mark.parametrize(
    "language, said",
    [
        ("de", "20 Grad Celsius."),
        ("fr", "20 degrés Celsius."),
        ("zh", "20摄氏度."),
        ("zh-CN", "20摄氏度."),
        ("ja", "20 °C."),
    ],
)
def test_degrees_in_the_language_of_the_text(language, said):
    assert prepare_text("20 °C", "native", language).text == said


def test_v3_reads_text_as_it_stands():
    text = "“Yes” (no)，20 °C… [SPEAKER0] <|emotion:anger|>no"
    assert prepare_text(text, "v3") == prepare_text(text, "v3", detect=False) and prepare_text(text, "v3").text == text


@pytest.mark.slow
def test_the_report_says_all_that_happened():
    found = prepare_text("你好，世界。我很好，[laugh]", "native")
    assert found.changes == (
        Change("full-width punctuation", "，", ", ", 2),
        Change("full-width punctuation", "。", "."),
        Change("sounds", "[laugh]", "<SE>[Laughter]</SE>"),
    )
    report = prepare_text("One  two  three. [sigh]", detect=True).report(12)
    assert report.splitlines()[0] == "Language: en"
    assert "spaces: '  ' → ' ' ×2" in report and "! [sigh] is no sound that Higgs Audio v2 makes" in report
    assert "   1 One two" in report and "piece" in report
    assert "No rule changed anything." in prepare_text("Hello.").report()


@pytest.mark.parametrize(
    "text, v2, v3",
    [
        ("[laugh] Very good!", "<SE>[Laughter]</SE> Very good!", "<|sfx:laughter|>Haha, Very good!"),
        ("So [LAUGHS], well.", "So <SE>[Laughter]</SE>, well.", "So <|sfx:laughter|>Haha, well."),
        ("[cough] Ahem, yes.", "<SE>[Cough]</SE> Ahem, yes.", "<|sfx:cough|>Ahem, yes."),
        ("[laugh]  Haha!", "<SE>[Laughter]</SE> Haha!", "<|sfx:laughter|>Haha!"),
        ("哈[laugh]好。", "哈<SE>[Laughter]</SE>好.", "哈<|sfx:laughter|>哈哈，好。"),
        ("【laugh】好。", "<SE>[Laughter]</SE>好.", "【laugh】好。"),
        ("No. [whisper] Come.", None, "No. <|style:whispering|>Come."),
        ("[humming start] la [humming end]", "<SE>[Humming]</SE> la <SE_e>[Humming]</SE_e>", None),
        (
            "<SE>[Laughter]</SE> <|sfx:cough|>Ahem.",
            "<SE>[Laughter]</SE> <|sfx:cough|>Ahem.",
            "<SE>[Laughter]</SE> <|sfx:cough|>Ahem.",
        ),
    ],
)
def test_sound_words(text, v2, v3):
    for layout, expected in (("native", v2), ("v3", v3)):
        found = prepare_text(text, layout)
        if expected is None:
            assert found.warnings and "[" in found.text
        else:
            assert found.text == expected and not found.warnings


@pytest.mark.parametrize(
    "said, layout, warning",
    [
        ("[laght]", "native", "the nearest is [laugh]."),
        ("[sneze]", "v3", "the nearest is [sneeze]."),
        ("[sighs]", "native", "it makes [applause], [cheering],"),
        ("[clears throat]", "v3", "it makes [burp], [cough],"),
        ("[music start]", "v3", "is no sound that Higgs Audio v3 makes"),
    ],
)
def test_an_unknown_sound_word_stays_and_warns(said, layout, warning):
    found = prepare_text(f"Well {said} then {said}.", layout)
    assert found.text == f"Well {said} then {said}." and len(found.warnings) == 1 and warning in found.warnings[0]


@pytest.mark.parametrize("said", ["[SPEAKER0]", "[Anna]", "[1]", "[see the note about that]", "[]", "[笑]"])
def test_other_brackets_are_text(said):
    found = prepare_text(f"{said} yes.")
    assert found.text == f"{said} yes." and not found.warnings


def test_scripts_take_every_sound_word_as_text():
    for word in (*V2, *V3):
        assert word.split()[0] in SOUND_WORDS
        script = parse_script(f"[Anna] Hi.\n[{word}] Well.")
        assert script.warnings == () and script.turns[0].text == f"Hi.\n[{word}] Well."
    assert all(CONTROL.fullmatch(form[0]) for form in V3.values())


@pytest.mark.parametrize(
    "text, language, expected",
    [
        (
            "In 1984 I had 1,234.5 apples, or 7.",
            "en",
            "In nineteen eighty-four I had one thousand, two hundred and thirty-four point five apples, or seven.",
        ),
        ("The 3rd of 21", "en", "The third of twenty-one."),
        ("Es sind 1.234,5 Mal", "de", "eintausendzwei"),
        ("Il y en a 12 345", "fr", "douze mille trois cent quarante-cinq"),
        (
            "At 12:30 R2D2 paid $5, 50% of A4, http://a.b/3 [take 2] 2026-11-25 1.2.3.",
            "en",
            "At 12:30 R2D2 paid $5, 50% of A4, http://a.b/3 [take 2] 2026-11-25 1.2.3.",
        ),
    ],
)
def test_figures_that_stand_alone_in_words(text, language, expected):
    assert expected in prepare_text(text, "native", language, spell_numbers=True).text
    assert any(mark.isdigit() for mark in prepare_text(text, "native", language).text)


def test_figures_in_a_language_that_is_not_known_stay():
    found = prepare_text("有 12 个。", "native", "zh", spell_numbers=True)
    assert found.text == "有 12 个." and "'zh'" in found.warnings[0]


LONG = {
    "en": "The old lighthouse keeper smiled and went down to the harbour.",
    "ko": "한국어 문장입니다.",
    "th": "ภาษาไทย",
    "de": "Der alte Leuchtturmwärter lächelte und ging zum Hafen hinunter.",
    "el": "Αυτό είναι ένα σπίτι.",
    "fr": "Le vieux gardien du phare sourit et descendit vers le port.",
    "he": "זה בית גדול.",
    "ja": "東京はとても大きい。",
    "ru": "Старый смотритель маяка улыбнулся и спустился в гавань.",
    "zh": "今天天气很好。",
    "uk": "Старий доглядач маяка посміхнувся і пішов до гавані, щоб зустріти їх.",
    "ar": "ابتسم حارس المنارة العجوز.",
    "hi": "बूढ़ा रखवाला मुस्कुराया और बंदरगाह की ओर चला गया।",
    "fa": "نگهبان پیر فانوس دریایی لبخند زد و به بندر رفت.",
}


@pytest.mark.parametrize("language", LONG)
def test_languages_are_distinguished(language):
    guess = detect_language(LONG[language] + " [laugh] https://example.org/some/english/words <|sfx:laughter|>")
    assert guess.language == language and guess.confidence > 0.5 and guess.language in languages_of(LONG[language])


def test_the_writing_system_narrows_the_choice():
    """langid alone may call a few Cyrillic letters anything."""
    assert detect_language("да").language in LANGUAGES["CYRILLIC"]
    assert detect_language("12 … !") is None and detect_language("") is None


def test_without_langid(without):
    without("langid.langid")
    assert detect_language("한국어").language == "ko"
    with pytest.raises(MissingExtraError, match="pip install langid jieba num2words"):
        detect_language("Hello.")
    found = prepare_text("It is 20 °C", "native")
    assert found.text == "It is 20 degrees Celsius." and found.language == "" and "'langid'" in found.warnings[0]
    assert prepare_text("Hello.", "native").warnings == ()


def test_without_num2words(without):
    without("num2words")
    with pytest.raises(MissingExtraError, match="num2words"):
        prepare_text("I have 3.", "native", "en", spell_numbers=True)
    assert prepare_text("I have 3.", "native", "en").text == "I have 3."


def test_an_unknown_layout():
    with pytest.raises(SettingError, match="native, original, v3"):
        prepare_text("Hi.", "v4")


PIECES = [
    "[laugh]",
    "[sigh]",
    "Haha",
    "，",
    "。",
    "（",
    "）",
    "《",
    "》",
    "“",
    "…",
    "·",
    "°",
    "C",
    "20",
    "1,5",
    "\n",
    "\n\n",
    "  ",
    "\u00ad",
    "\u3000",
    "<SE>",
    "</SE>",
    "[",
    "]",
    "<|sfx:sigh|>",
    "http://a.b",
    "l",
    "好",
    "word",
    ".",
    "\r",
    "é",
    "\u200d",
    "👍🏽",
    "[LAUGH]",
    "°F",
    "3rd",
    "\ud800",
    "]laugh[",
]


@QUICK
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=10).map("".join),
    st.sampled_from(["native", "v3"]),
    st.booleans(),
)
def test_preparing_twice_changes_nothing_more_and_no_letter_is_lost(text, layout, spell):
    found = prepare_text(text, layout, "en", spell_numbers=spell)
    again = prepare_text(found.text, layout, "en", spell_numbers=spell)
    assert again.text == found.text, again.changes
    assert (found.text == text) == (not found.changes)
    if layout == "native" and not spell and "°" not in text and "[" not in text and "【" not in text:
        assert [one for one in text if one.isalnum()] == [one for one in found.text if one.isalnum()]


SLOW_FILLERS = [pytest.param(one, marks=pytest.mark.slow) for one in (" ", "\n", "(")]


@pytest.mark.parametrize("filler", ["[laugh] ", "，", *SLOW_FILLERS, "°", "1,", "·", "<SE>", "[", "http://"])
def test_a_long_hostile_text_takes_linear_time(filler):
    assert prepare_text(filler * 20_000, "native", "en", spell_numbers=True) is not None


def test_every_rule_has_a_case():
    """The names that people see in reports."""
    text = "a\u00ad，(b) 20 °C  [laugh] *ﬁ* 3"
    seen = {one.rule for one in prepare_text(text, "native", "en", spell_numbers=True, marks=True).changes}
    assert seen == {name for name, _, _ in RULES}


# --- where it is used -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.0))


@pytest.mark.parametrize("prepare, read", [(True, "你好, <SE>[Laughter]</SE> [sigh]"), (False, "你好，[laugh] [sigh]")])
def test_a_script_is_rendered_as_it_is_prepared(model, tmp_path, prepare, read):
    script, voices = parse_script("[Anna] 你好，[laugh] [sigh]"), {"Anna": Voice(description="Warm.")}
    sampling, store = Sampling(seed=3, max_frames=6), TakeStore(tmp_path)
    identity = ModelIdentity("of a test", "cpu", "float32", "float32", None, (), V2_SAMPLING)
    found = rendered(script, voices, model, sampling, RenderSettings(prepare=prepare), store=store, identity=identity)
    [spoken] = found.lines
    prompt = build_prompt(conversation(read + "." * prepare, [voices["Anna"]]), model.tokenizer)
    [alone] = generate(model, [prompt], sampling)
    assert spoken.take.codes.ids.equal(alone.codes.ids) and spoken.line.text == read + "." * prepare
    assert (spoken.take.meta["text"], spoken.take.meta["read"]) == (script.turns[0].text, spoken.line.text)
    assert spoken.key == take_key(prompt, sampling, identity, model.config.codec_identity)
    assert bool(found.warnings) == prepare and all("[sigh]" in warning for warning in found.warnings)


def test_lines_are_pieces_of_the_prepared_turn():
    script = parse_script("[Anna] One (two) three.  Four 5.\n\n()")
    lines = lines_of(
        script,
        Sampling(),
        25.0,
        max_chars=15,
        language="en",
        prepare=partial(prepare_text, layout="native", spell_numbers=True),
    )
    assert [line.text for line in lines] == ["One two three.", "Four five."], "marks alone are silence"
    assert [line.written for line in lines] == ["One (two) three.", "Four 5."]
    [first] = lines_of(script, Sampling(), 25.0, max_chars=80)
    assert first.text == "One (two) three.  Four 5."


def test_speak_reads_the_exact_text_unless_asked():
    """Higgs Nano says which words it was given and does not know."""
    few = {"sampling": Sampling(max_frames=4), "voice": Voice(description="Warm.")}
    with pytest.warns(HiggsWarning) as prepared:
        asked = speak("[laugh] Good morning [sneeze]", prepare=True, **few)
    said = [str(one.message) for one in prepared]
    assert (
        said[0].startswith("[sneeze] is no sound")
        and ": laughter, sneeze;" in said[1]
        and len(said) == 3
        and "cut off" in said[2]
    )
    with pytest.warns(HiggsWarning, match=": laugh, sneeze;"):
        speak("[laugh] Good morning [sneeze]", **few)
    with pytest.warns(HiggsWarning):
        assert asked.samples.equal(speak("<SE>[Laughter]</SE> Good morning [sneeze].", **few).samples)


def test_say_prepares_if_asked(monkeypatch, tmp_path):
    asked = []

    def spoken(text, voice, **settings):
        asked.append((text, settings["prepare"]))
        return AudioClip(torch.zeros(1, 9), 24_000)

    monkeypatch.setattr("higgs_runtime.speech.speak", spoken)
    for more in ([], ["--prepare"]):
        assert main(["say", "[laugh] Hi", "-o", str(tmp_path / "a.wav"), *more]) == 0
    assert asked == [("[laugh] Hi", False), ("[laugh] Hi", True)]


def test_script_check_shows_what_the_model_reads(capsys, tmp_path):
    (tmp_path / "a.txt").write_text("[Anna] [laugh] It is 20 °C\n\nWell.", encoding="utf-8")
    assert main(["script", "check", str(tmp_path / "a.txt"), "--prepared", "v2"]) == 0
    out = capsys.readouterr().out
    assert "   1 <SE>[Laughter]</SE> It is 20 degrees Celsius.\n     degrees: ‘ °C’ → ‘ degrees Celsius’" in out
    assert out.endswith("   2 Well.\n")
    assert main(["script", "check", str(tmp_path / "a.txt"), "--prepared", "v3"]) == 0
    assert "<|sfx:laughter|>Haha, It is 20 °C" in capsys.readouterr().out


def test_the_node_shows_text_and_report():
    node = node_classes()["HiggsPrepareText"]
    text, report, _ = node.execute("[laugh] 你好，我 12", "Higgs Audio v2", "", False, 20).args
    assert text == "<SE>[Laughter]</SE> 你好, 我 12." and report.startswith("Language: zh\n") and "2 pieces" in report
    text, report, _ = node.execute("Hi [laugh]", "Higgs Audio v3", " en-GB ", False, 300).args
    assert text == "Hi <|sfx:laughter|>Haha" and report.startswith("Language: en\n")
    assert "I have three." in node.execute("I have 3", "Higgs Audio v2", "en", True, 300).args[0]
    assert node.execute("", "Higgs Audio v2", "", True, 300).args[0] == ""
