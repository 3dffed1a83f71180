"""The pack in ComfyUI's editor, in a real browser."""

from __future__ import annotations

import base64
import json
import shutil

import helpers_gguf as forms
import pytest
import requests
import torch
from helpers_browser import WAITING
from helpers_checkpoint import make_folder
from helpers_forms import in_float8
from helpers_scene import open_editor
from helpers_server import PACK_FOLDER
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import read_workflow

from higgs_runtime import AudioClip, Voice, export_audio, save_voice
from higgs_runtime.audio.files.codecs import Chapter
from higgs_runtime.audio.files.export import About
from higgs_runtime.voices.library import VoiceCard, voice_path

pytestmark = pytest.mark.web

NAMES = [
    "audiobook",
    "clone_voice",
    "codec_round_trip",
    "directed_book",
    "dub_a_film",
    "edit_speech",
    "five_voice_scene",
    "master_a_mix",
    "respeak",
    "retake_line",
    "speak_on",
    "srt_dubbing",
    "tags_v3",
    "text_to_speech",
    "two_voice_dialogue",
]
SCRIPT_WIDGETS = ("audioUI", "upload", "preview")  # of the editor's own scripts; the server ignores them
HELPERS = (
    WAITING
    + """
const make = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node; };
const slot = (node, name) => node.inputs.findIndex((input) => input.name === name);
const sockets = (node) => node.inputs.filter((input) => !input.widget).map((input) => input.name);
const shown = (node) => node.widgets.filter((widget) => !widget.hidden).map((widget) => widget.name);
const named = (node, name) => node.widgets.find((widget) => widget.name === name);
const found = (type) => app.graph.nodes.find((node) => node.type === type);
"""
)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def in_editor(browser, body: str):
    return browser.run(HELPERS + "app.graph.clear();" + body)


@pytest.mark.parametrize("name", NAMES)
def test_template_opens_whole_and_queues_what_the_api_file_says(browser, name):
    answer = browser.run(
        HELPERS
        + f"""
        const file = await fetch("/api/workflow_templates/{PACK_FOLDER}/{name}.json");
        await app.loadGraphData(await file.json());
        await settled(() => document.querySelector("#graph-canvas"));
        const missing = !!document.querySelector(".comfy-missing-nodes");
        return JSON.stringify({{ missing, prompt: (await app.graphToPrompt()).output }});
    """
    )
    opened = json.loads(answer)
    assert opened["missing"] is False
    queued = {
        key: (node["class_type"], {name: value for name, value in node["inputs"].items() if name not in SCRIPT_WIDGETS})
        for key, node in opened["prompt"].items()
    }
    expected = {key: (node["class_type"], node["inputs"]) for key, node in read_workflow(name, api=True).items()}
    assert queued == expected


def test_voices_grow_and_shrink_with_the_connections(browser):
    steps = in_editor(
        browser,
        """
        const prompt = make("HiggsChatMLPrompt"), voice = make("HiggsVoice"), steps = [sockets(prompt)];
        for (const name of ["voice_0", "voice_1"]) {
            voice.connect(0, prompt, slot(prompt, name));
            await wait();
            steps.push(sockets(prompt));
        }
        for (const name of ["voice_0", "voice_1"]) {
            prompt.disconnectInput(slot(prompt, name));
            await wait();
            steps.push(sockets(prompt));
        }
        return steps;
    """,
    )
    one, two, three = (["voice_0", "voice_1", "voice_2"][:count] for count in (1, 2, 3))
    assert steps == [one, two, three, three, one]


def test_settings_of_a_track_show_once_it_is_connected(browser):
    before, after, all_of_it, restored, sizes = in_editor(
        browser,
        """
        const mix = make("HiggsMixAudio"), clip = make("HiggsLoadAudio"), before = shown(mix);
        clip.connect(0, mix, slot(mix, "track_0"));
        await wait();
        const after = shown(mix), height = mix.size[1], more = named(mix, "more_settings");
        const all = [];
        for (const value of [true, false]) {
            more.value = value;
            more.callback?.(value);
            await wait();
            all.push(shown(mix));
        }
        mix.widgets.find((widget) => widget.name === "gain_0").value = -3;
        await app.loadGraphData(app.graph.serialize());
        await wait();
        const again = found("HiggsMixAudio"), gain = again.widgets.find((widget) => widget.name === "gain_0").value;
        return [before, after, all, [shown(again), gain], [height, again.size[1]]];
    """,
    )
    assert before == ["allow_clipping", "sample_rate", "more_settings"]
    assert after == [*before[:2], "start_0", "gain_0", "pan_0", "fade_in_0", "fade_out_0", before[2], "mixer"]
    assert {"loop_0", "duck_0", "duck_attack"} <= set(all_of_it[0]) and "loop_1" not in all_of_it[0]
    assert all_of_it[1] == after
    assert restored == [after, -3]
    assert sizes[0] == sizes[1] < 400


def test_the_menu_has_the_workflows_to_begin_with_in_order(browser):
    """And opens them; which of them are apps is in test_apps."""
    labels, nodes = in_editor(
        browser,
        """
        const items = () => [...document.querySelectorAll("[role=menuitem]")];
        const item = (text) => items().find((one) => one.innerText.trim() === text);
        document.querySelector("[data-testid=comfy-menu-button], .comfy-menu-button-wrapper").click();
        const group = await until(() => item("Higgs Audio"));
        (group.querySelector(".p-tieredmenu-item-content") ?? group).dispatchEvent(new MouseEvent("mouseenter"));
        (group.querySelector(".p-tieredmenu-item-content") ?? group).click();
        const last = await until(() => item("Mix and master"));
        const labels = items().map((one) => one.innerText.trim());
        (last.querySelector("a") ?? last).click();
        await until(() => found("HiggsMixAudio"));
        return [labels.slice(labels.indexOf("Clone a voice")), app.graph.nodes.length];
    """,
    )
    assert labels[:3] == ["Clone a voice", "A dialogue of two voices", "Text to speech"]
    assert labels[3:7] == ["An audiobook", "Dub subtitles", "Dub a film", "Mix and master"]
    assert nodes == len(read_workflow("master_a_mix")["nodes"])


def test_load_audio_has_player_and_upload_button(browser):
    assert {"audioUI", "upload"} <= set(in_editor(browser, "return shown(make('HiggsLoadAudio'));"))


def test_load_audio_plays_the_packs_clips(browser, server):
    for name in ("none", "rose", "..%2Frose (from the pack)", "%2Fetc%2Fpasswd"):
        assert requests.get(f"{server.url}/higgs/clips/{name}", timeout=30).status_code == 404
    seconds = in_editor(
        browser,
        """
        const file = await fetch("/api/workflow_templates/PACK/clone_voice.json");
        await app.loadGraphData(await file.json());
        const player = found("HiggsLoadAudio").widgets.find((widget) => widget.name === "audioUI").element;
        return until(() => player.duration > 0 && player.duration);
    """.replace("PACK", PACK_FOLDER),
    )
    assert 3 <= seconds <= 15


def test_load_voice_plays_what_was_saved_since_the_page_was_opened(browser, server):
    for name, seconds in (("Ada", 1.0), ("Bea & co", 2.0)):
        clip = AudioClip(torch.rand(1, int(24_000 * seconds)) - 0.5, 24_000)
        save_voice(voice_path(server.base / "models" / "higgs_audio", name), Voice(description="x"), VoiceCard.of(clip))
    before, after, durations = in_editor(
        browser,
        """
        const node = make("HiggsLoadVoice"), voice = node.widgets.find((one) => one.name === "voice");
        const player = node.widgets.find((one) => one.name === "audioUI").element, durations = [];
        const before = [...voice.options.values];
        await app.refreshComboInNodes();
        for (const name of ["Ada", "Bea & co"]) {
            voice.value = name;
            voice.callback(name);
            await until(() => player.src.endsWith(encodeURIComponent(name)) && player.readyState > 0);
            durations.push(player.duration);
        }
        return [before, voice.options.values, durations];
    """,
    )
    assert "Ada" not in before and {"Ada", "Bea & co"} <= set(after) and durations == [1, 2]


def test_checkpoints_say_what_they_are_where_they_are_chosen(browser, server):
    models = server.base / "models" / "higgs_audio"
    texts, prompt = in_editor(
        browser,
        """
        const loader = make("HiggsLoadModel"), codec = make("HiggsLoadCodec"), texts = [];
        for (const node of [loader, codec]) {
            const widget = named(node, "checkpoint");
            await until(() => widget._displayValue.includes(" · "));
            texts.push([widget.value, widget._displayValue, widget.options.getOptionLabel("higgs-nano")]);
        }
        return [texts, (await app.graphToPrompt()).output];
    """,
    )
    assert [text[0] for text in texts] == ["auto", "auto"]
    assert texts[0][1].startswith("auto · now higgs-audio-v2-generation-3B-base · v2, transformers-native · ")
    assert texts[0][2].startswith(
        "higgs-nano · v2, transformers-native · 17.0 MB · float16 · → RAM 34.0 MB float32 · Apache-2.0"
    )
    assert texts[1][1].startswith("auto · now higgs-audio-v2-tokenizer · codec, ") and texts[1][2] == "higgs-nano"
    assert {node["inputs"]["checkpoint"] for node in prompt.values()} == {"auto"}
    try:
        make_folder(models / "zz-half", "higgs_audio", [])
        values, label = in_editor(
            browser,
            """
            const widget = named(make("HiggsLoadModel"), "checkpoint"), label = "zz-half (missing: model.safetensors";
            await app.refreshComboInNodes();
            const choice = widget.options.values.find((value) => value.startsWith(label)), told = () =>
                widget.options.getOptionLabel(choice);
            await until(() => told() !== choice);
            return [widget.options.values, told()];
        """,
        )
        assert "higgs-nano" in values and "v2, original layout · 0.0 MB · Boson" in label
    finally:
        shutil.rmtree(models / "zz-half")


def test_files_that_were_dropped_into_the_folder_appear_after_the_key_r(browser, server, tmp_path):
    """A GGUF file and a folder in 8-bit floats, each with its size on the disk and in memory, as the node is set."""
    models = server.base / "models" / "higgs_audio"
    before = in_editor(
        browser,
        """
        const widget = named(make("HiggsLoadModel"), "checkpoint");
        await until(() => widget._displayValue.includes(" · "));
        return [...widget.options.values];
    """,
    )
    source = make_v3_checkpoint(tmp_path / "v3", num_hidden_layers=1)
    try:
        forms.audiocpp(source, models / "new-dropped.gguf", forms.matrices(forms.Kind.Q8_0))
        in_float8(source, models / "new-float8", "{0}_scale:channel")
        browser.click(20, 500)  # beside the nodes: the keys are the graph's
        browser.press("r")
        labels = browser.run(
            HELPERS
            + """
            const widget = named(found("HiggsLoadModel"), "checkpoint"), told = () => widget.options.values
                .filter((value) => value.startsWith("new-")).map((value) => widget.options.getOptionLabel(value));
            await until(() => told().length === 2 && told().every((label) => label.includes(" · ")));
            return told();
        """
        )
        assert not any(value.startswith("new-") for value in before)
        labels = dict(zip(("dropped", "float8"), sorted(labels), strict=True))
        assert labels["dropped"].startswith("new-dropped.gguf · v3, GGUF of audio.cpp without codec · ")
        assert " · float32 · → RAM " in labels["dropped"] and " MB float32 · non-commercial" in labels["dropped"]
        assert labels["float8"].startswith("new-float8 · v3 without codec · ") and "→ RAM" in labels["float8"]
        small, again = browser.run(
            HELPERS
            + """
            const node = found("HiggsLoadModel"), widget = named(node, "checkpoint"), how = named(node, "quantization");
            const told = () => widget.options.getOptionLabel("new-dropped.gguf"), first = told(), labels = [];
            widget.value = "new-dropped.gguf";
            for (const value of ["int8", "off"]) {
                how.value = value;
                how.callback?.(value);
                await until(() => told().includes("MB int8 ·") === (value === "int8"));
                labels.push(told());
            }
            return [labels[0], labels[1] === first && (await app.graphToPrompt()).output[node.id].inputs.checkpoint];
        """
        )
        assert "MB int8 · " in small and again == "new-dropped.gguf"
    finally:
        for one in models.glob("new-*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()


def test_an_accepted_licence_does_not_travel_with_a_workflow(browser):
    told, before, after = in_editor(
        browser,
        """
        const node = make("HiggsDownloadModel"), release = named(node, "release");
        await until(() => release._displayValue.includes(" · "));
        const told = release._displayValue;
        release.value = "higgs-audio-v3-tts-4b";
        named(node, "licence_accepted").value = true;
        const before = (await app.graphToPrompt()).output[node.id].inputs;
        await app.loadGraphData(app.graph.serialize());
        await wait();
        return [told, before, (await app.graphToPrompt()).output[node.id].inputs];
    """,
    )
    assert told.startswith("higgs-audio-v2-generation-3B-base · about 11.6 GB · Boson Higgs Audio 2 Community License")
    assert before == {"release": "higgs-audio-v3-tts-4b", "licence_accepted": True}
    assert after == {"release": "higgs-audio-v3-tts-4b", "licence_accepted": False}


def test_export_audio_plays_what_it_wrote(browser):
    durations, pictures = in_editor(
        browser,
        """
        const bed = make("HiggsLoadAudio"), mix = make("HiggsMixAudio"), out = make("HiggsExportAudio");
        const set = (node, values) => {
            for (const [name, value] of Object.entries(values)) named(node, name).value = value;
        };
        set(bed, {audio: "bed (from the pack)", duration: 2});
        set(mix, {show_timeline: true});
        bed.connect(0, mix, slot(mix, "track_0"));
        await wait();
        mix.connect(0, out, slot(out, "audio"));
        mix.connect(1, out, slot(out, "cover"));
        const player = named(out, "audioUI").element, durations = [];
        for (const format of ["mp3", "m4b (AAC audiobook)"]) {
            set(out, {format, file_name: format.slice(0, 3) + "_{n}"});
            const before = player.src;
            await app.queuePrompt(0);
            await until(() => player.src !== before && player.duration > 0);
            durations.push(player.duration);
        }
        await until(() => mix.imgs?.length);
        return [durations, mix.imgs.length];
    """,
    )
    assert all(abs(seconds - 2) < 0.06 for seconds in durations) and pictures == 1


@pytest.mark.parametrize("format, kind", [("flac 24-bit", "flac"), ("mp3", "mpeg"), ("opus", "ogg")])
def test_an_exported_file_opens_its_workflow(browser, tmp_path, format, kind):
    """As the files of ComfyUI's own savers do when they are dropped on the canvas."""
    graph = {
        "version": 0.4,
        "nodes": [{"id": 7, "type": "HiggsLoudness", "pos": [0, 0], "size": [200, 100]}],
        "links": [],
        "extra": {"said": "„Ü“ {}"},
    }
    entries = {"workflow": json.dumps(graph), "prompt": json.dumps({"7": {"class_type": "X", "inputs": {}}})}
    noise = AudioClip(torch.rand(1, 6 * 24_000, generator=torch.Generator().manual_seed(0)) - 0.5, 24_000)
    made = export_audio(
        noise,
        tmp_path,
        format=format,
        about=About(
            metadata=entries,
            tags={"title": "Sea"},
            cover=torch.rand(30, 40, 3),
            chapters=[Chapter(0.0, 2.0, "One")],
        ),
    )
    data = base64.b64encode(made.path.read_bytes()).decode()
    opened = in_editor(
        browser,
        f"""
        const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
        await app.handleFile(new File([bytes], "{made.path.name}", {{type: "audio/{kind}"}}));
        await until(() => app.graph.nodes.length && app.graph.extra.said);
        return [app.graph.nodes.map((node) => [Number(node.id), node.type]), app.graph.extra.said];
    """,
    )
    assert opened == [[[7, "HiggsLoudness"]], "„Ü“ {}"]


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
