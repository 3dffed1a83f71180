"""What every codec of the pack can do: clip -> codes, codes -> clip, codes as they arrive -> clips.

Letters in shapes: K codebooks, F frames, C channels, T samples.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ..audio.clip import AudioClip, resample, to_mono
from ..cores import threads_for
from ..errors import AudioError
from ..types import Codes, same_codec
from .recorded import WindowGraphs
from .steps import OnProgress, reporting
from .windows import DecodeWindows, activation_bytes, decoder_context

DECODE_WINDOW_SECONDS = 3.0  # the fastest on a CPU, whose caches it fits; longer ones take memory in proportion
FRAME_RATE_TOLERANCE = 0.01  # relative: 86.1 and 86.13 are the same rate
HASHED = 256  # numbers
SMALL_DECODER = 4_000_000  # weights; the operations of a smaller decoder are short


class Codec(ABC):
    """An audio codec: its weights in `module`, and how to go to codes and back.

    `module` may be moved or cast at any time by whoever manages memory; every call works on the device and in the
    dtype it finds there. Results are on the CPU. A codec keeps no state between calls.

    Attributes:
        module: the network, in eval mode.
        max_encode_seconds: longest clip that `encode` accepts.
        can_record: decoding waits for nothing and stays on the device, so that it can be recorded there.
        named_codes_only: refuses codes whose codec is not known; for a codec that would make noise of most of them.
    """

    max_encode_seconds: float
    named_codes_only = False
    can_record = False

    def __init__(self, module: nn.Module, decoder: nn.Module, hop: int):
        self.module = module.eval()
        self.hop = hop
        self._decoder = decoder
        self._decode_context = decoder_context(decoder, hop)
        self._graphs = WindowGraphs(self.module, self.can_record)
        self._is_small = sum(weight.numel() for weight in decoder.parameters()) < SMALL_DECODER

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples per second of the audio that the codec reads and makes."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """K."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Entries of one codebook."""

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @cached_property
    def identity(self) -> str:
        """16 hexadecimal digits that stand for the codebooks: codes mean the same to codecs of one identity.

        The start of the SHA-256 of all entries, codebook by codebook, as float16 (little-endian). Device and dtype
        of the codec do not change it.
        """
        return self._hash(lambda entries: entries.half().numpy().astype("<f2"))

    @cached_property
    def signature(self) -> str:
        """`identity`, "~", and the same of the entries as bfloat16: what codes carry.

        The codec inside v3 is in bfloat16, v2's own in float32. Where one is the other rounded they have the second
        hash in common, and codes of one are decoded by the other.
        """
        rounded = self._hash(lambda entries: entries.bfloat16().float().numpy().astype("<f4"))
        return f"{self.identity}~{rounded}"

    def _hash(self, form: Callable[[torch.Tensor], np.ndarray]) -> str:
        """The start of the SHA-256 of all entries in this form, codebook by codebook."""
        digest = hashlib.sha256()
        for entries in self._codebooks():
            digest.update(form(entries.detach().cpu().contiguous()).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def weights_hash(self) -> str:
        """What stands for all weights and their dtypes: what codecs of one hash make of a clip is the same.

        The SHA-256 of each tensor's name, dtype and shape, and of its first, middle and last HASHED numbers: weights
        that were trained further differ everywhere, and gigabytes need not be read.
        """
        digest = hashlib.sha256()
        for name, tensor in self.module.state_dict().items():
            flat = tensor.detach().flatten()
            middle = max(0, (flat.numel() - HASHED) // 2)
            some = torch.cat([flat[:HASHED], flat[middle : middle + HASHED], flat[-HASHED:]])
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
            digest.update(some.double().cpu().numpy().astype("<f8").tobytes())
        return digest.hexdigest()

    def takes(self, codec: str) -> bool:
        """Whether it decodes codes of the codec with this identity or signature; "" stands for one not known."""
        return same_codec(codec, self.signature) if codec else not self.named_codes_only

    @abstractmethod
    def _codebooks(self) -> list[torch.Tensor]:
        """The entries of each codebook [N, width], in order, as the file holds them."""

    @abstractmethod
    def encode_bytes(self, seconds: float) -> int:
        """About what `encode` takes beside the weights for a clip of this length (see windows.activation_bytes)."""

    @abstractmethod
    def _encode_wave(self, wave: torch.Tensor) -> torch.Tensor:
        """Mono float32 samples [T], T >= 1, at the codec's rate, on the CPU -> ids [K, F]."""

    @abstractmethod
    def _encode_steps(self, seconds: float) -> list[tuple[nn.Module, int]]:
        """The modules whose calls are the steps of `_encode_wave`, each with how often it is called."""

    @abstractmethod
    def _decode_ids(self, ids: torch.Tensor) -> torch.Tensor:
        """ids [K, F], F >= 1, on any device -> samples [C, about F * hop]."""

    def encode(self, clip: AudioClip, *, on_progress: OnProgress | None = None) -> Codes:
        """Turns a clip into codes: mixed down to mono and resampled to `sample_rate` first.

        Args:
            clip: any channel count and rate, 1 sample to `max_encode_seconds`.
            on_progress: called with (steps done, steps in all) after resampling and after each layer, window and
                codebook; what it raises ends the call.

        Returns:
            Codes with ids [K, F] on the CPU.

        Raises:
            AudioError: no samples, NaN or infinite samples, too long, or numbers that leave the range of the dtype.
        """
        self._check_clip(clip)
        mono = resample(to_mono(clip), self.sample_rate)
        with torch.no_grad(), reporting(on_progress, self._encode_steps(mono.seconds)):
            ids = self._encode_wave(mono.samples[0])
        return Codes(ids.long().cpu(), self.frame_rate, self.codebook_size, self.signature)

    def decode(self, codes: Codes, *, edges: bool = True, on_progress: OnProgress | None = None) -> AudioClip:
        """Turns codes into audio, in windows of a few seconds so that memory stays bounded.

        Args:
            codes: of this codec, or (unless `named_codes_only`) of unknown origin and the same shape; at least one
                frame.
            edges: the decoder sees copies of the first and of the last frame beyond the ends, for clean ends. False:
                zeros, as the reference implementation has them.
            on_progress: called with (frames done, frames in all) after each window; what it raises ends the call.

        Returns:
            AudioClip [C, T] on the CPU, T = F * hop for the Higgs tokenizer.

        Raises:
            AudioError: codes of another codec, or of an unknown one where that is refused, or without frames.
        """
        self._check_codes(codes)
        if codes.frames == 0:
            raise AudioError(
                "There is nothing to decode.",
                expected="at least one frame of codes",
                got="0 frames",
                remedy="Check the report of the generation: it ended before the first frame was complete.",
            )
        pieces = []
        with closing(self._windows(edges).whole(codes.ids.cpu())) as found:
            for done, samples in found:
                pieces.append(samples)
                if on_progress is not None:
                    on_progress(done, codes.frames)
        return AudioClip(torch.cat(pieces, dim=1), self.sample_rate)

    def decode_stream(self, chunks: Iterable[Codes], *, edges: bool = True) -> Generator[AudioClip, None, None]:
        """Turns codes into audio while they arrive; all clips in a row equal `decode` of all chunks in a row.

        The sound of a frame depends on some frames after it, so clips lag behind the chunks (10 frames, 0.4 s, with
        the released Higgs tokenizer) and the rest comes when the chunks end. Each clip decodes its context anew:
        chunks of half a second and more keep that cheap. Chunks without frames are skipped; without any frame at
        all nothing is yielded.

        Args:
            chunks: consecutive frames, any number in each.
            edges: as in `decode`.

        Raises:
            AudioError: a chunk of another codec, or of an unknown one where that is refused.
        """

        decoder = self.decoder(edges=edges)
        for codes in chunks:
            yield from decoder.push(codes)
        yield from decoder.finish()

    def decoder(self, *, edges: bool = True) -> StreamDecoder:
        """`decode_stream` for whoever has the codes of several streams at once."""
        return StreamDecoder(self, edges)

    def decode_bytes(self, seconds: float) -> int:
        """About what `decode` takes beside the weights for so much audio: one window's activations, and the sound
        itself, which is there twice while its windows are joined."""
        sound = math.ceil(4 * self.hop * self.frame_rate * seconds)
        return max(self._window_bytes(seconds) + (sound if seconds > self._decode_seconds else 0), 2 * sound)

    def _window_bytes(self, seconds: float) -> int:
        context = (self._decode_context.left + self._decode_context.right) / self.frame_rate
        return activation_bytes(self._decoder, self.frame_rate, min(seconds, self._decode_seconds + context))

    @property
    def _decode_seconds(self) -> float:
        """Of a window, its context not counted."""
        return DECODE_WINDOW_SECONDS

    def _windows(self, edges: bool) -> DecodeWindows:
        window = max(1, round(self._decode_seconds * self.frame_rate))
        return DecodeWindows(
            self._decode_window, hop=self.hop, context=self._decode_context, window=window, edges=edges
        )

    def _decode_window(self, ids: torch.Tensor, kept: tuple[int, int, bool] | None = None) -> torch.Tensor:
        def decode(ids: torch.Tensor) -> torch.Tensor:
            return self._decode_ids(ids) if kept is None else self._decode_kept(ids, *kept)

        with torch.no_grad(), threads_for(short=self._is_small):
            return self._graphs.decode(ids, decode, kept or ())

    def _decode_kept(self, ids: torch.Tensor, first: int, stop: int, last: bool) -> torch.Tensor:
        """The samples first..stop - 1 of what ids [K, F] decode to.

        Args:
            last: what is behind them is only context, and may be a few samples short of the hop: so are they then.
        """
        samples = self._decode_ids(ids)
        behind = ids.shape[1] * self.hop - stop
        return samples[:, first : samples.shape[1] - behind if last else stop]

    def _check_clip(self, clip: AudioClip) -> None:
        if clip.samples.shape[-1] == 0:
            raise AudioError(
                "The clip is empty.",
                expected="at least one sample",
                got="0 samples",
                remedy="Check the trim settings and the file of the clip.",
            )
        if clip.seconds > self.max_encode_seconds:
            raise AudioError(
                "The clip is too long to encode.",
                expected=f"at most {self.max_encode_seconds:.0f} s",
                got=f"{clip.seconds:.1f} s",
                remedy="Trim it; a reference of 5 to 15 s is enough to clone a voice.",
            )

    def _check_codes(self, codes: Codes) -> None:
        what, remedy = "These codes belong to another codec.", "Decode with the codec that the codes were made with."
        mine = (self.num_codebooks, self.codebook_size)
        near = abs(codes.frame_rate - self.frame_rate) <= FRAME_RATE_TOLERANCE * self.frame_rate
        if (codes.num_codebooks, codes.codebook_size) != mine or not near:
            expected = f"{mine[0]} codebooks of {mine[1]} at {self.frame_rate:g} frames a second"
            got = f"{codes.num_codebooks} codebooks of {codes.codebook_size} at {codes.frame_rate:g}"
        elif self.takes(codes.codec):
            return
        elif codes.codec:
            expected, got = f"codes of codec {self.identity}", f"codes of codec {codes.codec.partition('~')[0]}"
        else:
            what, remedy = "These codes do not say which codec they are of.", "Choose the codec of the model's release."
            expected, got = f"codes of codec {self.identity}", "codes that name no codec"
        raise AudioError(what, expected=expected, got=got, remedy=remedy)


class StreamDecoder:
    """Turns codes of one stream into audio while they arrive; see `Codec.decode_stream`."""

    def __init__(self, codec: Codec, edges: bool = True):
        self._codec, self._windows = codec, codec._windows(edges)

    def push(self, codes: Codes) -> Iterator[AudioClip]:
        """The sound that the next frames, any number, make complete.

        Raises:
            AudioError: codes of another codec, or of an unknown one where that is refused.
        """
        self._codec._check_codes(codes)
        if codes.frames:
            yield from self._clips(self._windows.push(codes.ids.cpu()))

    def finish(self) -> Iterator[AudioClip]:
        """What has been held back."""
        yield from self._clips(self._windows.finish())

    def _clips(self, found: Iterable[tuple[int, torch.Tensor]]) -> Iterator[AudioClip]:
        return (AudioClip(samples, self._codec.sample_rate) for _, samples in found)


def check_finite(values: torch.Tensor, module: nn.Module) -> None:
    """Refuses an encoding that left the range of its dtype: its codes would be noise.

    Raises:
        AudioError: NaN or infinity among the values.
    """
    if not torch.isfinite(values).all():
        dtype = next(module.parameters()).dtype
        raise AudioError(
            "The codec computed numbers out of range.",
            expected="finite values",
            got=f"NaN or infinity in {dtype}",
            remedy="Load the codec in float32, and check that the clip is not far beyond full scale.",
        )
