"""What an edit changes: from two texts to spans of words, and from words to cuts, joins and patches."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import AudioClip, SettingError
from higgs_runtime.cli.edit import replaced
from higgs_runtime.editing.changes import before, behind, changes_of, written
from higgs_runtime.editing.join import MARGIN_S, Patch, fitting_gain, part, patched, quiet_cut, roughness, spread
from higgs_runtime.verification import spoken_tokens

RATE = 24_000
OLD = "The red bird is on the old bridge. The weather is good today."


def plan(old: str, new: str, language: str = "en"):
    ours, theirs = spoken_tokens(old, language), spoken_tokens(new, language)
    return [
        (written(ours[one.first : one.stop], language), written(theirs[one.new_first : one.new_stop], language))
        for one in changes_of(ours, theirs, language)
    ]


# --- which words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "changes"),
    [
        (OLD, []),
        (OLD.lower().replace(".", " …"), []),
        (OLD.replace("red", "blue"), [("red", "blue")]),
        (OLD.replace("red ", ""), [("red", "")]),
        (OLD.replace("red", "big red"), [("", "big")]),
        (OLD.replace("red", "blue").replace("good", "very bad"), [("red", "blue"), ("good", "very bad")]),
        (f"Hello. {OLD}", [("", "Hello.")]),
        (f"{OLD} Goodbye.", [("", "Goodbye.")]),
        ("Weather is good today.", [("The red bird is on the old bridge. The", "")]),
        ("One two three.", [(OLD, "One two three.")]),
    ],
)
def test_only_words_that_differ_are_changed(new, changes):
    assert plan(OLD, new) == changes


def test_the_changes_make_the_new_text_of_the_old_one():
    words = "a b c d e f g a b c".split()
    generator = torch.Generator().manual_seed(3)
    for _ in range(200):
        picks = torch.randint(0, 10, (2, 12), generator=generator).tolist()
        old, new = ([words[n] for n in row] for row in picks)
        made, done = [], 0
        for one in changes_of(old, new):
            assert one.first > done or not made, "a kept word lies between two"
            made += [*old[done : one.first], *new[one.new_first : one.new_stop]]
            done = one.stop
        assert made + old[done:] == new


def test_languages_without_spaces_are_changed_sign_by_sign():
    assert plan("今天天气很好。", "今天天气很冷。", "zh") == [("好。", "冷。")]
    assert plan("今天天气很好。", "今天天气真的很好。", "zh") == [("", "真的")]


@pytest.mark.parametrize("text", ["我用 iPhone 15 打电话 hello, world 了。", "今日は iPhone Pro を買った", "“OK” 3 个"])
def test_foreign_words_in_such_languages_stay_apart(text):
    words = spoken_tokens(text, "zh")
    assert spoken_tokens(written(words, "zh"), "zh") == words


def test_the_sentence_around_a_change_in_whole_words():
    words = OLD.split()
    assert before(words, 1, 100) == 0 and before(words, 11, 100) == 8
    assert before(words, 8, 100) == 0, "at the beginning of a sentence the one before"
    assert before(words, 7, 9) == 5 and before(words, 0, 100) == 0
    assert behind(words, 2, 100) == 8 and behind(words, 8, 100) == 8 and behind(words, 9, 100) == 13
    assert behind(words, 2, 7) == 3


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["red=blue"], OLD.replace("red", "blue")),
        (["red =", "good=bad"], "The  bird is on the old bridge. The weather is bad today."),
        (["=Goodbye."], f"{OLD} Goodbye."),
    ],
)
def test_replacing_words_on_the_shell(pairs, text):
    assert replaced(OLD, pairs) == text


def test_on_the_shell_whole_words_are_replaced():
    assert replaced("The party is in the art school.", ["art=old"]) == "The party is in the old school."
    assert replaced("Is it $5.", [r"$5=\1"]) == r"Is it \1."
    assert replaced("今天天气很好。", ["好=冷"]) == "今天天气很冷。"


@pytest.mark.parametrize("pair", ["red", "is=was", "green=blue", "eathe=x"])
def test_replacing_what_does_not_stand_there_once_is_refused(pair):
    with pytest.raises(SettingError, match="exactly once"):
        replaced(OLD, [pair])


# --- where and how they are joined ----------------------------------------------------------------------------------


def noise(seconds: float, level: float = 0.1, channels: int = 1) -> torch.Tensor:
    return torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(1)) * level


def clip_of(*parts: torch.Tensor) -> AudioClip:
    return AudioClip(torch.cat(parts, dim=1), RATE)


def test_cuts_lie_in_the_pause_at_the_side_that_keeps_it():
    clip = clip_of(noise(1.0), noise(0.4, 1e-4), noise(1.0))
    late, early = (quiet_cut(clip, 0.9, 1.5, 25, late=late) for late in (True, False))
    assert 1.3 <= late / 25 <= 1.4 and 1.0 <= early / 25 <= 1.1


def test_without_a_pause_the_quietest_frame_is_cut():
    clip = clip_of(noise(1.0), noise(0.08, 0.01), noise(1.0))
    assert quiet_cut(clip, 0.8, 1.3, 25, late=True) in (25, 26, 27)
    assert quiet_cut(clip, 0.81, 0.82, 25, late=True) == 20, "no frame begins there: the nearest"
    assert quiet_cut(clip, 5.0, 6.0, 25, late=True) == 52, "never behind the end"


@pytest.mark.parametrize("channels", [1, 2])
def test_outside_of_patches_the_clip_is_its_own_sample_by_sample(channels):
    clip, margin = AudioClip(noise(3.0, channels=channels), RATE), round(MARGIN_S * RATE)
    new = torch.full((channels, 1000 + 2 * margin), 0.5)
    made = patched(clip, [Patch(24_000, 30_000, new, margin, margin), Patch(48_000, 48_000, new, margin, margin)])
    assert made.length == clip.length - 6000 + 2000
    assert torch.equal(made.samples[:, : 24_000 - margin], clip.samples[:, : 24_000 - margin])
    assert torch.equal(
        made.samples[:, 25_000 + margin : 43_000 - margin], clip.samples[:, 30_000 + margin : 48_000 - margin]
    )
    assert torch.equal(made.samples[:, 44_000 + margin :], clip.samples[:, 48_000 + margin :])
    assert (made.samples[:, 24_000:25_000] == 0.5).all()
    flat = AudioClip(torch.full((channels, 72_000), 0.5), RATE)
    assert (patched(flat, [Patch(24_000, 25_000, new, margin, margin)]).samples - 0.5).abs().max() < 1e-6


def test_a_rough_join_is_told_from_a_smooth_one():
    sine = torch.sin(torch.arange(RATE) * 0.05)[None] * 0.1
    smooth = roughness(AudioClip(sine, RATE), AudioClip(sine, RATE), -23.0)
    rough = roughness(AudioClip(sine, RATE), AudioClip(noise(1.0), RATE), -23.0)
    silent = roughness(AudioClip(sine * 1e-5, RATE), AudioClip(noise(1.0, 1e-6), RATE), -23.0)
    assert rough > 10 > 5 > smooth and silent < 0.1


def test_new_sound_is_brought_near_the_level_around_it():
    loud, quiet = AudioClip(noise(1.0, 0.1), RATE), AudioClip(noise(1.0, 0.025), RATE)  # 12 dB apart
    assert fitting_gain(quiet, loud) == 6.0 and fitting_gain(loud, quiet) == -6.0
    assert fitting_gain(AudioClip(noise(1.0, 0.08), RATE), loud) == 0.0, "as words differ"
    assert fitting_gain(AudioClip(torch.zeros(1, RATE), RATE), loud) == 0.0


def test_mono_sound_goes_into_the_channels_of_the_recording_at_its_rate():
    both = AudioClip(torch.cat((noise(1.0), noise(1.0) * 0.5)), 48_000)
    made = spread(AudioClip(noise(1.0), RATE), both, 48_000)
    assert made.shape == (2, 48_000)
    assert float(made[0].std() / made[1].std()) == pytest.approx(2.0, rel=1e-3)


def test_parts_end_where_the_clip_does():
    clip = AudioClip(noise(1.0), RATE)
    assert part(clip, -1.0, 0.5).length == 12_000 and part(clip, 0.9, 3.0).length == 2400
    assert part(clip, 2.0, 3.0).length == 0 and part(clip, 0.6, 0.4).length == 0
