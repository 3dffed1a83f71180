"""The recipe of Higgs Nano: its texts, targets and recognizer, and that a killed run goes on as if nothing happened."""

import subprocess
import sys
from functools import partial
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from higgs_runtime import load_codec, load_model
from higgs_runtime.checkpoint.files import checkpoint_tensors
from higgs_runtime.model.delay import delayed_rows
from higgs_runtime.model.linear import PackedLinear
from higgs_runtime.model.tokenizer import ChatTokenizer
from higgs_runtime.text.vocabulary import unknown_words
from tools.nano import corpus, decoder_stage, domain, encoder_stage, judge, lm_stage, speech, state, train
from tools.nano.codec_model import CONFIG, new_codec, semantic_latents
from tools.nano.codes import Heard, WordCodes
from tools.nano.dialogues import Dialogues
from tools.nano.encoder_stage import fit_codebooks
from tools.nano.export import export_codec, export_lm
from tools.nano.vocabulary import SPECIAL, tokens, write_tokenizer

ROOT = Path(__file__).resolve().parents[2]
WORDS = set(domain.words())


def test_every_pattern_stays_within_the_words():
    for text in islice(domain.sentences(3), 4000):
        assert unknown_words(text, WORDS) == []
    for slot in domain.SLOTS.values():
        assert unknown_words(slot.replace("|", " "), WORDS) == []


def test_text_is_split_into_words_digits_and_pauses():
    parts = domain.split_text("Hello, it’s 7 o'clock\u2014now!")
    assert parts == ["hello", ",", "it's", "seven", "o'clock", "-", "now", "!"]


def test_held_out_sentences_are_never_drawn_for_training():
    held = {text.lower() for text in corpus.held_out_sentences(200)}
    assert len(held) == 200
    texts = corpus.Texts(4)
    assert not any(texts.draw(12).lower() in held for _ in range(3000))


def test_training_texts_are_a_function_of_the_seed():
    assert [corpus.Texts(9).draw(8) for _ in range(3)] == [corpus.Texts(9).draw(8) for _ in range(3)]
    assert all(len(corpus.Texts(seed).draw(3).split()) <= 3 for seed in range(50))


@pytest.mark.parametrize(
    ("written", "heard", "errors"),
    [
        ("The train is thirty minutes late.", "the train is 30 minutes late", 0),
        ("two, three, four, nine.", "2-3-4-9", 0),
        ("two, three, four, nine.", "2349", 0),
        ("It is half past seven.", "It is half past 70.", 1),
        ("We meet on friday at ten o'clock.", "We meet on Friday at 10 o'clock.", 0),
        ("Hello, Jack!", "", 2),
        ("I am here.", "I am here, here.", 1),
        ("One hundred and twenty people.", "120 people", 1),
    ],
)
def test_word_errors(written, heard, errors):
    assert judge.word_errors(written, heard)[0] == errors


def test_interval_covers_the_rate():
    rate, low, high = judge.interval(np.array([0, 1, 0, 2, 0] * 20), np.full(100, 6))
    assert rate == pytest.approx(0.1) and 0.05 < low < rate < high < 0.16


def words_of_noise() -> WordCodes:
    generator = torch.Generator().manual_seed(0)
    words = {
        name: {word: torch.randint(0, 900, (8, 3), generator=generator) for word in domain.words()}
        for name in speech.SPEAKERS
    }
    return WordCodes(words, torch.full((8, 1), 7))


def test_targets_leave_out_what_the_schedule_holds():
    codes = torch.arange(8 * 5).view(8, 5)
    rows = delayed_rows(codes, lm_stage.BEGIN, lm_stage.END)
    wanted = lm_stage.targets(rows)
    for k in range(8):
        learned = wanted[:, k][wanted[:, k] >= 0].tolist()
        assert learned == [*codes[k].tolist(), lm_stage.END]


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    words = words_of_noise()
    heard = [Heard(name, "the dog.", 1.0, 0, words.sentence("the dog.", name)) for name in speech.SPEAKERS]
    return Dialogues(words, heard, ChatTokenizer(folder, lm_stage.new_model().config), seed=1)


def ids(examples: list) -> list:
    return [(example.prompt.token_ids.tolist(), example.prompt.audio_rows.tolist()) for example in examples]


def test_examples_depend_on_the_step_alone(dialogues):
    """A run that begins at step 9 gets there what a run from the start gets."""
    later = Dialogues(dialogues.words, sum(dialogues.heard.values(), []), dialogues.tokenizer, seed=1)
    steps = {step: ids(dialogues.batch(step, 8, 1500)) for step in range(10)}
    assert ids(later.batch(9, 8, 1500)) == steps[9] != steps[8]
    for example in later.batch(9, 8, 1500):
        assert len(lm_stage.clip_targets(example)) == len(example.prompt.audio_rows) == len(example.weights)


def test_reference_audio_is_not_a_training_target(dialogues):
    """Their codes stand in no text: only the frames that stand for them have entry 999 in the first codebook."""
    heard = [Heard(name, "the dog.", 1.0, 0, torch.full((8, 20), 999)) for name in speech.SPEAKERS]
    source = Dialogues(dialogues.words, heard, dialogues.tokenizer, seed=2)
    found = 0
    for step in range(12):
        for example in source.batch(step, 8, 1500):
            of_heard = example.prompt.audio_rows[:, 0] == 999
            found += int(of_heard.sum())
            assert not example.weights[of_heard].any()
    assert found > 100


@pytest.mark.slow
def test_language_model_learns_what_it_is_shown(dialogues):
    model, examples = lm_stage.new_model(), dialogues.batch(0, 1, 200)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = lm_stage.loss_of(model, examples)[0].item()
    for _ in range(6):
        optimizer.zero_grad()
        loss = lm_stage.loss_of(model, examples)[0]
        loss.backward()
        optimizer.step()
    assert loss.item() < before - 0.5


def test_exported_language_model_is_the_trained_one(tmp_path, dialogues):
    model = lm_stage.new_model()
    export_lm(tmp_path, model.state_dict(), codec_identity="0" * 16)
    loaded = load_model(tmp_path)
    for name, tensor in model.half().state_dict().items():
        assert torch.equal(tensor.float(), loaded.state_dict()[name].float()), name
    prompt = dialogues.batch(0, 2, 300)[0].prompt
    assert torch.isfinite(loaded.logits(prompt)).all()
    assert loaded.config.vocabulary == frozenset([*"0123456789", *domain.words()])


def test_names_of_all_tensors_are_translated(tmp_path):
    model = lm_stage.new_model()
    export_lm(tmp_path, model.state_dict(), codec_identity="0" * 16)
    names = list(checkpoint_tensors(tmp_path))
    assert all(name.startswith(("model.", "audio_lm_head.")) for name in names)
    packed = [part for part in model.modules() if isinstance(part, PackedLinear)]
    assert len(set(names)) == len(names) == len(model.state_dict()) + sum(len(part.parts) - 1 for part in packed)


def test_exported_codec_is_the_trained_one_and_takes_only_codes_that_name_it(tmp_path):
    """transformers reads it too, which knows none of the fields that are added."""
    from transformers import HiggsAudioV2TokenizerModel

    module, _ = new_codec()
    identity = export_codec(tmp_path, module.state_dict())
    codec, theirs = load_codec(tmp_path), HiggsAudioV2TokenizerModel.from_pretrained(tmp_path).state_dict()
    assert codec.identity == identity
    assert codec.takes(identity) and not codec.takes("")
    for name, tensor in module.half().state_dict().items():
        assert torch.equal(tensor, theirs[name].half()), name


def test_tokenizer_reads_words_tags_and_digits(tmp_path):
    from tokenizers import Tokenizer

    write_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    read = tokenizer.encode("[SPEAKER1] “Hello”, it’s 42 … zebra!", add_special_tokens=False).tokens
    assert read == ["[speaker1]", "hello", ",", "it's", "4", "2", ".", "<unk>", "!"]
    assert tokens()[: len(SPECIAL)] == SPECIAL and len(tokens()) == len(set(tokens()))


def test_the_codec_encodes_a_word_alike_wherever_it_stands():
    """The semantic branch sees a fraction of a second: what lies further away changes nothing."""
    module, config = new_codec()
    wave = torch.randn(1, 60 * speech.HOP, generator=torch.Generator().manual_seed(0))
    other = wave.clone()
    other[:, : 20 * speech.HOP] = 0
    with torch.no_grad():
        a, b = (semantic_latents(module.eval(), config, x) for x in (wave, other))
    assert torch.allclose(a[:, 30:], b[:, 30:], atol=1e-5)
    assert not torch.allclose(a[:, 18:20], b[:, 18:20], atol=1e-3)


@pytest.mark.slow
def test_codebooks_are_fitted_without_unused_entries():
    module, config = new_codec()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(6000, config.latent + config.semantic_width, generator=generator)
    fit_codebooks(module, lambda step: frames[step * 3000 : (step + 1) * 3000], batches=2, rounds=3)
    ids = module.quantizer.encode(frames[None])[0]
    assert ids.shape == (CONFIG["codebook_size"] // 128, 6000)
    assert all(len(level.unique()) > 900 for level in ids)


def test_a_killed_run_goes_on_as_if_nothing_happened(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "SAVE_SECONDS", -1)  # after every step

    def train(file: Path, kill_at: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 3)
        optimizer = torch.optim.AdamW(layer.parameters())
        run = state.Training("test", file, 20, {"layer": layer, "optimizer": optimizer}, 1e-2)

        def one_step(step: int, rate: float) -> dict[str, float]:
            if step == kill_at:
                raise KeyboardInterrupt
            state.set_rate(optimizer, rate)
            optimizer.zero_grad()
            loss = layer(torch.randn(4, 3, generator=torch.Generator().manual_seed(step))).square().sum()
            loss.backward()
            optimizer.step()
            return {"loss": loss.item()}

        run.run(one_step)
        return layer.weight.detach()

    whole = train(tmp_path / "whole.pt", None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut.pt", 13)
    assert torch.equal(train(tmp_path / "cut.pt", None), whole)


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    state.save_atomically({"step": 1}, tmp_path / "run.pt")
    monkeypatch.setattr(torch, "save", lambda value, file: (Path(file).write_bytes(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        state.save_atomically({"step": 2}, tmp_path / "run.pt")
    assert torch.load(tmp_path / "run.pt", weights_only=True) == {"step": 1}


# ---- killed and gone on -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9: nothing that a stage does on the way out may matter."""


@pytest.fixture
def tiny(tmp_path, monkeypatch, dialogues):
    """A folder of a run whose words are three frames of noise each, and stages cut down to a few steps."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 3 * speech.HOP)).astype(np.float32)
    lexicon = {
        name: {word: speech.Word(noise[n % 2], ("aa", "b", "b")) for n, word in enumerate(domain.words())}
        for name in speech.SPEAKERS
    }
    monkeypatch.setattr(state, "SAVE_SECONDS", -1)
    monkeypatch.setattr(encoder_stage, "CLIPS", 2)
    monkeypatch.setattr(encoder_stage, "fit_codebooks", partial(fit_codebooks, batches=40, rounds=1))
    monkeypatch.setattr(lm_stage, "POSITIONS", 300)
    heard = {"text": "the dog", "gain": 1.0, "shift": 5, "codes": torch.randint(0, 1024, (8, 11))}
    for name in ("whole", "cut"):
        items = [{"speaker": speaker, **heard} for speaker in speech.SPEAKERS]
        state.save_atomically(items, tmp_path / name / "heard.pt")
        state.save_atomically(vars(dialogues.words), tmp_path / name / "word_codes.pt")
    return tmp_path, lexicon


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "kill_before", "made"),
    [
        (lambda *run: encoder_stage.train_encoder(*run, steps=3), "_fold", "encoder.pt"),
        (lambda *run: encoder_stage.train_encoder(*run, steps=3), None, "encoder.pt"),
        (lambda *run: decoder_stage.train_decoder(*run, steps=3, compiled=False), None, "codec.pt"),
        (lambda *run: lm_stage.train_lm(*run, steps=3), None, "lm.pt"),
    ],
)
def test_a_killed_stage_ends_in_the_same_bits(tiny, monkeypatch, train, kill_before, made):
    folder, lexicon = tiny
    if made == "codec.pt":
        module, _ = new_codec()
        for name in ("whole", "cut"):
            state.save_atomically({"module": module.state_dict()}, folder / name / "encoder.pt")
    train(folder / "whole", lexicon)

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        if kill_before:
            patched.setattr(encoder_stage, kill_before, kill)
        else:
            save = state.save_atomically
            for module in (state, encoder_stage, decoder_stage, lm_stage):
                patched.setattr(module, "save_atomically", lambda value, file: (save(value, file), kill()))
        train(folder / "cut", lexicon)
    train(folder / "cut", lexicon)
    whole, cut = (torch.load(folder / name / made, weights_only=True) for name in ("whole", "cut"))
    for key in whole:
        pairs = zip(flat(whole[key]), flat(cut[key]), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), key


def flat(value) -> list[torch.Tensor]:
    return list(value.values()) if isinstance(value, dict) else [value]


def test_a_folder_of_another_recipe_is_refused(tmp_path, monkeypatch):
    train.check_recipe(tmp_path)
    train.check_recipe(tmp_path)
    monkeypatch.setitem(train.STEPS, "lm", 7)
    with pytest.raises(SystemExit, match="another recipe"):
        train.check_recipe(tmp_path)


def test_a_missing_voice_of_flite_is_named(monkeypatch):
    """flite itself speaks with another voice then, and says nothing."""
    monkeypatch.setattr(speech.shutil, "which", lambda name: "flite")
    told = speech.subprocess.CompletedProcess([], 0, stdout="Voices available: kal awb slt \n")
    monkeypatch.setattr(speech.subprocess, "run", lambda *_, **__: told)
    with pytest.raises(SystemExit, match="rms"):
        speech.check_voices()


@pytest.mark.slow
def test_children_end_with_their_parent(tmp_path):
    """kill -9 of the parent closes the pipe that its children listen to."""
    script = (
        "import threading, time; from tools.nano import train; "
        "threading.Thread(target=train._end_with_parent, daemon=True).start(); print('up', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout.readline().strip() == b"up"
    child.stdin.close()
    assert child.wait(30) == 1


def test_progress_is_reported_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(state, "time", SimpleNamespace(monotonic=count(0, 10).__next__))  # 10 s an item
    assert "".join(state.with_progress("speaking", "abcd")) == "abcd"
    assert capsys.readouterr().out == "speaking 2/4  0.5 min to go\n"


def test_share_has_an_interval_where_all_are_hits():
    assert judge.share([True] * 200) == pytest.approx((1.0, 0.981, 1.0), abs=1e-3)
