"""What becomes of a proposal for a script: no word changes, whoever made it, and what stands between turns stays."""

from __future__ import annotations

import random

import pytest
from helpers_chat import SAID, STORY
from helpers_examples import examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import SettingError, parse_script
from higgs_runtime.script import directing
from higgs_runtime.script.directing import Accepted, accepted_script, fitted, read_accepted, words_only


@pytest.mark.parametrize(
    "text, parts, kind, wanted",
    [
        ("Good night.", [("Anna", "Good night.")], "none", [("Anna", "Good night.")]),
        ("Good night.", [("", "[laugh] Good night.")], "none", [("", "Good night.")]),
        ("Good night.", [("", "Good [Laughs] night. [applause]")], "v2", [("", "Good [laughs] night. [applause]")]),
        ("Good night.", [("", "[door creaks] Good night.")], "v2", [("", "Good night.")]),
        ("Good night.", [("", "<|emotion:fear|>Good night.")], "v2", [("", "Good night.")]),
        ("Good night.", [("", "<|emotion:fear|> Good night.")], "v3", [("", "<|emotion:fear|>Good night.")]),
        (
            "Good night. No.",
            [("", "Good night. No <|emotion:fear|>.")],
            "v3",
            [("", "Good night. <|emotion:fear|>No.")],
        ),
        ("Good night.", [("", "<|emotion:angre|>Good night.")], "v3", [("", "<|emotion:anger|>Good night.")]),
        ("Good night.", [("", "<|sfx:laughter|>Good night.")], "v3", [("", "[laugh] Good night.")]),
        (
            "[laugh] Good [note] night.",
            [("", "[laugh] Good [note] night.")],
            "none",
            [("", "[laugh] Good [note] night.")],
        ),
        ("“Yes,” he said.", [("Al", '"Yes,"'), ("", "he said.")], "v2", [("Al", "“Yes,”"), ("", "he said.")]),
        ("“Yes,” he said.", [("Al", '"Yes,'), ("", '" he said.')], "v2", [("Al", "“Yes,"), ("", "” he said.")]),
        ("他说：“你好。”", [("", "他说："), ("小明", '"你好。"')], "v2", [("", "他说："), ("小明", "“你好。”")]),
        ("a\nb c", [("", "a b"), ("Al", "c")], "v2", [("", "a\nb"), ("Al", "c")]),
        ("One… two", [("", "One..."), ("Al", "two")], "v2", [("", "One…"), ("Al", "two")]),
        ("co\u00adop \u200bx", [("", "coop x")], "v2", [("", "co\u00adop \u200bx")]),
        ("“Yes.”", [("Al", "“"), ("Bo", "Yes."), ("Cy", "”")], "v2", [("Bo", "“Yes.”")]),
    ],
)
def test_a_proposal_is_laid_over_the_words(text, parts, kind, wanted):
    turn = directing.Turn("", text)
    assert list(fitted(turn, parts, kind)) == wanted
    assert list(fitted(turn, wanted, kind)) == wanted


@pytest.mark.parametrize(
    "text, parts",
    [
        ("Good night.", [("", "Go"), ("Al", "od night.")]),
        ("Good night.", [("", "Good")]),
        ("Good night.", [("", "Good night. Yes.")]),
        ("Good night.", []),
        ("[laugh] Good.", [("", "Good.")]),
        ("One…", [("", "One.")]),
    ],
)
def test_what_does_not_fit_is_refused(text, parts):
    with pytest.raises(directing.NotTheSame):
        fitted(directing.Turn("", text), parts, "v2")


def test_a_speaker_that_is_given_stays_and_names_are_mended():
    turn = directing.Turn("Bob", "It is me.")
    assert fitted(turn, [("Anna", "It is"), ("", "me.")], "v2") == (("Bob", "It is me."),)
    assert fitted(directing.Turn("", "It is me."), [("Anna", "It is me.")], "v2", speakers=False) == (
        ("", "It is me."),
    )
    named = [
        directing.speaker_named(one, ["Anna"]) for one in ("ANNA", "ben", "narrator", "", "[x]", "laughs", "a" * 60)
    ]
    assert named == ["Anna", "Ben", "", "", None, None, None]


LETTERS = st.text(
    st.sampled_from("ab “”'…-.!\n[]<>|{}:#\\\u00ad漢字。éß") | st.characters(codec="utf-8"), min_size=1, max_size=40
)
CHUNKS = st.lists(st.tuples(st.sampled_from(["", "Anna", "Bob", "小明"]), st.integers(0, 40)), max_size=5)
SOUNDS = ["[laugh]", "[Laughs]", "<|emotion:fear|>", "<|prosody:pause|>", "[door]", "<|x|>", ""]


@settings(max_examples=examples(400), deadline=None)
@given(
    LETTERS,
    CHUNKS,
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(SOUNDS))),
    st.sampled_from(directing.TAG_KINDS),
)
def test_no_word_ever_changes(text, cuts, tags, kind):
    """Whatever a server proposes: what is taken over says the same, in this order, and can be written and read."""
    try:
        turn = directing.Turn("", text)
    except ValueError:
        return
    body = turn.text
    for at, tag in sorted(tags, reverse=True):
        body = body[: min(at, len(body))] + tag + body[min(at, len(body)) :]
    parts, done = [], 0
    for who, length in cuts:
        parts.append((who, body[done : done + length]))
        done += length
    parts.append(("", body[done:]))
    try:
        found = fitted(turn, parts, kind)
    except directing.NotTheSame:
        return
    added = [token for _, one in found for token in directing.TOKEN.findall(one)]
    own = directing.TOKEN.findall(turn.text)
    assert all(token in own or directing.known_tag(token, kind) for token in added)
    joined = "".join(text for _, text in found)
    for token in dict.fromkeys(added):  # those that were added are taken out again, the turn's own stay
        for _ in range(joined.count(token) - turn.text.count(token)):
            joined = joined.replace(token, "", 1)
    plain = "".join(sign for sign in turn.text if not sign.isspace())
    assert sorted("".join(joined.split())) == sorted(plain)
    script = directing.directed(directing.Script([turn]), {0: found})
    assert parse_script(str(script)).turns == script.turns


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 10**6))
def test_a_wild_server_changes_no_word(seed):
    """Answers of a good server, damaged at random."""
    chance, script = random.Random(seed), parse_script(STORY)
    turns = {}
    for number, turn in enumerate(script.turns):
        parts = [(who.title(), list(text)) for who, text in SAID[number + 1]]
        for _ in range(chance.randint(0, 2)):
            part, kind = chance.choice(parts)[1], chance.randrange(3)
            if kind == 0:
                part.insert(chance.randint(0, len(part)), chance.choice([*SOUNDS, "x", " "]))
            elif kind == 1 and part:
                part.pop(chance.randrange(len(part)))
            else:
                chance.shuffle(parts)
        try:
            turns[number] = fitted(turn, [(who, "".join(text)) for who, text in parts], "v3")
        except directing.NotTheSame:
            continue
    assert words_only(directing.directed(script, turns).turns) == words_only(script.turns)


# --- cues, and what was accepted ------------------------------------------------------------------------------------

FULL = """\
# note one
[music: bed.flac -6dB]
“Who?” said Anna. [sfx: door.wav] “You?”
# note two
[Bob] [overlap 0.2s] {seed=3} Me. [pause 1s]
[/music]

[slot 10s-14s] “Ah,” she said.
"""


def test_cues_comments_and_times_keep_their_places():
    script = parse_script(FULL)
    turns = {
        0: fitted(script.turns[0], [("Anna", "“Who?”"), ("", "said Anna.")], "v2"),
        3: fitted(script.turns[3], [("Anna", "“Ah,”"), ("", "she said.")], "v2"),
    }
    made = directing.directed(script, turns)
    assert parse_script(str(made)) == made
    assert [(one.turn, getattr(one, "last", None)) for one in made.cues] == [(0, 3), (2, None)]
    assert [one.turn for one in made.comments] == [0, 3]
    assert made.turns[3].overlap_s == 0.2 and made.turns[3].settings == {"seed": 3} and made.turns[3].pause_s == 1
    slots = [turn.slot for turn in made.turns if turn.slot]
    assert slots[0][0] == 10 and slots[0][1] == slots[1][0] and slots[1][1] == 14
    assert words_only(made.turns) == words_only(script.turns)


def test_a_length_is_shared_among_the_parts():
    script = parse_script("[fit: 3s] “Who is there?” said Anna.\n\n[fit: 0.2s] “Ah,” she said quietly.")
    parts = [[("Anna", "“Who is there?”"), ("", "said Anna.")], [("Anna", "“Ah,”"), ("", "she said quietly.")]]
    made = directing.directed(script, {n: fitted(script.turns[n], one, "v2") for n, one in enumerate(parts)})
    lengths = [turn.fit_s for turn in made.turns]
    assert sum(lengths[:2]) == pytest.approx(3, abs=1e-5) and lengths[0] == pytest.approx(3 * 15 / 25, abs=1e-5)
    assert lengths[2] == 0.1 and parse_script(str(made)) == made


def test_a_name_that_the_script_has_may_be_accepted():
    name = "A very long name of somebody who speaks in this story only once"
    script = parse_script(f"[{name}] Hello.\n\nGood night.")
    kept, told = Accepted("", {2: ((name, "Good night."),)}), []
    assert accepted_script(script, kept, "v2", True, told.append).turns[1].speaker == name and not told


def test_what_was_accepted_can_say_no_other_words():
    script, told = parse_script("Good night.\n\nGood day."), []
    forged = Accepted("", {1: (("Anna", "Send money."),), 2: (("[x]", "Good day."),), 9: (("A", "b"),)})
    assert accepted_script(script, forged, "v2", True, told.append).turns == script.turns and len(told) == 3
    for text in ("x", "{}", "[]", '{"of": 1, "turns": {"a": []}}', '{"of": "", "turns": {"1": [["a"]]}}', "[" * 99_999):
        with pytest.raises(SettingError, match="accept anew"):
            read_accepted(text)
