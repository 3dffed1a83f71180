"""None as AUDIO, as core's Get Video Components gives it for a film without sound."""

from __future__ import annotations

import pytest
import torch
from helpers_workflow import executed, node_classes, node_inputs, pack_nodes

HANDED_ON = {"HiggsVoiceChain", "HiggsTempoPitch", "HiggsNormalizeLoudness", "HiggsDuckAudio"}  # None, as by core nodes


def test_none_as_audio_is_handed_on_or_refused_in_a_sentence(runtime):
    classes, kept = node_classes(), set()
    inputs = [(node, name) for node in pack_nodes() for name, spec in node_inputs(node).items() if spec[0] == "AUDIO"]
    required = [(node, name) for node, name in inputs if name in classes[node].INPUT_TYPES()["required"]]
    assert len(required) >= 10
    for node, name in required:
        values = {one: spec[1].get("default") for one, spec in node_inputs(node).items() if spec[0] != "AUDIO"}
        sound = {"waveform": torch.rand(1, 1, 2400), "sample_rate": 24_000}
        values |= {name: sound for at, name in required if at == node}
        values |= {name: None} | ({"note": False} if node == "HiggsExportAudio" else {})
        if node in HANDED_ON:
            kept.add(node)
            made = classes[node].execute(**values).args[0]
            if name == "speech":  # nobody speaks: the bed stays as it is
                assert torch.equal(made["waveform"], sound["waveform"])
            else:
                assert made is None, node
            continue
        with pytest.raises(runtime.HiggsError, match="There is no sound at this input"):
            classes[node].execute(**values)
    assert kept == HANDED_ON


def test_tracks_and_clips_without_sound_are_left_out():
    sound = {"waveform": torch.rand(1, 1, 2400) - 0.5, "sample_rate": 24_000}
    settings = {"allow_clipping": False, "sample_rate": 0}
    alone, _ = executed("HiggsMixAudio", track_0=sound, **settings)
    mixed, _ = executed("HiggsMixAudio", track_0=sound, track_1=None, **settings)
    assert torch.equal(mixed["waveform"], alone["waveform"])
    assert executed("HiggsMixAudio", track_0=None, **settings)[0] is None
    settings = {"crossfade": 0.0, "gap": 0.0, "trim_silence": 0.0}
    [joined] = executed("HiggsJoinAudio", audio_0=sound, audio_1=None, audio_2=sound, **settings)
    assert torch.equal(joined["waveform"], torch.cat([sound["waveform"]] * 2, -1))
    assert executed("HiggsJoinAudio", audio_0=None, **settings) == (None,)
