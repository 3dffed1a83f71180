"""A model's steps through the compiled function: buffers, addresses, and the threads that run it together.

Letters in shapes: B rows, P rows with those that fill up the last four, K codebooks, W rows of history, H hidden.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor, nn

from ...cores import TeamSize, available
from ...kept import compiled_before
from ...model import HiggsModel, KVCache, ModelConfig
from ...model.linear import Linear
from ...model.quantization import Int4Linear, Int8Linear
from ...model.transformer import Layer, Path as LayerPath, RMSNorm
from ...types import Sampling
from ..sampling import kept_ids
from . import kernels
from .tiles import FOUR, GROUP
from .vectors import LANES

Matrix = Linear | Int8Linear | Int4Linear
FAR = 2**62  # no step comes to so many meetings
MATRICES_APART = 3, 1, 2, 1  # that may lie apart: q, k, v; o; gate, up; down
UNREADABLE = 0, 0  # the form of a matrix that the compiled step cannot read
SMALLEST = ModelConfig(
    vocab_size=4,
    hidden_size=LANES,
    intermediate_size=LANES,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=LANES,
    norm_eps=1e-5,
    max_positions=1,
    num_codebooks=1,
    codebook_rows=LANES,
    audio_token_id=0,
    audio_delay_token_id=1,
    audio_bos_token_id=2,
    stream_bos_id=LANES - 2,
    stream_eos_id=LANES - 1,
)


class FusedStep:
    """Steps of the first rows of a cache. It holds addresses: it must not outlive a run, in which weights stay.

    Args:
        model: for which `serves` is true.
        cache: its rows' lengths say where they write.
        threads: that share the work; None: as many as torch uses and the process has cores for.
        team_size: says how many of them go through the next step; None: all.
    """

    def __init__(
        self, model: HiggsModel, cache: KVCache, threads: int | None = None, team_size: TeamSize | None = None
    ):
        self.threads, self._team_size = threads or min(torch.get_num_threads(), available()), team_size
        config = self._config = model.config
        self._cache = cache
        self._begin = None  # what is read where a stream begins, if that is a token
        if config.begin_is_token:
            self._begin = model.text_embedding.weight[config.audio_bos_token_id].detach().float().numpy()
        self._codes = _readable(model.audio_embedding.weight)
        self._offsets = model.codebook_offsets.numpy()
        self._forms = *_form(model.layers[0].attention.qkv), _form(model.audio_head)[0]
        self._norms = _Norms()
        layers = [_addresses(layer, self._norms) for layer in model.layers]
        self._layers = np.array(layers, np.int64)
        self._ends = np.array([self._norms.address(model.norm), *_places(model.audio_head)], np.int64)
        self._stores = _table(cache.keys, cache.values)
        self._rope = cache.rope.numpy()
        self._ids = config.codebook_rows
        self._meetings = kernels.MEETINGS_A_LAYER * config.num_layers + kernels.MEETINGS_AT_THE_END
        self._counter, self._met = np.zeros(1, np.int64), 0  # how often threads have met, and should have
        self._others = ThreadPoolExecutor(max(1, self.threads - 1), "higgs-step")
        self._running: list[Future[float]] = []
        self._before = None  # the last step: its threads, how long it took, and how long this thread was run for
        self._settings: tuple[np.ndarray, ...] = ()
        self._made: dict[int, tuple] = {}

    def speak_as(self, sampling: Sequence[Sampling]) -> None:
        """How the rows sample from now on."""
        self._settings = columns_of(sampling, self._ids)

    def draw(self, last: Tensor, history: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Each row reads its last ids and draws the next ones.

        Args:
            last: LongTensor [B, K].
            history: LongTensor [W, B, K].
            uniform: float32 [2, B, K].

        Returns:
            LongTensor [B, K], and float32 [B] that is NaN where logits were not finite. The next call overwrites them.

        Raises:
            SettingError: a row is full.
        """
        count = len(last)
        self._cache.check(max(self._cache.lengths[:count]) + 1)
        x, logits, between, found = self._buffers(count)
        self._embed(last.numpy(), x)
        draws = (
            *self._settings,
            self._config.codebook_size,
            np.ascontiguousarray(history.numpy()),
            np.ascontiguousarray(uniform.numpy()),
        )
        positions = np.array(self._cache.lengths[:count], np.int64)
        self._run(
            self._config.norm_eps,
            self._forms,
            self._layers,
            self._ends,
            self._stores,
            tuple(self._cache.keys.shape),
            self._rope,
            x,
            positions,
            logits,
            between,
            draws,
            found,
        )
        return torch.from_numpy(found[0]), torch.from_numpy(found[1]).sum(dim=1)

    def logits(self, count: int) -> Tensor:
        """Those of the last step, float32 [B, K, V]."""
        return torch.from_numpy(self._made[count][1][:count]).unflatten(1, (-1, self._ids))

    def _embed(self, ids: np.ndarray, x: np.ndarray) -> None:
        _widened(self._codes[ids + self._offsets]).sum(axis=1, out=x[: len(ids)])
        if self._begin is not None:
            x[: len(ids)][(ids == self._config.stream_bos_id).all(axis=1)] = self._begin
        x[len(ids) :] = 0

    def _run(self, *what) -> None:
        """The step by a team of threads: this one is the first of them."""
        others, self._running = self._running, []
        try:
            # they have met us at the end of their step, and need not be waited for until now
            team = self._team([other.result() for other in others])
            compiled, started = len(kernels.step.overloads), time.perf_counter()
            for thread in range(1, team):
                self._running.append(self._others.submit(_part, *what, self._counter, self._met, thread, team))
            ran = _part(*what, self._counter, self._met, 0, team)
        except BaseException:
            self._counter[0] = FAR  # nobody waits for one that does not come
            wait(self._running)
            self._counter[0], self._met, self._running, self._before = 0, 0, [], None
            raise
        self._met += team * self._meetings
        waited = len(kernels.step.overloads) != compiled  # for the compiler
        self._before = None if waited else (team, time.perf_counter() - started, ran)

    def _team(self, others: list[float]) -> int:
        """How many threads go through the next step; `others` were run for so long in the last one."""
        if self._team_size is None:
            return self.threads
        if self._before is not None:
            team, took, ran = self._before
            self._team_size.note(team, took, min([ran, *others]))
        return self._team_size.size(self.threads)

    def _buffers(self, count: int) -> tuple:
        if count not in self._made:
            c, filled = self._config, 1 if count == 1 else -(-count // FOUR) * FOUR

            def area(width: int, rows: int = filled) -> np.ndarray:
                return np.zeros((rows, width), np.float32)

            between = (
                area((c.num_heads + 2 * c.num_kv_heads) * c.head_dim),
                area(c.num_heads * c.head_dim),
                area(c.intermediate_size),
            )
            found = np.zeros((count, c.num_codebooks), np.int64), area(c.num_codebooks, count)
            self._made[count] = area(c.hidden_size), area(c.num_codebooks * c.codebook_rows), between, found
        return self._made[count]


def _part(*what) -> float:
    """One thread's part of a step. Returns for how many seconds it was run."""
    started = time.thread_time()
    kernels.step(*what)
    return time.thread_time() - started


def columns_of(sampling: Sequence[Sampling], ids: int) -> tuple[np.ndarray, ...]:
    """The settings of B rows for V = `ids` ids, in the order of `draw`."""
    return (
        np.array([one.temperature for one in sampling], np.float32),
        np.array([one.top_p for one in sampling], np.float32),
        np.array([kept_ids(one, ids) for one in sampling], np.int64),
        np.array([one.ras_window for one in sampling], np.int64),
        np.array([one.ras_max_repeats for one in sampling], np.int64),
    )


def serves(model: HiggsModel, cache: KVCache) -> bool:
    """Whether the compiled step can run a model: on a CPU, of float32 or bfloat16, matrices of the layers perhaps in 8
    or 4 bits, sizes that are multiples of 8 (64 but in float32), no biases, and nobody who waits for a module to be
    called."""
    config = model.config
    forms = {_form(part) for layer in model.layers for part in _matrices(layer)}
    sizes = (config.hidden_size, config.intermediate_size, config.num_codebooks * config.codebook_rows, config.head_dim)
    return (
        len(forms) == 1
        and UNREADABLE not in forms
        and _form(model.audio_head)[0] in (32, 16)
        and all(size % LANES == 0 for size in sizes)
        and cache.keys.dtype == torch.float32
        and cache.keys.device.type == "cpu"
        and model.audio_embedding.weight.dtype in (torch.float32, torch.bfloat16)
        and not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    )


def compile_it() -> None:
    """Take one step with the smallest model: the types of what a step is given are those of any model."""
    model = HiggsModel(SMALLEST).requires_grad_(False)
    ids = torch.zeros(1, SMALLEST.num_codebooks, dtype=torch.long)
    step = FusedStep(model, model.new_cache(1), threads=1)
    step.speak_as([Sampling().filled_in(SMALLEST.released)])
    step.draw(ids, ids.new_zeros(0, *ids.shape), torch.zeros(2, *ids.shape))


def is_kept() -> bool:
    """Whether this step was compiled before, here."""
    return compiled_before(kernels.step)


def _form(part: nn.Module) -> tuple[int, int]:
    """Of a matrix that the compiled step can read: bits of a weight, bytes of a scale (0: it has none)."""
    if not isinstance(part, Matrix) or part.bias is not None:
        return UNREADABLE
    weights = part.matrices if isinstance(part, Linear) else [part.weight]
    if not all(weight.device.type == "cpu" and weight.is_contiguous() for weight in weights):
        return UNREADABLE
    features = weights[0].shape[1]
    if isinstance(part, Linear):
        bits = {torch.float32: 32, torch.bfloat16: 16}.get(weights[0].dtype, 0)
        return UNREADABLE if bits == 0 or (bits == 16 and features % GROUP) else (bits, 0)
    bits, scale = 8 if isinstance(part, Int8Linear) else 4, part.scale
    features = features * 8 // bits
    fits = features % GROUP == 0 and scale.shape[1:] in ((), (features // GROUP,)) and scale.is_contiguous()
    return (bits, scale.element_size()) if fits and scale.dtype in (torch.float32, torch.bfloat16) else UNREADABLE


def _audio(layer: Layer) -> LayerPath:
    return layer.audio or layer.text


def _matrices(layer: Layer) -> list[Matrix]:
    feed = _audio(layer).ffn
    return [layer.attention.qkv, layer.attention.o, feed.gate_up, feed.down]


def _addresses(layer: Layer, norms: _Norms) -> list[int]:
    """In the order of `kernels.step`."""
    path, heads = _audio(layer), layer.attention
    found = [norms.address(norm) for norm in (path.attention_norm, path.ffn_norm, heads.q_norm, heads.k_norm)]
    for part, apart in zip(_matrices(layer), MATRICES_APART, strict=True):
        found += _places(part, apart)
    return found


def _places(part: Matrix, apart: int = 1) -> list[int]:
    """Weights, scales and features of each of the matrices that may lie apart; where they lie below each other, the
    first has the features of all."""
    scale = 0 if isinstance(part, Linear) else part.scale.data_ptr()
    weights = part.matrices if isinstance(part, Linear) else [part.weight]
    found = [number for weight in weights for number in (weight.data_ptr(), scale, len(weight))]
    return found + [0] * (3 * apart - len(found))


class _Norms:
    """Weights of norms in float32: they are few, and copied where they are in another format."""

    def __init__(self):
        self._kept: list[Tensor] = []

    def address(self, norm: RMSNorm | None) -> int:
        """0: there is none."""
        if norm is None:
            return 0
        self._kept.append(norm.weight.detach().float())
        return self._kept[-1].data_ptr()


def _readable(weight: Tensor) -> np.ndarray:
    """The same memory as NumPy knows it, which has no bfloat16."""
    weight = weight.detach()
    return weight.view(torch.int16).numpy() if weight.dtype == torch.bfloat16 else weight.numpy()


def _widened(rows: np.ndarray) -> np.ndarray:
    """In float32, of which bfloat16 is the upper half."""
    return rows if rows.dtype == np.float32 else (rows.astype(np.int32) << 16).view(np.float32)


def _table(*tensors: Tensor) -> np.ndarray:
    return np.array([tensor.data_ptr() for tensor in tensors], np.int64)
