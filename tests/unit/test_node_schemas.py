"""What a newer ComfyUI knows of the nodes, and an older one is not told."""

from __future__ import annotations

from types import SimpleNamespace

from helpers_workflow import node_classes, node_module


def test_every_node_is_found_by_other_words_where_the_host_can(monkeypatch):
    schemas = node_module("host.schemas")
    nodes = {name: node for name, node in node_classes().items() if name.startswith("Higgs")}
    for name, node in nodes.items():
        assert node.define_schema().node_id == name, "as the host that is there has it"
    monkeypatch.setattr(schemas, "KNOWN", {"search_aliases", "essentials_category"})
    monkeypatch.setattr(schemas, "io", SimpleNamespace(Schema=SimpleNamespace))
    made = {name: node.define_schema() for name, node in nodes.items()}
    for name, schema in made.items():
        words = schema.search_aliases
        assert words and len(words) == len({word.lower() for word in words}), name
        assert schema.display_name not in words, name
    for word, name in (
        ("tts", "HiggsGenerate"),
        ("Higgs TTS 3", "HiggsLoadModel"),
        ("SRT", "HiggsLoadSubtitles"),
        ("voice clone", "HiggsVoice"),
        ("audiobook", "HiggsRenderScript"),
        ("save audio", "HiggsExportAudio"),
    ):
        assert word in made[name].search_aliases
    assert {name for name, schema in made.items() if schema.essentials_category} == {
        "HiggsGenerate",
        "HiggsLoadModel",
        "HiggsRenderScript",
        "HiggsVoice",
    }
