"""The scene editor of Script in a browser, for tests."""

from __future__ import annotations

import json

import requests
from helpers_browser import WAITING, Browser

HELPERS = (
    WAITING
    + """
const node = window.scriptNode, editor = node?.higgsScene, text = () => node.widgets[0].value;
const rows = () => [...editor.list.querySelectorAll(".row")];
"""
)


def open_editor(server, folder) -> Browser:
    """A browser with the server's page."""
    requests.post(server.url + "/api/settings", json={"Comfy.TutorialCompleted": True}, timeout=30)
    page = Browser(folder)
    load_page(page, server)
    return page


def load_page(page: Browser, server) -> None:
    """Opens the server's page in a browser; returns when it has opened the workflow that it begins with."""
    page.open(server.url)
    page.wait_for(
        "window.LiteGraph?.registered_node_types?.HiggsScript"
        " && window.app?.extensionManager?.workflow?.activeWorkflow?.changeTracker?.activeState"
    )


def run(browser, body: str):
    return browser.run(HELPERS + body)


def show(browser, text: str) -> None:
    """A Script node with this text, alone on the canvas."""
    browser.run(f"""
        {WAITING}
        app.graph.clear();
        // Vue takes a node of the same number for the one before
        await until(() => !document.querySelector("[data-node-id], .dom-widget"));
        const node = window.scriptNode = LiteGraph.createNode("HiggsScript");
        node.pos = [100, 100];
        app.graph.add(node);
        Object.assign(app.canvas.ds, {{ offset: [40, 40], scale: 1 }});
        node.widgets[0].value = {json.dumps(text)};
        app.canvas.setDirty(true, true);
        await settled(() => node.higgsScene.root);
    """)


def text_of(browser) -> str:
    return run(browser, "return text();")


def middle(browser, selector: str, number: int = 0, below: float = 0) -> tuple[float, float]:
    box = run(
        browser,
        f"const box = editor.root.querySelectorAll({json.dumps(selector)})[{number}]"
        ".getBoundingClientRect(); return [box.x, box.y, box.width, box.height];",
    )
    return box[0] + box[2] / 2, box[1] + box[3] / 2 + below
