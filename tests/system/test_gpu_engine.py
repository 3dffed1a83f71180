"""How the engine and the codec work on a GPU: steps given ahead and recorded, streams, weights that move, every format.
Skipped where there is none; what a CPU shows of it is in tests/component/test_polling.py and test_codec_recorded.py."""

from __future__ import annotations

import threading

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_session import lines, prompt_of, same
from helpers_v3 import make_v3_checkpoint

from higgs_runtime import Codes, Sampling, Session, generate, load_codec, load_model, speak, speak_stream
from higgs_runtime.generation.batch import DecodeBatch
from higgs_runtime.generation.cuda_graphs import StepGraphs
from higgs_runtime.model import Placement

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm"), stream_end=1.05)


@pytest.fixture(scope="module")
def v3_folder(tmp_path_factory):
    return make_v3_checkpoint(tmp_path_factory.mktemp("v3"))


@pytest.fixture(scope="module")
def model(lm_folder):
    return load_model(lm_folder, device="cuda")


@pytest.fixture
def recordings(monkeypatch):
    """Keys of the steps that are recorded."""
    found, record = [], StepGraphs._record
    monkeypatch.setattr(StepGraphs, "_record", lambda self, call: (found.append(1), record(self, call))[1])
    return found


def settings():
    return [Sampling(temperature=1.0, ras_window=7, seed=n, max_frames=10 + 9 * n) for n in range(8)]


# ---- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("poll", [1, 4, 16])
def test_codes_are_those_of_the_plain_loop(model, poll, capture):
    """Read in turn, block by block, or given ahead: to the bit, while rows end and others take their places."""
    wanted = Session(model, batch=4, capture=capture, poll=8, ahead=False).generate(lines(model), settings())
    session = Session(model, batch=4, capture=capture, poll=poll, ahead=True)
    takes = [dict(session.takes(lines(model), settings())) for _ in range(2)]
    alike = [same(found[n], take) for found in takes for n, take in enumerate(wanted)]
    # Who speaks beside whom follows the blocks, and a product of other rows may round another way: a near tie falls.
    assert sum(alike) >= len(alike) - 2


def test_a_line_alone_is_the_same_with_any_block(model):
    chosen = Sampling(temperature=1.0, ras_window=7, seed=3, max_frames=120)
    takes = [
        Session(model, batch=1, poll=poll, ahead=ahead).generate(lines(model)[:1], chosen)[0]
        for poll, ahead in ((1, False), (8, False), (1, True), (8, True), (16, True))
    ]
    assert all(same(take, takes[0]) for take in takes)
    chunks = [codes.ids for codes in Session(model, batch=1).stream(lines(model)[0], chosen)]
    assert torch.equal(torch.cat(chunks, dim=1), takes[0].codes.ids)


def test_no_step_waits_for_the_device(model, monkeypatch):
    """torch refuses whatever would wait; the first run has recorded, and read what is found out once."""
    session = Session(model, batch=4)
    wanted = session.generate(lines(model)[:4], settings()[:4])
    counted = []

    def strictly(name):
        plain = getattr(DecodeBatch, name)

        def call(self, *what):
            torch.cuda.set_sync_debug_mode("error")
            try:
                counted.append(name)
                return plain(self, *what)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        monkeypatch.setattr(DecodeBatch, name, call)

    for name in ("begin", "step", "drawn"):
        strictly(name)
    takes = session.generate(lines(model)[:4], settings()[:4])
    assert all(same(a, b) for a, b in zip(takes, wanted, strict=True)) and counted.count("step") > 30
    plain = Session(model, batch=4, capture=False)  # the step that is not recorded does not wait either
    assert len(plain.generate(lines(model)[:4], settings()[:4])) == 4


def test_a_cancelled_take_is_a_beginning_and_the_session_goes_on(model):
    session, chosen = Session(model, batch=1), Sampling(temperature=1.0, max_frames=150, seed=2)
    prompt = prompt_of(model, "Hello there.")
    whole = session.generate([prompt], chosen)[0]
    for after in (1, 7, 20, 60):
        looks = iter(range(10_000))
        [take] = session.generate([prompt], chosen, should_stop=lambda looks=looks, after=after: next(looks) >= after)
        assert torch.equal(take.codes.ids, whole.codes.ids[:, : take.frames])
    reading = session.stream(prompt, chosen)
    next(reading)
    reading.close()
    assert same(session.generate([prompt], chosen)[0], whole)


def test_the_last_position_of_the_cache_is_recorded(lm_folder, recordings):
    """A call to warm up that wrote one position on would leave the device unusable."""
    endless = load_model(make_lm_checkpoint(lm_folder.parent / "endless", stream_end=0), device="cuda")
    prompt = prompt_of(endless, "Hello.")
    frames = 257 - len(prompt) - endless.config.num_codebooks + 1
    [take] = Session(endless).generate([prompt], Sampling(temperature=0.9, max_frames=frames))
    assert take.frames == frames and len(recordings) == 2


# ---- weights that move -----------------------------------------------------------------------------------------------


def test_weights_that_were_taken_away_and_brought_back_are_recorded_anew(lm_folder, recordings):
    moving = load_model(lm_folder, device="cuda")
    session, chosen = Session(moving, batch=1), Sampling(temperature=1.0, seed=1, max_frames=40)
    [before] = session.generate(lines(moving)[:1], chosen)
    made = len(recordings)
    assert made and same(session.generate(lines(moving)[:1], chosen)[0], before) and len(recordings) == made
    moving.to("cpu")
    others = [torch.full((2**20,), torch.nan, device="cuda") for _ in range(64)]  # where the weights were
    moving.to("cuda")
    assert same(session.generate(lines(moving)[:1], chosen)[0], before) and len(recordings) > made
    del others


def test_layers_that_have_no_room_speak_the_same_without_a_recording(lm_folder, recordings):
    partly = load_model(lm_folder)
    whole = load_model(lm_folder, device="cuda")
    Placement(partly, "cuda", room_bytes=1)
    chosen = Sampling(temperature=0, max_frames=30)
    takes = [Session(one, capture=None).generate(lines(whole)[:1], chosen)[0] for one in (partly, whole)]
    assert torch.equal(takes[0].rows, takes[1].rows) and len(recordings) == 1


# ---- formats ---------------------------------------------------------------------------------------------------------


def test_v3_is_that_of_the_cpu(v3_folder):
    on_cpu, on_gpu = load_model(v3_folder), load_model(v3_folder, device="cuda")
    prompt = prompt_of(on_cpu, "Hello there.")
    assert (on_cpu.logits(prompt) - on_gpu.logits(prompt).cpu()).abs().max() < 1e-3
    greedy = Sampling(temperature=0, max_frames=60)
    assert torch.equal(generate(on_cpu, [prompt], greedy)[0].rows, generate(on_gpu, [prompt], greedy)[0].rows)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("layout", ["v2", "v3"])
def test_packed_weights_give_the_logits_of_the_cpu(lm_folder, v3_folder, layout, quantization):
    """The same packed numbers; torch's own product takes bfloat16."""
    folder = lm_folder if layout == "v2" else v3_folder
    on_cpu = load_model(folder, quantization=quantization)
    on_gpu = load_model(folder, device="cuda", dtype=torch.bfloat16, quantization=quantization)
    prompt = prompt_of(on_cpu, "Hello there.")
    wanted, found = on_cpu.logits(prompt), on_gpu.logits(prompt).cpu()
    assert torch.nn.functional.cosine_similarity(wanted.flatten(), found.flatten(), dim=0) > 0.99
    takes = [Session(on_gpu, capture=capture, batch=3).generate(lines(on_gpu), settings()) for capture in (True, False)]
    assert all(len(found) == 8 and all(take.frames for take in found) for found in takes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_not_rounded_to_the_format_of_the_weights(v3_folder, dtype):
    """As many rows as a step has, and as a prompt: against the product of what is widened first."""
    narrow = load_model(v3_folder, device="cuda", dtype=dtype)
    for count in (1, 8, 300):
        hidden = torch.randn(count, narrow.config.hidden_size, device="cuda").to(dtype)
        wanted = torch.nn.functional.linear(hidden.float(), narrow.audio_head.weight.float())
        assert (narrow.head(hidden).flatten(1) - wanted).abs().max() < 1e-3 < wanted.abs().max()


def test_a_gguf_file_speaks_as_its_source(v3_folder, tmp_path):
    forms = pytest.importorskip("helpers_gguf")
    file = forms.studio(v3_folder, tmp_path / "gguf" / "model.gguf")
    loaded, source = (load_model(one, device="cuda") for one in (file, v3_folder))
    prompt, greedy = prompt_of(source, "Hello there."), Sampling(temperature=0, max_frames=30)
    assert torch.equal(generate(loaded, [prompt], greedy)[0].rows, generate(source, [prompt], greedy)[0].rows)


# ---- the codec -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return load_codec(make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "small"), device="cuda")


def codes_of(codec, frames: int, seed: int = 0) -> Codes:
    ids = torch.randint(0, 1024, (8, frames), generator=torch.Generator().manual_seed(seed))
    return Codes(ids, 25.0, 1024, codec.signature)


def test_windows_that_come_again_are_recorded_and_sound_the_same(codec):
    codes = [codes_of(codec, 25, seed) for seed in range(3)]
    plain = [codec.decode(one).samples for one in codes[:1]]
    for _ in range(3):
        found = [codec.decode(one).samples for one in codes]
        assert (found[0] - plain[0]).abs().max() < 1e-5
    assert any(made for made in codec._graphs._made.values())
    assert (found[1] - found[0]).abs().max() > 0.01, "what goes in is read, not what was recorded"


def test_the_codec_does_not_wait_for_steps_that_the_device_was_given(codec):
    """Some seconds of work on the thread's own stream; a window on the codec's is done before."""
    codes = codes_of(codec, 25)
    for _ in range(3):
        codec.decode(codes)
    a = torch.randn(4096, 4096, device="cuda")
    (a @ a).sum().item()
    begun, done = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for _ in range(200):
        a = (a @ a).clamp_(-1, 1)
    done.record()
    codec.decode(codes)
    assert not done.query(), "the window was decoded while the products were computed"
    torch.cuda.synchronize()
    assert begun.elapsed_time(done) > 20


def test_a_codec_that_was_moved_is_recorded_anew(codec):
    codes = codes_of(codec, 30)
    wanted = [codec.decode(codes).samples for _ in range(3)][-1]
    codec.module.to("cpu")
    others = [torch.full((2**20,), torch.nan, device="cuda") for _ in range(64)]
    codec.module.to("cuda")
    for _ in range(3):
        assert (codec.decode(codes).samples - wanted).abs().max() < 1e-5
    del others


def test_a_thread_decodes_while_the_model_speaks_and_records(codec, lm_folder):
    """Two threads that record, play and copy at once: each has what it would have alone."""
    speaking = load_model(lm_folder, device="cuda")
    chosen = [codes_of(codec, frames) for frames in (12, 25, 37, 50)]
    wanted = [codec.decode(one).samples for one in chosen]
    take = Session(speaking, batch=3).generate(lines(speaking)[:3], settings()[:3])
    wrong, stop = [], threading.Event()

    def decode() -> None:
        while not stop.is_set():
            for one, sound in zip(chosen, wanted, strict=True):
                if (codec.decode(one).samples - sound).abs().max() > 1e-5:
                    wrong.append(one.frames)

    thread = threading.Thread(target=decode)
    thread.start()
    try:
        for _ in range(5):
            found = Session(speaking, batch=3).generate(lines(speaking)[:3], settings()[:3])
            assert all(same(a, b) for a, b in zip(found, take, strict=True))
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_a_line_that_is_streamed_is_the_whole(codec, model):
    chosen = Sampling(temperature=1.0, seed=4, max_frames=120)
    whole = speak("Hello there.", model=model, codec=codec, sampling=chosen, silence_s=None)
    clips = list(speak_stream("Hello there.", model=model, codec=codec, sampling=chosen, silence_s=None))
    found = torch.cat([clip.samples for clip in clips], dim=1)
    level = whole.samples.abs().max() / found.abs().max()
    assert len(clips) > 1 and found.shape == whole.samples.shape
    assert (found * level - whole.samples).abs().max() < 1e-3
