"""Blocks of steps, given ahead of what is read, recorded and played again: codes are the plain loop's.

A device is played by the CPU: `OperationsRecorder` records as CUDA graphs do.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_examples import examples
from helpers_recorder import NoWaiting, OperationsRecorder, Waited
from helpers_session import lines, prompt_of, same, settings, some_model, takes_alone
from helpers_v3 import make_v3_checkpoint
from hypothesis import given, settings as hypothesis_settings, strategies as st

from higgs_runtime import NumericError, Sampling, Session, SettingError, load_model
from higgs_runtime.generation import cuda_graphs
from higgs_runtime.generation.batch import SPAN, DecodeBatch
from higgs_runtime.generation.ring import Ring
from higgs_runtime.model.loading import quantize_layers

POLLS = (1, 4, 16)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return some_model(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def alone(model):
    return takes_alone(model)


@pytest.fixture
def recorders(monkeypatch):
    """Recorders of the sessions to come, in order."""
    made = []

    def recorder(device):
        made.append(OperationsRecorder())
        return made[-1]

    monkeypatch.setattr("higgs_runtime.generation.cuda_graphs.Recorder", recorder)
    return made


# ---- the same codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("poll", POLLS)
def test_a_line_is_the_same_with_any_poll_ahead_and_recorded(model, alone, recorders, poll, capture):
    """Requests end by themselves and by length, at steps of their own, and others take their rows."""
    session = Session(model, batch=3, poll=poll, ahead=True, capture=capture, fused=False)
    for _ in range(2):
        takes = session.generate(lines(model), settings())
        assert all(same(a, b) for a, b in zip(takes, alone, strict=True))
    assert bool(recorders) == capture


@given(
    poll=st.integers(1, 20),
    batch=st.integers(1, 5),
    order=st.permutations(range(8)),
    after=st.one_of(st.none(), st.integers(0, 120)),
    ends=st.dictionaries(st.integers(0, 7), st.integers(1, 12), max_size=3),
)
@hypothesis_settings(max_examples=examples(40), deadline=None)
def test_any_block_any_order_cancelled_and_ended(model, alone, poll, batch, order, after, ends):
    """What is spoken is a beginning of the take alone; whole where nobody ended it."""
    looks, heard = iter(range(10_000)), dict.fromkeys(range(8), 0)

    def ended(index, frames):
        heard[index] += frames.shape[1]
        return heard[index] >= ends.get(order[index], 10_000)

    stop = None if after is None else lambda: next(looks) >= after
    session = Session(model, batch=batch, poll=poll, ahead=True)
    prompts, chosen = lines(model), settings()
    heard_frames = {index: [] for index in range(8)}
    takes = session.generate(
        [prompts[n] for n in order],
        [chosen[n] for n in order],
        should_stop=stop,
        should_end=ended,
        on_frames=lambda index, frames: heard_frames[index].append(frames),
    )
    for index, (take, n) in enumerate(zip(takes, order, strict=True)):
        whole = alone[n]
        assert torch.equal(take.codes.ids, whole.codes.ids[:, : take.frames])
        assert torch.equal(take.rows, whole.rows[: len(take.rows)])
        assert torch.equal(torch.cat(heard_frames[index] or [take.codes.ids], dim=1), take.codes.ids)
        if n in ends:
            assert take.frames < max(1, ends[n]) + poll or take.frames == whole.frames
        elif after is None:
            assert same(take, whole)
    again = session.generate(prompts[:2], chosen[:2])  # steps that nobody read have changed nothing
    assert all(same(a, b) for a, b in zip(again, alone, strict=False))


def test_a_row_goes_to_the_next_only_when_the_steps_in_flight_are_read(model, alone):
    """Two takes are ended while the device is at work on steps of theirs: who follows must not get these."""
    heard = dict.fromkeys(range(8), 0)

    def ended(index, frames):
        heard[index] += frames.shape[1]
        return index in (1, 2) and heard[index] >= 3

    session = Session(model, batch=2, poll=3, ahead=True)
    takes = session.generate(lines(model)[::-1], settings()[::-1], should_end=ended)
    for index, (take, whole) in enumerate(zip(takes, alone[::-1], strict=True)):
        assert same(take, whole) or index in (1, 2)
        assert torch.equal(take.codes.ids, whole.codes.ids[:, : take.frames])


@pytest.mark.parametrize("poll", POLLS)
def test_a_stream_is_the_same_and_may_be_left_while_the_device_works(model, alone, poll):
    session = Session(model, poll=poll, ahead=True)
    for _ in range(2):
        reading = session.stream(lines(model)[7], settings()[7])
        first = next(reading)
        assert session._running is not None and torch.equal(first.ids, alone[7].codes.ids[:, : first.frames])
        reading.close()
    chunks = [codes.ids for codes in session.stream(lines(model)[7], settings()[7])]
    assert torch.equal(torch.cat(chunks, dim=1), alone[7].codes.ids)
    assert same(session.generate(lines(model)[:1], settings()[:1])[0], alone[0])


def test_a_line_that_arrives_is_admitted_while_the_others_speak_on(model, alone):
    """A free row does not wait until a take is over."""
    prompts, chosen, order = lines(model), settings(), []

    def arrivals():
        yield prompts[7], chosen[7]
        yield from [None] * 4
        yield prompts[0], chosen[0]
        while True:
            yield None

    session = Session(model, batch=2, poll=2, ahead=True)
    takes = {}
    for number, codes, take in session.serve(arrivals(), positions=400, window=7):
        order += [number] * bool(codes.frames)
        if take is not None:
            takes[number] = take
    assert same(takes[0], alone[7]) and same(takes[1], alone[0])
    assert order.index(1) < len(order) - 1 - order[::-1].index(0), "the second spoke before the first was over"


def test_each_prompt_is_asked_for_once(model):
    asked = []
    session = Session(model, batch=2, poll=4, ahead=True)
    found = dict(session.takes(lines(model), settings(), wanted=lambda index: not asked.append(index)))
    assert len(found) == 8 and asked == list(range(8))


def test_the_device_has_the_next_steps_while_the_host_hears_the_last(model, monkeypatch):
    """Ahead: two blocks are begun before the first is read. Without it they take turns."""
    said, begin, end = [], Ring.begin, Ring.end
    monkeypatch.setattr(Ring, "begin", lambda self, *what: (said.append("begin"), begin(self, *what)))

    def noted(self, *what):
        drawn = end(self, *what)
        return lambda: (said.append("read"), drawn())[1]

    monkeypatch.setattr(Ring, "end", noted)
    Session(model, poll=4, ahead=True).generate(lines(model)[7:], settings()[7:])
    assert said[:5] == ["begin", "begin", "read", "begin", "read"]
    said.clear()
    Session(model, poll=4).generate(lines(model)[7:], settings()[7:])
    assert said[:4] == ["begin", "read", "begin", "read"]


def test_cancel_acts_within_the_blocks_that_the_device_has(model):
    """Nothing is given after should_stop has said so, and what was given is kept."""
    looks = iter(range(1000))
    [take] = Session(model, poll=4, ahead=True).generate(
        lines(model)[7:], Sampling(temperature=1.0, max_frames=59), should_stop=lambda: next(looks) >= 15
    )
    assert take.finish_reason == "cancelled" and 15 - 8 <= len(take.rows) <= 16


def test_numbers_out_of_range_are_told_with_steps_in_flight(tmp_path):
    broken = load_model(make_lm_checkpoint(tmp_path, stream_end=0))
    prompt = prompt_of(broken, "Hello.")
    broken.audio_head.weight.data[3] = torch.nan
    with pytest.raises(NumericError):
        Session(broken, poll=2, ahead=True, fused=False).generate([prompt], Sampling(max_frames=30))


@pytest.mark.parametrize("poll", [0, -1, 65])
def test_a_poll_out_of_range_is_refused(model, poll):
    with pytest.raises(SettingError, match="poll"):
        Session(model, poll=poll)


# ---- the recorded step ---------------------------------------------------------------------------------------------


def test_recordings_serve_until_the_weights_move(tmp_path, recorders):
    """To make room, and back: the recordings would read memory that holds other things by now."""
    model = some_model(tmp_path)
    session = Session(model, batch=3, capture=True)
    chosen = [Sampling(temperature=1.0, ras_window=7, seed=n, max_frames=10 + 5 * n) for n in range(8)]
    wanted = session.generate(lines(model), chosen)
    made = recorders[-1].recordings
    assert made >= 3
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), chosen), wanted, strict=True))
    assert recorders[-1].recordings == made and len(recorders) == 1, "played again"
    left = []
    for part in model.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    table[name] = tensor.clone() if name in part._buffers else torch.nn.Parameter(tensor.clone(), False)
                    left.append(tensor)
    for tensor in left:
        tensor.data.fill_(torch.nan) if tensor.is_floating_point() else tensor.data.fill_(0)
    assert all(same(a, b) for a, b in zip(session.generate(lines(model), chosen), wanted, strict=True))
    assert len(recorders) == 2 and recorders[-1].recordings == made


def test_a_recording_at_the_last_position_writes_no_further(tmp_path, recorders):
    """Calls that warm up stand where the step does: with a cache one position longer than a span the next would not
    be there."""
    model = load_model(make_lm_checkpoint(tmp_path, stream_end=0))
    prompt = prompt_of(model, "Hello.")
    frames = SPAN + 1 - len(prompt) - model.config.num_codebooks + 1
    chosen = Sampling(temperature=0.9, max_frames=frames)
    session = Session(model, capture=True)
    [take] = session.generate([prompt], chosen)
    assert session._prefixes.cache.capacity == SPAN + 2 and take.frames == frames
    assert same(take, Session(model, fused=False).generate([prompt], chosen)[0])


def test_other_settings_leave_the_recordings_of_before(model, recorders):
    """A server's lines ask for this and that: what was recorded for one kind serves again when it comes back."""
    prompt = prompt_of(model, "Hello.")
    kinds = [
        Sampling(temperature=1.0, top_k=0, seed=1, max_frames=12),
        Sampling(temperature=0.0, max_frames=12),
        Sampling(temperature=0.7, top_k=5, top_p=0.8, ras_window=7, seed=2, max_frames=12),
    ]
    wanted = [Session(model, fused=False).generate([prompt], one)[0] for one in kinds]
    session = Session(model, capture=True)
    session.generate([prompt], Sampling(temperature=1.0, ras_window=7, max_frames=40))  # room for all of them
    for _ in range(2):
        takes = [session.generate([prompt], one)[0] for one in kinds]
        assert all(same(a, b) for a, b in zip(takes, wanted, strict=True))
    [other] = session.generate(
        [prompt], Sampling(temperature=0.4, top_k=5, top_p=0.5, ras_window=3, seed=3, max_frames=12)
    )
    [plain] = Session(model, fused=False).generate([prompt], other.sampling)
    assert same(other, plain) and recorders[0].recordings == 4 and len(recorders) == 1


def test_the_recording_that_was_not_played_for_longest_makes_room(recorders, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST", 2)
    total, made = torch.zeros(1), []
    graphs = cuda_graphs.StepGraphs([total], total.device)
    for n, key in enumerate("abacab", 1):
        graphs.play(key, lambda: total.add_(1))
        assert total == n, "each is played once, recorded or not"
        made.append(recorders[0].recordings)
    assert made == [1, 2, 2, 3, 3, 4]


def test_a_batch_is_gone_with_its_last_user(model, recorders):
    """With its cache and its recordings, and not when Python looks for circles: the device's memory is small."""
    batch = DecodeBatch(model, model.new_cache(100), 4, 0, capture=True)
    seen = weakref.ref(batch)
    gc.disable()
    try:
        del batch
        assert seen() is None
    finally:
        gc.enable()


def weights_of(layout, folder):
    return load_model(make_v3_checkpoint(folder) if layout == "v3" else make_lm_checkpoint(folder))


@pytest.mark.parametrize("quantization, kernel", [(None, False), ("int8", False), ("int8", True), ("int4", False)])
@pytest.mark.parametrize("layout", ["v2", "v3"])
def test_a_step_never_waits_for_the_device(tmp_path, monkeypatch, layout, quantization, kernel):
    """On torch's meta device, which has shapes and no values: whoever asks for one gets an error."""
    model = weights_of(layout, tmp_path).bfloat16()
    if quantization:
        quantize_layers(model, quantization)
    model = model.to("meta")
    batch = DecodeBatch(model, model.new_cache(400, batch=3), 4, 7, capture=False)
    chosen = [Sampling(temperature=1.0, ras_window=7), Sampling(temperature=0), Sampling(top_k=0, top_p=0.8)]
    batch.speak_as([one.filled_in(model.config.released) for one in chosen])
    # is found out once, while the prompt is read
    monkeypatch.setattr("higgs_runtime.model.quantization._has_int8_kernel", lambda device: kernel)
    with NoWaiting() as seen:
        batch._step(3, 256)
    assert len(seen.found) > 100
    names = {func.overloadpacket.__name__ for func, *_ in seen.found}
    assert not names & {"index_copy_", "index_copy"}, "what MPS has only of late"
    assert not any(
        "copy" in func.overloadpacket.__name__ and kwargs.get("device") not in (None, torch.device("meta"))
        for func, _, kwargs, _ in seen.found
    ), names


@pytest.mark.parametrize("call", [torch.Tensor.item, bool, torch.nonzero])
def test_the_recorder_refuses_what_waits(call):
    with pytest.raises(Waited), NoWaiting():
        call(torch.ones(1))
