"""The DAC wrapper against the package's own compress and decompress, on small random models."""

from __future__ import annotations

import builtins

import pytest
import torch

from higgs_runtime.audio.clip import AudioClip
from higgs_runtime.codec import load_codec
from higgs_runtime.codec.windows import encode_windows
from higgs_runtime.errors import AudioError, CheckpointError, MissingExtraError
from higgs_runtime.types import Codes

pytest.importorskip("dac", reason="descript-audio-codec is not installed")

from helpers_codec import DAC_RATES, make_dac_weights, sound_clip, sound_like  # noqa: E402

HOPS = {16_000: 320, 24_000: 320, 44_100: 512}
WAVE_TOLERANCE = 1e-5
pytestmark = pytest.mark.usefixtures("one_thread")
RATES = [44_100, *(pytest.param(rate, marks=pytest.mark.slow) for rate in DAC_RATES if rate != 44_100)]


@pytest.fixture(scope="module", params=RATES, ids=lambda rate: f"{rate}Hz")
def weights(request, tmp_path_factory):
    return make_dac_weights(tmp_path_factory.mktemp("dac") / "weights.pth", request.param), request.param


@pytest.fixture(scope="module")
def package_model(weights):
    from dac.model.dac import DAC

    saved = torch.load(weights[0], weights_only=True)
    model = DAC(**saved["metadata"]["kwargs"])
    model.load_state_dict(saved["state_dict"])
    return model.eval()


@pytest.fixture(scope="module")
def codec(weights):
    return load_codec(weights[0])


def test_sizes(codec, weights):
    rate = weights[1]
    assert (codec.sample_rate, codec.num_codebooks, codec.codebook_size) == (rate, 4, 64)
    assert codec.frame_rate == rate / HOPS[rate]


@pytest.mark.parametrize("samples", [1, 319, 513, 20_000, 66_150])
def test_parity_with_compress_and_decompress(codec, weights, package_model, samples, record_property):
    from audiotools import AudioSignal

    rate = weights[1]
    wave = sound_like(samples / rate, rate)[:samples]
    signal = AudioSignal(wave[None, None].clone(), rate)
    packed = package_model.compress(signal, win_duration=None, normalize_db=None)
    codes = codec.encode(AudioClip(wave[None], rate))
    assert torch.equal(codes.ids, packed.codes[0])
    if samples > 20_000:
        assert min(len(row.unique()) for row in codes.ids) > 8

    ours = codec.decode(codes, edges=False).samples
    packed.original_length = ours.shape[-1]  # compress cuts to the clip; codes do not know its length
    packed.input_db = AudioSignal(ours[None], rate).loudness()  # decompress restores a level: let it be ours
    theirs = package_model.decompress(packed).audio_data[0]
    deviation = (ours - theirs).abs().max().item()
    record_property("wave_deviation", deviation)
    assert ours.abs().max() > 0.01
    assert deviation <= WAVE_TOLERANCE


def test_loud_clips_are_brought_to_full_scale_as_in_the_package(codec, weights, package_model):
    from audiotools import AudioSignal

    rate = weights[1]
    wave = 6 * sound_like(0.5, rate)
    packed = package_model.compress(AudioSignal(wave[None, None].clone(), rate), win_duration=None, normalize_db=None)
    assert torch.equal(codec.encode(AudioClip(wave[None], rate)).ids, packed.codes[0])


@pytest.mark.slow
def test_windows_and_streams_equal_a_whole_pass(codec):
    ids = torch.randint(0, 64, (4, 1100), generator=torch.Generator().manual_seed(0))
    codes = Codes(ids, codec.frame_rate, 64)
    with torch.no_grad():
        whole = codec._decode_ids(ids)
    decoded = codec.decode(codes, edges=False).samples
    chunks = [Codes(part, codec.frame_rate, 64) for part in ids.split([3, 60, 500, 537], dim=1)]
    streamed = torch.cat([clip.samples for clip in codec.decode_stream(chunks, edges=False)], dim=1)
    assert decoded.shape == whole.shape == streamed.shape
    assert (decoded - whole).abs().max() <= WAVE_TOLERANCE
    assert (streamed - whole).abs().max() <= WAVE_TOLERANCE
    assert codec.decode(codes).samples.shape == whole.shape, "clean edges cost no sample"


def test_encoding_in_windows_equals_a_whole_pass(codec, weights):
    wave = sound_like(3, weights[1])
    wave = wave[: wave.shape[0] // codec.hop * codec.hop]
    with torch.no_grad():
        whole = codec._encode_window(wave)
        pieces = encode_windows(wave, codec._encode_window, hop=codec.hop, context=codec._encode_context, window=31)
    assert pieces.shape == whole.shape
    assert (pieces == whole).float().mean() > 0.999


def test_half_precision_keeps_the_quantizer_in_float32(weights):
    codec = load_codec(weights[0], dtype=torch.bfloat16)
    assert codec.module.quantizer.quantizers[0].codebook.weight.dtype == torch.float32
    codes = codec.encode(sound_clip(0.5, weights[1]))
    assert codec.decode(codes).samples.isfinite().all()


def test_codes_of_the_higgs_tokenizer_are_refused(codec):
    with pytest.raises(AudioError, match="another codec.*4 codebooks of 64"):
        codec.decode(Codes(torch.zeros(8, 5, dtype=torch.long), 25.0, 1024))


@pytest.mark.parametrize(("missing", "named"), [("dac", "descript-audio-codec"), ("julius", "julius")])
def test_missing_package_names_the_extra(weights, monkeypatch, missing, named):
    real = builtins.__import__

    def without_dac(name, *args, **kwargs):
        if name.split(".")[0] == "dac":
            raise ModuleNotFoundError(name, name=missing)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_dac)
    with pytest.raises(MissingExtraError, match=rf"'{named}'.*--no-deps descript-audio-codec"):
        load_codec(weights[0])


def test_truncated_weights(weights, tmp_path):
    file = tmp_path / "cut.pth"
    file.write_bytes(weights[0].read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        load_codec(file)


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"state_dict": {}, "metadata": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        load_codec(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"fc.weight": torch.zeros(1)}, [1, 2], {"state_dict": {}, "metadata": {}}])
def test_other_pth_files_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="is not a DAC model"):
        load_codec(tmp_path / "model.pth")


def test_settings_and_tensors_that_do_not_fit(weights, tmp_path):
    saved = torch.load(weights[0], weights_only=True)
    saved["metadata"]["kwargs"]["n_codebooks"] = 5
    torch.save(saved, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="missing.*quantizer.quantizers.4"):
        load_codec(tmp_path / "model.pth")
    saved["metadata"]["kwargs"]["encoder_rates"] = "fast"
    torch.save(saved, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="settings.*not usable"):
        load_codec(tmp_path / "model.pth")
