"""The Higgs tokenizer against transformers, on a small random checkpoint; and what every codec promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers_codec import RATE, SMALL, make_codec_checkpoint, reference_codes, reference_wave, sound_like

from higgs_runtime.audio.clip import AudioClip, resample, to_mono
from higgs_runtime.codec import load_codec
from higgs_runtime.codec.higgs_config import HiggsCodecConfig
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec
from higgs_runtime.codec.resample import sinc_resample
from higgs_runtime.errors import AudioError, CheckpointError
from higgs_runtime.types import Codes

VOICES = Path(__file__).resolve().parents[3] / "shared" / "voices"
WAVE_TOLERANCE = 1e-5
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "small")


@pytest.fixture(scope="module")
def codec(folder):
    return load_codec(folder)


@pytest.fixture(scope="module")
def reference(folder):
    from transformers import HiggsAudioV2TokenizerModel

    return HiggsAudioV2TokenizerModel.from_pretrained(folder).eval()


def clip_of(wave: torch.Tensor, rate: int = RATE) -> AudioClip:
    return AudioClip(wave[None], rate)


def random_codes(frames: int, codebooks: int = 8, size: int = 1024, rate: float = 25.0) -> Codes:
    ids = torch.randint(0, size, (codebooks, frames), generator=torch.Generator().manual_seed(frames))
    return Codes(ids, rate, size)


def assert_parity(codec, reference, wave: torch.Tensor, record_property) -> None:
    """The compiled loops sum up in another order: of two entries that are as near as rounding, a code may be either."""
    codes, theirs = codec.encode(clip_of(wave)), reference_codes(reference, wave)
    assert (codes.ids != theirs).any(dim=0).sum() <= codes.frames // 1000
    deviation = (codec.decode(codes, edges=False).samples - reference_wave(reference, codes.ids)).abs().max().item()
    record_property("wave_deviation", deviation)
    assert deviation <= WAVE_TOLERANCE


def test_checkpoint_is_a_fair_test(codec, reference):
    """All codebooks are used, codes follow the sound, decoded sound is neither silent nor beyond full scale."""
    ids = codec.encode(clip_of(sound_like(10))).ids
    assert min(len(row.unique()) for row in ids) > 100
    samples = codec.decode(Codes(ids, 25.0, 1024)).samples
    assert 0.03 < samples.std() < 0.3
    assert not torch.equal(ids, codec.encode(clip_of(sound_like(10, seed=2))).ids)


def test_sizes(codec):
    assert (codec.sample_rate, codec.frame_rate, codec.num_codebooks, codec.codebook_size) == (24_000, 25.0, 8, 1024)
    assert not codec.module.training


@pytest.mark.parametrize("samples", [119, 120, 480, 959, 960, 961, 1098, 1099, 1100, 1919, 1921, 2881, 12_000, 24_001])
def test_parity_of_short_clips(codec, reference, samples, record_property):
    assert_parity(codec, reference, sound_like(samples / RATE), record_property)


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_parity_of_long_clips(codec, reference, seconds, record_property):
    assert_parity(codec, reference, sound_like(seconds), record_property)


@pytest.mark.parametrize("name", ["en_man.wav", "en_woman.wav"])
def test_parity_of_real_clips(codec, reference, name, record_property):
    if not (VOICES / name).is_file():
        pytest.skip(f"no real clip at {VOICES / name}")
    clip = resample(to_mono(AudioClip.load(VOICES / name)), RATE)
    assert_parity(codec, reference, clip.samples[0], record_property)


@pytest.mark.parametrize("samples", [1, 2, 118])
def test_clips_too_short_for_hubert_are_padded(codec, reference, samples):
    wave = sound_like(samples / RATE)
    with pytest.raises(RuntimeError):  # where the reference ends, so that the choice below stays ours to make
        reference_codes(reference, wave)
    codes = codec.encode(clip_of(wave))
    padded = torch.nn.functional.pad(wave, (0, 119 - samples))
    assert torch.equal(codes.ids, reference_codes(reference, padded))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            {"codebook_size": 256, "target_bandwidths": [0.2, 0.4, 0.8], "codebook_dim": 12}, marks=pytest.mark.slow
        ),
        pytest.param({"block_dilations": [1, 3], "kernel_size": 5, "unit_kernel_size": 5}, marks=pytest.mark.slow),
        {
            "acoustic_model_config": {
                **SMALL["acoustic_model_config"],
                "downsampling_ratios": [6, 5, 4, 4, 2],
                "upsampling_ratios": [2, 2, 4, 4, 3, 5],
                "decoder_hidden_size": 128,
            },
            "semantic_model_config": {
                **SMALL["semantic_model_config"],
                "do_stable_layer_norm": True,
                "feat_extract_norm": "layer",
                "conv_dim": [8, 16, 32],
                "conv_stride": [5, 8, 8],
                "conv_kernel": [10, 8, 8],
                "conv_bias": True,
            },
        },
    ],
    ids=["four_codebooks", "wide_kernels", "other_strides"],
)
def test_parity_of_other_configs(tmp_path, config, record_property):
    from transformers import HiggsAudioV2TokenizerModel

    folder = make_codec_checkpoint(tmp_path, **config)
    reference = HiggsAudioV2TokenizerModel.from_pretrained(folder).eval()
    codec = load_codec(folder)
    assert codec.num_codebooks == reference.config.num_quantizers
    for samples in (961, 36_000):
        assert_parity(codec, reference, sound_like(samples / RATE), record_property)


def test_attention_implementations_agree(folder, codec):
    clip = clip_of(sound_like(5))
    assert torch.equal(HiggsCodec.load(folder, attention="eager").encode(clip).ids, codec.encode(clip).ids)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_half_precision_stays_near(folder, codec, dtype):
    half = load_codec(folder, dtype=dtype)
    assert {parameter.dtype for parameter in half.module.parameters()} == {dtype}
    codes = codec.encode(clip_of(sound_like(2)))
    agreement = (half.encode(clip_of(sound_like(2))).ids[0] == codes.ids[0]).float().mean()
    assert agreement > 0.6
    whole, near = codec.decode(codes).samples, half.decode(codes).samples
    assert near.dtype == torch.float32
    assert (whole - near).abs().max() < 0.1 * whole.abs().max()


def test_distances_are_computed_in_float32():
    from higgs_runtime.codec.quantizer import Codebook

    book = Codebook(2, 1)
    book.embed[:, 0] = torch.tensor([300.0, 301.0])  # squares beyond float16
    assert book.half().nearest(torch.tensor([[[301.0]]]).half()).item() == 1


def test_module_may_be_moved_to_another_dtype(folder):
    codec = load_codec(folder)
    codec.module.to(torch.bfloat16)
    assert codec.decode(codec.encode(clip_of(sound_like(0.5)))).samples.dtype == torch.float32


def test_any_rate_and_channel_count_is_read(codec):
    wave = sound_like(2.0)
    stereo_48k = resample(clip_of(wave), 48_000).samples.repeat(8, 1)
    codes = codec.encode(AudioClip(stereo_48k, 48_000))
    assert codes.frames == 50
    assert (codes.ids[0] == codec.encode(clip_of(wave)).ids[0]).float().mean() > 0.8


# --- windows and streams --------------------------------------------------------------------------------------------


def whole_pass(codec, codes: Codes) -> torch.Tensor:
    with torch.no_grad():
        return codec._decode_ids(codes.ids)


EDGES = [pytest.param(frames, marks=pytest.mark.slow) for frames in (249, 260, 271, 600)]


@pytest.mark.parametrize("frames", [250, 251, *EDGES])
def test_windows_equal_a_whole_pass(codec, frames):
    codes = random_codes(frames)
    samples = codec.decode(codes, edges=False).samples
    assert samples.shape == (1, frames * 960)
    assert (samples - whole_pass(codec, codes)).abs().max() <= WAVE_TOLERANCE


@pytest.mark.parametrize("frames", [1, 2, 76, pytest.param(250, marks=pytest.mark.slow)])
def test_edges_are_those_of_a_pass_with_copies_of_the_first_and_the_last_frame(codec, frames):
    """More copies than the decoder sees change nothing; samples that see no edge are those without them."""
    codes, copies, context = random_codes(frames), 16, codec._decode_context
    ids = torch.cat([codes.ids[:, :1].expand(-1, copies), codes.ids, codes.ids[:, -1:].expand(-1, copies)], dim=1)
    wanted = whole_pass(codec, Codes(ids, 25.0, 1024))[:, copies * 960 : -copies * 960]
    found, without = codec.decode(codes).samples, codec.decode(codes, edges=False).samples
    assert found.shape == wanted.shape == without.shape == (1, frames * 960)
    assert (found - wanted).abs().max() <= WAVE_TOLERANCE
    inside = slice(context.left * 960, max(0, frames - context.right) * 960)
    assert (found - without)[:, inside].abs().sum() <= WAVE_TOLERANCE * frames * 960
    assert (found - without)[:, :960].abs().max() > 10 * WAVE_TOLERANCE


def test_the_off_switch_is_the_old_way_in_streams_too(codec):
    codes = random_codes(90)
    clips = codec.decode_stream([Codes(ids, 25.0, 1024) for ids in codes.ids.split(30, dim=1)], edges=False)
    streamed = torch.cat([clip.samples for clip in clips], dim=1)
    assert (streamed - whole_pass(codec, codes)).abs().max() <= WAVE_TOLERANCE


def test_context_is_as_wide_as_the_decoder_sees_and_no_wider(folder):
    """By the plain decoder: in the fused one a tile's other samples show in the last bits."""
    codec = HiggsCodec.load(folder, fused=False)
    codes = random_codes(60)
    changed = codes.ids.clone()
    changed[:, 30] = (changed[:, 30] + 1) % 1024
    difference = (whole_pass(codec, codes) - whole_pass(codec, Codes(changed, 25.0, 1024)))[0].view(60, 960)
    touched = difference.abs().amax(1).nonzero().flatten()
    assert (touched.min(), touched.max()) == (30 - codec._decode_context.right, 30 + codec._decode_context.left)


@pytest.mark.parametrize("sizes", [[40], [1] * 30, [0, 7, 0, 25, 1, 30, 0], [5, 300, 13]], ids=str)
def test_stream_equals_decode(codec, sizes):
    codes = random_codes(sum(sizes))
    chunks = [Codes(ids, 25.0, 1024) for ids in codes.ids.split(sizes, dim=1)]
    clips = list(codec.decode_stream(iter(chunks)))
    streamed = torch.cat([clip.samples for clip in clips], dim=1)
    assert streamed.shape == (1, sum(sizes) * 960)
    assert (streamed - codec.decode(codes).samples).abs().max() <= WAVE_TOLERANCE


def test_stream_emits_as_soon_as_the_context_is_there(codec):
    pulled = []

    def chunks():
        for number in range(20):
            pulled.append(number)
            yield random_codes(2)

    next(codec.decode_stream(chunks()))
    assert 2 * len(pulled) == codec._decode_context.right + 2


def test_stream_of_nothing_is_empty(codec):
    assert list(codec.decode_stream([])) == []
    assert list(codec.decode_stream([random_codes(0)])) == []


def test_long_acoustic_encoding_in_windows_equals_a_whole_pass(codec):
    from higgs_runtime.codec.windows import encode_windows

    wave = sound_like(20)[None, None]
    with torch.no_grad():
        whole = codec.module.acoustic_encoder(wave)
        pieces = encode_windows(wave, codec.module.acoustic_encoder, hop=960, context=codec._encode_context, window=40)
    assert pieces.shape == whole.shape
    assert (pieces - whole).abs().max() <= WAVE_TOLERANCE


@pytest.mark.slow
def test_clip_beyond_one_encoding_window_matches(codec, reference):
    wave = sound_like(70)
    assert (codec.encode(clip_of(wave)).ids == reference_codes(reference, wave)).float().mean() > 0.999


def test_progress_counts_frames_and_may_stop(codec):
    seen = []
    codec.decode(random_codes(600), on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (600, 600) and len(seen) >= 3 and seen == sorted(seen)

    class Stopped(Exception):
        pass

    def stop(done, total):
        raise Stopped

    with pytest.raises(Stopped):
        codec.decode(random_codes(600), on_progress=stop)


# --- bad input ------------------------------------------------------------------------------------------------------


def test_empty_clip_is_refused(codec):
    with pytest.raises(AudioError, match="at least one sample"):
        codec.encode(AudioClip(torch.zeros(1, 0), RATE))


def test_overlong_clip_is_refused_before_any_work(codec):
    with pytest.raises(AudioError, match="at most 300 s.*7200"):
        codec.encode(AudioClip(torch.zeros(8, 2 * 3600 * 100), 100))


def test_nan_never_becomes_codes(codec):
    clip = clip_of(sound_like(1))
    clip.samples[0, 100] = float("nan")  # behind the back of AudioClip's own check
    with pytest.raises(AudioError, match="NaN|not a number"):
        codec.encode(clip)


@pytest.mark.parametrize(
    "codes",
    [random_codes(5, codebooks=9), random_codes(5, size=1000), random_codes(5, rate=86.13)],
    ids=["codebooks", "size", "rate"],
)
def test_codes_of_another_codec_are_refused(codec, codes):
    with pytest.raises(AudioError, match="8 codebooks of 1024 at 25 "):
        codec.decode(codes)
    with pytest.raises(AudioError, match="8 codebooks of 1024 at 25 "):
        list(codec.decode_stream([codes]))


def test_no_frames_is_an_error_not_silence(codec):
    with pytest.raises(AudioError, match="nothing to decode"):
        codec.decode(random_codes(0))


def test_config_defaults_are_those_of_transformers():
    from transformers import HiggsAudioV2TokenizerConfig

    ours, theirs = HiggsCodecConfig.from_dict({}), HiggsAudioV2TokenizerConfig()
    assert (ours.hop, ours.num_codebooks, ours.codebook_width) == (320, theirs.num_quantizers, theirs.codebook_dim)
    acoustic = theirs.acoustic_model_config
    assert (ours.encoder_width, ours.decoder_width, ours.latent) == (
        acoustic.encoder_hidden_size,
        acoustic.decoder_hidden_size,
        acoustic.hidden_size,
    )
    assert list(ours.up_ratios) == list(acoustic.upsampling_ratios)


@pytest.mark.parametrize(
    "setting",
    [
        {"sample_rate": "fast"},
        {"codebook_size": 0},
        {"target_bandwidths": []},
        {"target_bandwidths": [0]},
        {"acoustic_model_config": {"upsampling_ratios": [8, 5, 4]}},
        {"strides": [1]},
        {"semantic_model_config": 5},
    ],
    ids=str,
)
def test_unusable_config_is_refused(setting):
    with pytest.raises(CheckpointError, match="config.json"):
        HiggsCodecConfig.from_dict(setting)


def test_semantic_config_that_hubert_refuses(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config["semantic_model_config"]["num_attention_heads"] = 5
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(CheckpointError):
        load_codec(tmp_path)


@pytest.mark.parametrize(("old", "new"), [(24_000, 16_000), (16_000, 24_000), (44_100, 16_000), (8_000, 16_000)])
def test_resampler_equals_torchaudio(old, new):
    torchaudio = pytest.importorskip("torchaudio")
    for samples in (1, 2, 3, 160, 24_001):
        wave = sound_like(samples / old, old)[None]
        ours, theirs = sinc_resample(wave, old, new), torchaudio.functional.resample(wave, old, new)
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-6


@pytest.mark.slow
def test_importing_the_codec_is_light():
    code = (
        "import sys, higgs_runtime.codec; "
        "print(*{'transformers', 'librosa', 'dac', 'torchaudio', 'safetensors'} & sys.modules.keys())"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
