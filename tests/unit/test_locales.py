"""Translations: what ComfyUI finds in locales/ comes from tools/locales/, and says all that the schemas say."""

from __future__ import annotations

import copy
import json

import pytest
from helpers_workflow import comfyui_tree, pack_nodes

from tools import make_locales as locales

TRANSLATED = [language for language in locales.LANGUAGES if language != "en"]


@pytest.fixture(scope="module")
def schemas():
    return locales.schema_texts(pack_nodes())


@pytest.fixture(scope="module")
def english(schemas):
    return locales.with_labels(schemas, locales.read("en"))


@pytest.fixture
def german():
    return locales.read("de")


# ---- faults that are noticed ------------------------------------------------------------------------------------


def change(compact, node_id, key, **texts):
    changed = copy.deepcopy(compact)
    changed[node_id]["inputs"][key].update(texts)
    return changed


def test_missing_texts_are_named(english, german):
    changed = copy.deepcopy(german)
    del changed["HiggsGenerate"]["inputs"]["top_k"]
    del changed["HiggsLoudness"]["outputs"]["3"]["tooltip"]
    del changed["HiggsMixAudio"]["inputs"]["gain_#"]
    del changed["HiggsVoice"]
    found = locales.problems(english, changed)
    assert "HiggsGenerate.inputs.top_k.name is missing" in found
    assert "HiggsLoudness.outputs.3.tooltip is missing" in found
    assert [one for one in found if "gain_" in one] == [
        f"HiggsMixAudio.inputs.gain_0.{kind} is missing" for kind in ("name", "tooltip")
    ]
    assert "HiggsVoice.display_name is missing" in found


def test_an_empty_text_is_missing(english, german):
    changed = change(german, "HiggsGenerate", "top_k", tooltip="")
    assert locales.problems(english, changed) == ["HiggsGenerate.inputs.top_k.tooltip is missing"]


def test_stale_texts_are_named(english, german):
    changed = copy.deepcopy(german)
    changed["HiggsGenerate"]["inputs"]["volume"] = {"name": "Lautstärke"}
    changed["HiggsGone"] = {"display_name": "Weg"}
    assert locales.problems(english, changed) == [
        "HiggsGenerate.inputs.volume.name is stale: no schema has it",
        "HiggsGone.display_name is stale: no schema has it",
    ]


@pytest.mark.parametrize(
    ("node_id", "key", "kind", "text", "fault"),
    [
        (
            "HiggsGenerate",
            "top_k",
            "tooltip",
            "Samples from this many of the most likely ids; 0: from all; -1: as the model was released (50).",
            "is in English",
        ),
        ("HiggsGenerate", "top_k", "tooltip", "Wählt unter so vielen IDs.", "lacks -1, 0, 50"),
        (
            "HiggsGenerate",
            "ras_window",
            "tooltip",
            "25 Frames; 0: aus; 1: wie veröffentlicht (7 bei v2, aus bei v3).",
            "lacks -1",
        ),
        ("HiggsLoadAudio", "start", "name", "Anfang", "lacks its unit (s)"),
        ("HiggsLoadAudio", "start", "name", "Anfang (ms)", "has another unit than (s)"),
        ("HiggsMixAudio", "mute_#", "tooltip", "Spur 0 ist nicht zu hören und behält ihren Platz.", "lacks 1"),
        ("HiggsMixAudio", "mute_#", "name", "stumm", "lacks 0"),
    ],
)
def test_wrong_texts_are_named(english, german, node_id, key, kind, text, fault):
    [found] = locales.problems(english, change(german, node_id, key, **{kind: text}))
    assert found.startswith(f"{node_id}.inputs.") and f".{kind} {fault}" in found


# ---- the files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_is_complete(english, language):
    assert not locales.problems(english, locales.read(language))


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_words_of_the_menu(language):
    own = {part for node in pack_nodes().values() for part in node.GET_SCHEMA().category.split("/")[1:]}
    assert set(locales.read(language)[locales.CATEGORIES]) == own - {"audio", "loaders"}  # these are ComfyUI's


def test_english_keeps_only_labels_that_differ(schemas):
    compact = locales.read("en")
    assert not locales.stale(schemas, compact)
    labels, names = locales.expand(schemas, compact), dict(locales.leaves(schemas))
    assert all(path[-1] == "name" and text != names[path] for path, text in locales.leaves(labels))


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_the_locale_files_are_up_to_date(schemas, language):
    files = locales.expanded_files(language, schemas)
    assert {file.name for file in (locales.EXPANDED / language).iterdir()} == {path.name for path in files}
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, "run: python dev.py locales"


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_input_and_output_has_a_name(schemas, language):
    nodes = json.loads((locales.EXPANDED / language / "nodeDefs.json").read_text(encoding="utf-8"))
    for node_id, texts in schemas.items():
        for part in ("inputs", "outputs"):
            assert list(nodes[node_id][part]) == list(texts[part])
            assert all(one["name"] for one in nodes[node_id][part].values())


def test_there_are_no_other_languages():
    assert {folder.name for folder in locales.EXPANDED.iterdir()} == set(locales.LANGUAGES)
    assert {file.stem for file in locales.COMPACT.iterdir()} == set(locales.LANGUAGES)


def test_syntax_of_the_frontends_messages_is_escaped():
    assert locales.escaped({"a": "{n:03} | @x", "b": None}) == {"a": "{'{'}n:03{'}'} {'|'} {'@'}x"}


def test_comfyui_merges_them(monkeypatch, tmp_path):
    """With ComfyUI's own reader: what GET /i18n answers."""
    comfyui_tree(), pack_nodes()
    import folder_paths
    from app.custom_node_manager import CustomNodeManager

    pack = tmp_path / "higgs"
    pack.mkdir()
    (pack / "locales").symlink_to(locales.EXPANDED, target_is_directory=True)
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda _name: [str(tmp_path)])
    merged = CustomNodeManager().build_translations()
    assert set(merged) == set(locales.LANGUAGES)
    assert merged["fr"]["nodeDefs"]["HiggsMixAudio"]["inputs"]["gain_3"]["name"] == "gain 3 (dB)"
    assert merged["de"]["nodeCategories"]["voice"] == "Stimme"
