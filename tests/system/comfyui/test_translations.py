"""The pack in the editor's languages, in a real browser."""

from __future__ import annotations

import json

import pytest
import requests
from helpers_browser import Browser
from helpers_scene import load_page
from helpers_server import PACK_FOLDER

from tools import make_locales as locales

pytestmark = pytest.mark.web

SEEN = """
const type = LiteGraph.registered_node_types.HiggsMixAudio;
const node = LiteGraph.createNode("HiggsMixAudio");
const say = document.getElementById("vue-app").__vue_app__.config.globalProperties.$t;
return JSON.stringify({
    title: type.title, category: LiteGraph.registered_node_types.HiggsVoice.category,
    gain: node.widgets.find((widget) => widget.name === "gain_3").label,
    track: node.inputs.find((input) => input.name === "track_0").localized_name,
    output: node.outputs[1].localized_name,
    braces: say("nodeDefs.HiggsExportAudio.inputs.file_name.tooltip"),
});
"""


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = Browser(tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()
    speak(server, "en")


def speak(server, language: str) -> None:
    settings = {"Comfy.TutorialCompleted": True, "Comfy.Locale": language}
    requests.post(server.url + "/api/settings", json=settings, timeout=30).raise_for_status()


@pytest.mark.parametrize("language", ["fr", "zh"])
def test_the_editor_shows_the_nodes_in_its_language(browser, server, language):
    speak(server, language)
    load_page(browser, server)
    seen, compact = json.loads(browser.run(SEEN)), locales.read(language)
    mixer = compact["HiggsMixAudio"]
    assert [error for error in browser.errors if PACK_FOLDER in error] == []
    assert seen == {
        "title": mixer["display_name"],
        "category": f"Higgs Audio/{compact[locales.CATEGORIES]['prompt']}",
        "gain": mixer["inputs"]["gain_#"]["name"].replace("#", "3"),
        "track": mixer["inputs"]["track_#"]["name"].replace("#", "0"),
        "output": mixer["outputs"]["1"]["name"],
        "braces": compact["HiggsExportAudio"]["inputs"]["file_name"]["tooltip"],
    }


def test_the_language_is_switched_in_the_open_page(browser):
    """The editor reads the nodes anew when it is ready for that; R, as here, does so at any time."""
    title = json.dumps(locales.read("es")["HiggsMixAudio"]["display_name"])
    browser.run('await app.extensionManager.setting.set("Comfy.Locale", "es");')
    mixer = "LiteGraph.registered_node_types.HiggsMixAudio"
    browser.wait_for(f"(await app.refreshComboInNodes(), {mixer}.title) === {title}")
