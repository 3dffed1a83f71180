"""A text in pieces: where it is cut, who speaks each piece, and what the model has heard before it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from higgs_runtime import Codes, PromptError, Voice, conversation
from higgs_runtime.monologue import Monologue, monologue_of, pieces_of
from higgs_runtime.prompt import Message
from higgs_runtime.speech import decode_pieces
from higgs_runtime.types import Generation

V2 = SimpleNamespace(vocabulary=None, prompt_layout="native", frame_rate=25)
V3 = SimpleNamespace(vocabulary=None, prompt_layout="v3", frame_rate=25)
LONG = "The story is ready, and the window is open. " * 20
TWO = "[SPEAKER0] " + "The story is ready. " * 40 + "[SPEAKER1] " + "The window is open. " * 20


def take(frames: int, reason="stop", first: int = 0) -> Generation:
    ids = (torch.arange(frames) + first).repeat(8, 1)
    return Generation(Codes(ids, 25.0, 1024), torch.zeros((frames, 8), dtype=torch.long), reason, 1.0, 10)


def texts_of(messages) -> list[str]:
    return [message.content[0] for message in messages if message.role == "user"]


# --- pieces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [V2, V3, None])
def test_a_text_that_fits_into_one_take_is_not_cut_where_it_may_be_whole(config):
    text = "The story is ready. " * 17  # 340 letters: about 18 s
    assert pieces_of(text, config, 750, whole=True).texts == (text,)
    assert len(pieces_of(text, config, 750).texts) == 2
    assert len(pieces_of(LONG, config, 750, whole=True).texts) > 2
    assert len(pieces_of("Good morning to you.", config, 5, whole=True).texts) == 1, "a sentence is not torn apart"


def test_each_piece_names_who_speaks():
    texts = pieces_of(TWO, V2, 750).texts
    assert len(texts) > 3 and all(text.startswith("[SPEAKER") for text in texts)
    assert texts[1].startswith("[SPEAKER0] The story") and texts[-1].startswith("[SPEAKER1] The window")
    assert sum(text.count("The window is open.") for text in texts) == 20
    assert pieces_of(LONG, V2, 750).texts[1].startswith("The story"), "nobody is made up"


def test_tags_of_v3_go_on_also_where_the_model_is_not_here():
    text = "<|prosody:speed_slow|>" + LONG
    for config in (V3, None):
        assert all(one.startswith("<|prosody:speed_slow|>") for one in pieces_of(text, config, 750).texts)


# --- whose voice ------------------------------------------------------------------------------------------------------


def test_the_first_piece_that_is_long_enough_is_the_voice_of_the_others():
    made = Monologue(("One.", "Two.", "Three."), conversation("One. Two. Three.", scene="A room."))
    assert made.side_by_side == 1 and texts_of(made.messages()) == ["One."]
    made.keep(take(10))
    assert made.side_by_side == 1 and texts_of(made.messages()) == ["Two."], "0.4 s show no voice"
    made.keep(take(30))
    messages = made.messages()
    assert texts_of(messages) == ["Two.", "Three."] and [one.role for one in messages[:2]] == ["system", "scene"]
    assert messages[-2].content[0].frames == 30 and messages[-2].reference


def test_of_several_speakers_each_is_heard_before_they_go_on():
    made = Monologue(tuple(f"[SPEAKER{n}] Hello." for n in (0, 0, 1, 0, 1)), conversation("[SPEAKER0] Hello."))
    assert (made.side_by_side, made.voices_to_find) == (1, 2)
    made.keep(take(30))
    assert made.side_by_side == 1, "the second speaks with the first"
    made.keep(take(30))
    assert made.side_by_side == 1 and len(texts_of(made.messages())) == 2
    made.keep(take(30))
    assert made.side_by_side == 2 and texts_of(made.messages(1))[:2] == ["[SPEAKER0] Hello.", "[SPEAKER1] Hello."]


def test_who_is_named_speaks_all_and_who_is_only_described_goes_on_as_first_heard():
    voice = Voice(take(40).codes, "Words.")
    named = Monologue(("One.", "Two."), conversation("One. Two.", [voice]))
    assert named.side_by_side == 2 and named.voices_to_find == 0
    named.keep(take(30))
    assert texts_of(named.messages()) == ["Words.", "Two."]
    described = Monologue(("One.", "Two."), conversation("One. Two.", [Voice(description="Deep.")]))
    described.keep(take(30))
    messages = described.messages()
    assert texts_of(messages) == ["One.", "Two."] and "Deep." in messages[1].content[0]
    assert Monologue(("One.", "Two."), conversation("One. Two."), voiced=True).side_by_side == 2


def test_a_prompt_is_cut_only_where_that_is_wanted():
    messages = [*conversation("x")[:-1], Message("user", [LONG + "\n"])]
    assert len(monologue_of(messages, V2, 750).texts) > 2
    whole = monologue_of(messages, V2, 750, cut=False)
    assert whole.texts == (LONG.strip(),) and texts_of(whole.messages()) == [LONG.strip()]
    with pytest.raises(PromptError, match="nothing to say"):
        monologue_of(conversation("…"), V2, 750)


# --- joined -----------------------------------------------------------------------------------------------------------


def test_takes_in_a_row_remember_their_rests():
    made = Monologue(("One.", "Two,", "Three."), conversation("x"))
    for number, reason in enumerate(("stop", "length", "stop")):
        made.keep(take(30, reason, first=100 * number))
    whole = made.joined()
    assert whole.codes.rests == ((30, 0.45), (60, 0.2)) and whole.codes.ids[0, [29, 30, 60]].tolist() == [29, 100, 200]
    assert (whole.frames, whole.rows.shape[0], whole.finish_reason) == (90, 90, "length")
    assert (whole.seconds, whole.prompt_positions) == (3.0, 30)
    assert "Piece 2 of 3 was cut off" in made.cut_off("")[0]


def test_one_take_is_as_it_was_and_nothing_follows_a_cancelled_one():
    alone = Monologue(("One.",), conversation("x"))
    alone.keep(one := take(30))
    assert alone.joined() is one
    broken = Monologue(("One.", "Two.", "Three."), conversation("x"))
    for reason in ("stop", "cancelled", "stop"):
        broken.keep(take(30, reason))
    assert broken.joined().frames == 60 and broken.reason == "cancelled"


def test_pieces_sound_from_zero_to_zero_with_silence_between():
    class Tone:
        sample_rate = 24_000

        def decode(self, codes, on_progress=None):
            from higgs_runtime import AudioClip

            return AudioClip(torch.full((1, codes.frames * 960), 0.5), 24_000)

    seen = []
    codes = Codes(torch.zeros((8, 50), dtype=torch.long), 25.0, 1024, rests=((20, 0.5), (20, 0.1)))
    clip = decode_pieces(Tone(), codes, on_progress=lambda *args: seen.append(args))
    assert clip.length == 50 * 960 + 12_000, "a piece without frames has no rest"
    sound = clip.samples[0]
    assert sound[0] == 0 and sound[-1].abs() < 1e-6 and not sound[20 * 960 : 20 * 960 + 12_000].any()
    assert seen == [(20, 50), (20, 50), (50, 50)]
    whole = Codes(torch.zeros((8, 50), dtype=torch.long), 25.0, 1024)
    assert (decode_pieces(Tone(), whole).samples == 0.5).all()
