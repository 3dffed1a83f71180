"""The editor's own players and lists on the pack's nodes, where Vue draws them."""

from __future__ import annotations

import pytest
import torch
from helpers_scene import open_editor
from helpers_screen import draw_with, on_screen
from helpers_server import PACK_FOLDER

from higgs_runtime import AudioClip, Voice, save_voice
from higgs_runtime.voices.library import VoiceCard, voice_path

pytestmark = pytest.mark.web

PLAYED = "const played = (node) => document.querySelector(`[data-node-id='${node.id}'] audio`);"


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    if page.run("return window.__COMFYUI_FRONTEND_VERSION__;") == "1.32.9":
        page.close()
        pytest.skip("its player in Vue's nodes takes no address, and its lists no upload")
    draw_with(page, True)
    yield page
    draw_with(page, False)
    page.close()


def test_the_packs_clips_are_played(browser):
    seconds, opened = on_screen(
        browser,
        PLAYED
        + """
        await clear();
        const node = make("HiggsLoadAudio", [0, 0]), audio = named(node, "audio"), seconds = [];
        for (const name of ["rose (from the pack)", "bed (from the pack)"]) {
            audio.value = name;
            audio.callback(name);
            seconds.push(await until(() => played(node)?.src.includes(name.slice(0, 3)) && played(node).duration));
        }
        await app.loadGraphData(app.graph.serialize());
        return [seconds, await until(() => played(found("HiggsLoadAudio"))?.duration)];
    """,
    )
    assert 3 < seconds[0] < 15 and opened == pytest.approx(seconds[1]) and seconds[0] != seconds[1]


def test_a_voice_is_played(browser, server):
    clip = AudioClip(torch.rand(1, 24_000) - 0.5, 24_000)
    models = server.base / "models" / "higgs_audio"
    save_voice(voice_path(models, "Played here"), Voice(description="x"), VoiceCard.of(clip))
    seconds = on_screen(
        browser,
        PLAYED
        + """
        await clear();
        await app.refreshComboInNodes();
        const node = make("HiggsLoadVoice", [0, 0]), voice = named(node, "voice");
        voice.value = "Played here";
        voice.callback(voice.value);
        return until(() => played(node)?.duration);
    """,
    )
    assert seconds == 1


def test_a_clip_is_uploaded(browser, server, tmp_path):
    AudioClip(torch.rand(1, 12_000) - 0.5, 24_000).save(tmp_path / "uploaded here.wav")
    on_screen(
        browser,
        """
        await clear();
        const node = window.loads = make("HiggsLoadAudio", [0, 0]);
        await until(() => document.querySelector(`[data-node-id='${node.id}'] input[type=file]`));
    """,
    )
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    field = browser.call("DOM.querySelector", nodeId=root, selector="[data-node-id] input[type=file]")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(tmp_path / "uploaded here.wav")])
    chosen = on_screen(
        browser,
        """
        await until(() => named(loads, "audio").value.startsWith("uploaded"));
        await until(() => named(loads, "trim").element.textContent.includes("of 0.50 s"));
        return named(loads, "audio").value;
    """,
    )
    assert (server.base / "input" / chosen).is_file()


def test_notes_stand_behind_a_checkpoint_without_a_redraw(browser):
    on_screen(
        browser,
        """
        await clear();
        const node = make("HiggsLoadModel", [0, 0]);
        await until(() => document.querySelector(`[data-node-id='${node.id}']`)?.innerText.includes("auto · now "));
    """,
    )


def test_scripts_throw_nothing(browser):
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
