"""Texts of a workflow, a file, a folder or a server, in the editor: shown as they are written, in both renderers.

The marks are harmless: an element with an id of its own, which the page must not have.
"""

from __future__ import annotations

import json
import re
import shutil
import time

import numpy as np
import pytest
import soundfile
from helpers_checkpoint import add_to_config, make_lm_checkpoint
from helpers_scene import open_editor, run

from higgs_runtime import parse_script, prepare_text
from higgs_runtime.hub import Loading, checkpoint_at
from higgs_runtime.hub.loaded import once_loaded

pytestmark = [pytest.mark.web, pytest.mark.slow]

MARK = "<b id=higgs-marker>x</b>"
ON_NODES = ".higgs-told"
ENTRIES = (
    ".litemenu-entry, [role=option], [role=dialog] .line-clamp-2"  # of lists: LiteGraph's, Vue's, and Vue's that upload
)
NAME = "zz <img id=higgs-marker alt=harmless>"  # of a folder, a voice, a file
SPEECH = f"{MARK} &lt; &amp; & 'a' \"b\" <!-- [[label|http://a.example]] [[ __LNK0__ https://b.example?c=1&d> www.e.f"
SCRIPT = f"[Anna] Yes.\n[{MARK} & '&amp;' __LNK0__ https://b.example] Hello."
LISTS = {
    "HiggsLoadModel": ("checkpoint", NAME),
    "HiggsLoadVoice": ("voice", NAME),
    "HiggsLoadAudio": ("audio", f"{NAME}.wav"),
}


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    models, clip = server.base / "models" / "higgs_audio", server.base / "input" / f"{NAME}.wav"
    checkpoint = make_lm_checkpoint(models / NAME, stream_end=0, whole_vocabulary=True)
    voice = models / "voices" / f"{NAME}.safetensors"
    voice.parent.mkdir(exist_ok=True)
    voice.touch()  # lists look at names only
    soundfile.write(clip, np.zeros(2400, "float32"), 24_000)
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()
    shutil.rmtree(checkpoint)
    voice.unlink()
    clip.unlink()


@pytest.fixture(params=[False, True], ids=["LiteGraph", "Vue"])
def vue(request):
    return request.param


@pytest.fixture
def editor(browser, vue):
    draw(browser, vue)
    yield browser
    draw(browser, False)


def draw(browser, vue: bool) -> None:
    run(
        browser,
        f"await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {json.dumps(vue)});"
        "const drawn = () => document.querySelectorAll('[data-node-id]').length;"
        f"await until(() => drawn() === ({json.dumps(vue)} ? app.graph.nodes.length : 0));",
    )


def open_graph(editor, prompt: dict) -> None:
    run(
        editor,
        "app.extensionManager.dialog?.closeAllDialogs?.();"
        "await until(() => !document.querySelector('.p-dialog'));"  # one that is closing would not open again
        f"await app.loadApiJson({json.dumps(prompt)}, 'shown');"
        f"await until(() => app.graph.nodes.length === {len(prompt)});"
        "app.graph.nodes.forEach((node, n) => node.pos = [20 + 520 * (n % 4), 60 + 420 * (n >> 2)]);"
        "Object.assign(app.canvas.ds, { offset: [100, 0], scale: 0.8 }); app.canvas.setDirty(true, true);"
        "await frame(); await frame();",
    )


def squeezed(text: str) -> str:
    """As a page shows white space."""
    return "\n".join(re.sub(r"[^\S\n]+", " ", line).strip() for line in text.strip().split("\n"))


def shown(editor) -> list[str]:
    """The texts on the nodes."""
    return [
        squeezed(text)
        for text in run(
            editor,
            f"""
        return [...document.querySelectorAll({json.dumps(ON_NODES)})].filter((one) => one.checkVisibility())
            .map((one) => one.innerText);""",
        )
    ]


def wait_for_text(editor, text: str) -> None:
    """Raises if the text does not come to stand on a node, or if anything of it has become an element."""
    end = time.monotonic() + 100
    while squeezed(text) not in shown(editor) and time.monotonic() < end:
        run(editor, "await wait(200);")
    assert squeezed(text) in shown(editor)
    check_no_marker(editor)


def check_no_marker(editor) -> None:
    elements = f"#higgs-marker, {ON_NODES} *"
    found = run(editor, f"return [...document.querySelectorAll('{elements}')].map((one) => one.outerHTML);")
    assert found == []


def preview(node: str, output: int) -> dict:
    return {"class_type": "PreviewAny", "inputs": {"source": [node, output]}}


def test_what_nodes_show_stands_there_as_it_is(editor, vue, server, tmp_path):
    new = tmp_path.name  # else ComfyUI does not run a node again
    script, speech = f"{SCRIPT} {new}", f"{SPEECH} {new}"
    add_to_config(server.base / "models" / "higgs_audio" / NAME, vocabulary=["hello", "words"])
    prepare = {"text": speech, "model": "Higgs Audio v2", "language": "en", "spell_numbers": False, "max_chars": 300}
    load = {"checkpoint": NAME, "device": "auto", "dtype": "auto", "quantization": "off"}
    open_graph(
        editor,
        {
            "1": {"class_type": "HiggsScript", "inputs": {"text": script}},
            "2": preview("1", 1),
            "3": {"class_type": "HiggsPrepareText", "inputs": prepare},
            "4": preview("3", 1),
            "5": {"class_type": "HiggsLoadModel", "inputs": load},
            "6": preview("5", 0),
        },
    )
    late = editor.run("return window.__COMFYUI_FRONTEND_VERSION__;") == "1.32.9"
    if late:
        draw(editor, False)  # its Vue nodes look for what a node has when they are made
    run(
        editor,
        """
        await app.queuePrompt(0);
        const shows = (node) => node.widgets.some((one) => one.name === "told");
        await until(() => app.graph.nodes.every((node) => node.type === "PreviewAny" || shows(node)));
        // they show a report as Markdown, of ComfyUI's own accord
        for (const node of app.graph.nodes.filter((one) => one.type === "PreviewAny")) app.graph.remove(node);
    """,
    )
    if late:
        draw(editor, vue)
    [warning] = parse_script(script).warnings
    wait_for_text(editor, str(warning))
    wait_for_text(editor, prepare_text(speech, "native", "en").report(300))
    loaded = once_loaded(checkpoint_at(server.base / "models" / "higgs_audio" / NAME), Loading("cpu"))
    wait_for_text(editor, f"{NAME} (2 words); it speaks only these.\n→ {loaded}")
    note = f"A note of a server, or heard words: {SPEECH}\n{MARK}"
    tell(editor, note)
    editor.screenshot(tmp_path / "shown.png")
    wait_for_text(editor, note)
    if vue and late:
        return
    tell(editor, "")
    run(
        editor,
        f"await until(() => [...document.querySelectorAll({json.dumps(ON_NODES)})]"
        ".filter((one) => one.checkVisibility()).length === 2);",
    )


def tell(editor, text: str) -> None:
    """As the server does when the first node has run."""
    run(
        editor,
        "const { api } = await import('/scripts/api.js');"
        f"api.dispatchCustomEvent('higgs.text', {{ node: '1', text: {json.dumps(text)} }}); await wait();",
    )


@pytest.mark.parametrize("node", LISTS)
def test_names_in_lists_are_names(editor, node, tmp_path):
    widget, name = LISTS[node]
    run(
        editor,
        f"""
        app.graph.clear();
        await until(() => !document.querySelector("[data-node-id], .dom-widget"));
        const made = LiteGraph.createNode({json.dumps(node)});
        made.pos = [300, 200];
        app.graph.add(made);
        Object.assign(app.canvas.ds, {{ offset: [100, 0], scale: 1 }});
        app.canvas.setDirty(true, true);
        await frame();
        await frame();
    """,
    )
    for _ in range(60):  # a click may only close a menu, and a page may still be moving
        editor.click(
            *run(
                editor,
                f"""
            const made = app.graph.nodes[0], widget = made.widgets.find((one) => one.name === {json.dumps(widget)});
            const inNode = (selector) => document.querySelector(`[data-node-id] ${{selector}}`);
            const vue = inNode("button:has(+ label > input[type=file])") ?? inNode(":is([role=combobox], .p-select)");
            const box = vue?.getBoundingClientRect();
            if (box) return [box.x + box.width / 2, box.y + box.height / 2];
            return app.canvasPosToClientPos([made.pos[0] + made.size[0] / 2, made.pos[1] + widget.y + 10]);
        """,
            )
        )
        entries = run(
            editor,
            f"await wait(500); return [...document.querySelectorAll({json.dumps(ENTRIES)})]"
            ".filter((one) => one.checkVisibility()).map((one) => one.innerText.replaceAll('\\u2060', ''));",
        )
        if entries:
            break
    editor.screenshot(tmp_path / "list.png")
    assert any(entry == name or entry.startswith(f"{name} ·") for entry in entries), entries
    check_no_marker(editor)
    editor.press("Escape")


def test_what_an_error_quotes_is_a_text(editor, tmp_path):
    open_graph(editor, {"1": {"class_type": "HiggsScript", "inputs": {"text": f"[{MARK}"}}, "2": preview("1", 1)})
    run(
        editor,
        """
        await app.queuePrompt(0);
        const shown = () => document.querySelector(".p-dialog, [data-testid=runtime-error-panel]");
        const more = () => document.querySelector("[data-testid=error-overlay-see-errors]"); // of newer pages
        await until(() => {
            more()?.click();
            return shown()?.innerText.includes("[<b id=higgs-marker>");
        });
    """,
    )
    editor.screenshot(tmp_path / "error.png")
    check_no_marker(editor)
    editor.press("Escape")
