"""What `gpu.py` measures, stage by stage; each runs in a process of its own and says a row as soon as it knows it.

Weights are random, in the released shapes, made on the device: what they speak is noise, and takes as long as speech.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from _common import REFERENCE_FRAMES, ROOT, path_bytes, random_codes, reference_rows
from random_codec import RELEASED as RELEASED_CODEC, SMALL as SMALL_CODEC

from higgs_runtime import Prompt, Sampling, Session
from higgs_runtime.codec.grouping import STREAMED, FrameGroups
from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec, HiggsTokenizer
from higgs_runtime.hub import model_bytes
from higgs_runtime.model import HiggsModel, ModelConfig, delayed_rows
from higgs_runtime.model.config import V3_SAMPLING
from higgs_runtime.model.delay import V3_STOP
from higgs_runtime.model.loading import quantize_layers
from higgs_runtime.model.quantization import KINDS
from higgs_runtime.types import Codes

BOS, EOS = 1024, 1025
V2 = ModelConfig(
    vocab_size=128256,
    hidden_size=3072,
    intermediate_size=8192,
    num_layers=28,
    num_heads=24,
    num_kv_heads=8,
    head_dim=128,
    norm_eps=1e-5,
    max_positions=8192,
    num_codebooks=8,
    codebook_rows=1026,
    audio_token_id=128016,
    audio_delay_token_id=128014,
    audio_bos_token_id=128013,
    stream_bos_id=BOS,
    stream_eos_id=EOS,
)
V3 = replace(
    V2,
    vocab_size=151936,
    hidden_size=2560,
    intermediate_size=9728,
    num_layers=36,
    num_heads=32,
    norm_eps=1e-6,
    audio_token_id=-100,
    audio_delay_token_id=-100,
    audio_bos_token_id=151669,
    audio_path=False,
    qk_norm=True,
    stop=V3_STOP,
    begin_is_token=True,
    released=V3_SAMPLING,
    tied_head=True,
)
CONFIGS = {"v2": V2, "v3": V3}
TINY = {"hidden_size": 64, "intermediate_size": 96, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_dim": 16}
SPREAD = 5.0  # of the logits: an end of stream, whose logit is 0 here, is not among the 50 most likely ids
ROUNDS = 3


class Row(NamedTuple):
    """One figure. `key` is what goals ask for."""

    key: str
    what: str
    value: float
    unit: str


class Place(NamedTuple):
    """Where it is measured, and in which size.

    Attributes:
        small: shapes for a test of this script.
        seconds: the stage has, about; it leaves out what would come after.
    """

    device: str
    small: bool
    seconds: float

    @property
    def frames(self) -> int:
        return 12 if self.small else 200

    @property
    def lines(self) -> tuple[int, ...]:
        return (1, 3) if self.small else (1, 8, 16, 32)

    def config(self, name: str) -> ModelConfig:
        return replace(CONFIGS[name], **TINY) if self.small else CONFIGS[name]

    def wait(self) -> None:
        """Until the device has done all."""
        if self.on_gpu:
            torch.cuda.synchronize()

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"


# ---- the stages ------------------------------------------------------------------------------------------------------


def tests(place: Place) -> Iterator[Row]:
    """The tests marked `gpu`."""
    files = ("tests/system/test_gpu.py", "tests/system/test_gpu_engine.py")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False)
    sys.stderr.write(done.stdout)
    last = done.stdout.rstrip().rpartition("\n")[2]
    for word in ("passed", "failed", "skipped", "error"):
        count = re.search(rf"(\d+) {word}", last)
        yield Row(f"tests {word}", f"tests marked gpu, {word}", float(count[1] if count else 0), "")


def speed(name: str, quantization: str | None) -> Callable[[Place], Iterator[Row]]:
    """Steps of a model with weights in one format, one line and several side by side."""

    def stage(place: Place) -> Iterator[Row]:
        yield from speeds(place, name, quantization)

    return stage


def speeds(place: Place, name: str, quantization: str | None) -> Iterator[Row]:
    ends, kind = time.monotonic() + place.seconds, f"{name} {quantization or 'bf16'}"
    copied = copy_speed(place)
    yield Row("copy", "memory, copied by torch", copied / 1e9, "GB/s")
    model = random_model(place, name, quantization)
    path = path_bytes(model)
    yield Row(f"{kind} weights", f"{kind}: weights", model_bytes(model) / 1e9, "GB")
    rate = model.config.frame_rate
    for count in place.lines:
        if time.monotonic() > ends:
            return
        frames = frames_per_second(place, model, count)
        lines = "1 line" if count == 1 else f"{count} lines"
        yield Row(f"{kind} {count}", f"{kind}, {lines}", frames / rate, "s of audio a second")
        if count == 1:
            yield Row(f"{kind} steps", f"{kind}, 1 line", frames, "frames a second")
            yield Row(f"{kind} share", f"{kind}, 1 line: weights read, of the copied", path * frames / copied, "")
    if quantization is None and time.monotonic() < ends:
        plain = frames_per_second(place, model, 1, capture=False, ahead=False)
        yield Row(f"{kind} plain", f"{kind}, 1 line, not recorded and read in turn", plain, "frames a second")
    if place.on_gpu:
        yield Row(f"{kind} peak", f"{kind}: memory at the peak", torch.cuda.max_memory_allocated() / 1e9, "GB")


def sound(place: Place) -> Iterator[Row]:
    """From a line to its first sound, and the codec alone and beside the model."""
    model, codec = random_model(place, "v3", None), random_codec(place)
    chosen = Sampling(temperature=0.8, max_frames=place.frames)
    session = Session(model, batch=1)

    def first(session: Session, line: int, whole: bool = False) -> float:
        started = time.perf_counter()
        for _ in codec.decode_stream(pieces(session, prompt_of(model.config, line), chosen)):
            if not whole:
                break
        return time.perf_counter() - started

    for line in range(2):
        first(session, line, whole=True)
    yield Row("first sound", "first sound of a line, v3 bf16, reference known", median(first, session), "s")
    seconds = place.frames / model.config.frame_rate
    streamed = [first(session, 100 + line, whole=True) for line in range(ROUNDS)]
    yield Row("streamed", "a line, streamed and decoded", seconds / statistics.median(streamed), "s of audio a second")
    yield Row("first sound new", "first sound in a new session", first(Session(model, batch=1), 200), "s")
    yield from decoding(place, codec, model)
    if place.on_gpu:
        yield Row("sound peak", "v3 bf16 and codec: memory at the peak", torch.cuda.max_memory_allocated() / 1e9, "GB")


def decoding(place: Place, codec: HiggsCodec, model: HiggsModel) -> Iterator[Row]:
    frames = 100 if place.small else 1500
    codes = random_codes(frames, codec=codec.identity)
    took = timed(place, lambda _: codec.decode(codes))
    yield Row("codec", f"{frames / 25:g} s of codes decoded", frames / 25 / took, "s of audio a second")
    piece = random_codes(25, codec=codec.identity)
    yield Row(
        "codec piece", "a piece of a second, decoded alone", 1e3 * timed(place, lambda _: codec.decode(piece)), "ms"
    )
    stop, session = threading.Event(), Session(model, batch=8)

    def speak() -> None:
        while not stop.is_set():
            prompts = [prompt_of(model.config, line) for line in range(8)]
            session.generate(prompts, Sampling(max_frames=place.frames), should_stop=stop.is_set)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        time.sleep(0.1 if place.small else 3.0)  # until it has recorded its steps
        beside = timed(place, lambda _: codec.decode(piece), rounds=10, wait=False)
    finally:
        stop.set()
        thread.join()
    yield Row("codec beside", "… while 8 lines speak", 1e3 * beside, "ms")


def transformers(place: Place) -> Iterator[Row]:
    """v2 in bfloat16: a line with its prompt by ours and by transformers' `generate` with its static cache, in turn."""
    theirs, model = random_reference(place), random_model(place, "v2", None)
    rows = place.frames + model.config.num_codebooks

    def ours(turn: int) -> None:
        chosen = Sampling(temperature=0.7, max_frames=place.frames, seed=turn)
        Session(model, batch=1).generate([prompt_of(model.config, turn)], chosen)

    def reference(turn: int) -> None:
        prompt = prompt_of(model.config, turn)
        reference_rows(theirs, prompt, rows, place.device, cache_implementation="static")

    ours(0), reference(0)
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(ROUNDS):
        for name, call in (("ours", ours), ("theirs", reference)):
            taken[name].append(timed(place, lambda _, call=call, turn=turn: call(turn), rounds=1, warm=False))
    mine, other = (statistics.median(taken[name]) for name in ("ours", "theirs"))
    yield Row("transformers", "v2 bf16, a line with its prompt: transformers", place.frames / other, "frames a second")
    yield Row("against transformers", "… ours, a new session each", place.frames / mine, "frames a second")
    yield Row("times transformers", "… times as fast", other / mine, "")


STAGES: dict[str, tuple[float, Callable[[Place], Iterator[Row]]]] = {  # seconds at most
    "tests": (80, tests),
    "v3 bf16": (65, speed("v3", None)),
    "v3 int8": (45, speed("v3", "int8")),
    "sound": (60, sound),
    "v2 bf16": (50, speed("v2", None)),
    "transformers": (75, transformers),
    **{f"v3 {kind}": (35, speed("v3", kind)) for kind in KINDS if kind != "int8"},
    "v2 int8": (35, speed("v2", "int8")),
    "v2 int4": (35, speed("v2", "int4")),
}


# ---- models, prompts, times ------------------------------------------------------------------------------------------


def random_model(place: Place, name: str, quantization: str | None) -> HiggsModel:
    """A model of the released shape in bfloat16, perhaps quantized, made on the device. It never ends a take."""
    torch.manual_seed(0)
    config = place.config(name)
    with torch.device("meta"):
        model = HiggsModel(config)
    tables = {buffer: getattr(model, buffer).clone() for buffer in ("codebook_offsets", "inverse_frequencies")}
    model.to(torch.bfloat16).to_empty(device=place.device).requires_grad_(False)
    for buffer, values in tables.items():
        setattr(model, buffer, values.to(place.device))
    for weight in model.parameters():
        weight.fill_(1.0) if weight.ndim == 1 else weight.normal_(std=weight.shape[1] ** -0.5)
    model.audio_head.weight.mul_(SPREAD).view(config.num_codebooks, config.codebook_rows, -1)[:, EOS] = 0
    if config.tied_head:
        model.audio_embedding.weight = model.audio_head.weight
    if quantization:
        quantize_layers(model, quantization)
    return model.eval()


def random_codec(place: Place) -> HiggsCodec:
    shape = {"codebook_dim": 64, **RELEASED_CODEC} if not place.small else SMALL_CODEC
    config = HiggsCodecConfig.from_dict(shape)
    with torch.device(place.device):
        module = HiggsTokenizer(config)
    return HiggsCodec(module.requires_grad_(False), config)


def random_reference(place: Place):
    """transformers' v2 of the same shape."""
    from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

    ours = place.config("v2")
    config = HiggsAudioV2Config(
        hidden_size=ours.hidden_size,
        intermediate_size=ours.intermediate_size,
        num_hidden_layers=ours.num_layers,
        num_attention_heads=ours.num_heads,
        num_key_value_heads=ours.num_kv_heads,
        head_dim=ours.head_dim,
        num_codebooks=8,
        codebook_size=1026,
        bos_token_id=128000,
    )
    with torch.device(place.device):
        model = HiggsAudioV2ForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    for weight in model.parameters():
        weight.data.fill_(1.0) if weight.ndim == 1 else weight.data.normal_(std=weight.shape[-1] ** -0.5)
    model.audio_lm_head.weight.data.mul_(SPREAD).view(8, 1026, -1)[:, EOS] = 0
    return model.eval()


def prompt_of(config: ModelConfig, line: int) -> Prompt:
    """A reference of 6 s, the same for all, and a text."""
    rows = delayed_rows(random_codes(REFERENCE_FRAMES).ids, BOS, EOS)
    before, text = torch.arange(100, 140), 1000 + (torch.arange(24) * 7 + line * 31) % 5000
    heard = torch.full((len(rows),), config.audio_token_id)
    begin = torch.tensor([config.audio_bos_token_id])
    return Prompt(torch.cat((before, heard, text, begin)), rows)


def pieces(session: Session, prompt: Prompt, chosen: Sampling) -> Iterator[Codes]:
    groups = FrameGroups(STREAMED)
    for codes in session.stream(prompt, chosen):
        if (piece := groups.add(codes)) is not None:
            yield piece
    if (piece := groups.rest()) is not None:
        yield piece


def frames_per_second(place: Place, model: HiggsModel, count: int, **how) -> float:
    """Of all lines together; what they read is read before."""
    session = Session(model, batch=count, **how)
    lines = [prompt_of(model.config, line) for line in range(count)]
    chosen = [Sampling(temperature=0.8, top_k=50, top_p=0.95, max_frames=place.frames, seed=n) for n in range(count)]

    def speak(_turn: int) -> None:
        takes = session.generate(lines, chosen)
        if any(take.frames != place.frames for take in takes):
            raise SystemExit(f"A take has {[take.frames for take in takes]} frames, expected {place.frames}.")

    return count * (place.frames + model.config.num_codebooks - 1) / timed(place, speak)


def copy_speed(place: Place) -> float:
    """Bytes a second that are read and written where a block is copied."""
    size = 2**24 if place.small else 2**30
    block = torch.zeros(size, dtype=torch.uint8, device=place.device)
    other = torch.empty_like(block)
    return 2 * size * 10 / timed(place, lambda _: [other.copy_(block) for _ in range(10)])


def median(call: Callable[[Session, int], float], session: Session) -> float:
    return statistics.median(call(session, 10 + line) for line in range(5))


def timed(place: Place, call: Callable[[int], object], rounds: int = ROUNDS, *, warm: bool = True, wait: bool = True):
    """Seconds, the median; after two calls to warm up, so that what is recorded is there.

    Args:
        wait: for all that the device does; False: the call waits for its own.
    """
    taken = []
    for turn in range(-2 if warm else 0, rounds):
        if wait:
            place.wait()
        started = time.perf_counter()
        call(max(turn, 0))
        if wait:
            place.wait()
        if turn >= 0:
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)
