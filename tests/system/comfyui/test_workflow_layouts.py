"""The shipped workflows on the screen, in both renderers: nothing overlaps, and each node lies in its group."""

from __future__ import annotations

import json

import pytest
from helpers_scene import open_editor
from helpers_screen import draw_with, on_screen
from helpers_server import PACK_FOLDER
from helpers_workflow import WORKFLOWS, read_workflow

pytestmark = [pytest.mark.web, pytest.mark.slow]

NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
PROBLEMS = """
    const apart = (a, b) => a.left >= b.right - 1 || a.top >= b.bottom - 1;
    const overlap = (a, b) => !apart(a, b) && !apart(b, a);
    const inside = (a, b) => a.left >= b.left && a.top >= b.top && a.right <= b.right && a.bottom <= b.bottom;
    const { NODE_TITLE_HEIGHT: title } = LiteGraph;
    const drawn = (node) => document.querySelector(`[data-node-id="${node.id}"]`);
    const whole = (node) => { // with its title, in the graph's own pixels
        const element = drawn(node);
        if (!element) return new DOMRect(node.pos[0], node.pos[1] - title, node.size[0], node.size[1] + title);
        const box = element.getBoundingClientRect(), [x, y] = app.canvasPosToClientPos([0, 0]);
        const { scale } = app.canvas.ds;
        return new DOMRect((box.x - x) / scale, (box.y - y) / scale, box.width / scale, box.height / scale);
    };
    const problems = () => {
        const found = [], { nodes } = app.graph, boxes = new Map(nodes.map((node) => [node, whole(node)]));
        const groups = app.graph._groups.map((group) => [group.title, new DOMRect(...group._bounding)]);
        const name = (node) => `${node.title} (${node.id})`;
        nodes.forEach((one, n) => nodes.slice(n + 1).forEach((other) => {
            if (overlap(boxes.get(one), boxes.get(other))) found.push(`${name(one)} and ${name(other)} overlap`);
        }));
        for (const node of nodes.filter((one) => one.type !== "MarkdownNote")) {
            const touched = groups.filter(([, box]) => overlap(boxes.get(node), box));
            if (touched.length !== 1 || !inside(boxes.get(node), touched[0][1])) {
                found.push(`${name(node)} touches ${touched.map(([of]) => of).join(", ") || "no group"}`);
            }
        }
        for (const node of nodes) {
            const cut = [...drawn(node)?.querySelectorAll("[data-testid=widget-layout-field-label]") ?? []];
            for (const label of cut.filter((one) => one.scrollWidth > one.clientWidth + 1)) {
                found.push(`${name(node)} cuts ${label.textContent}`);
            }
        }
        return found;
    };
"""  # JavaScript


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_nothing_overlaps(page, vue):
    found = {}
    for name in NAMES:
        draw_with(page, False)
        workflow = json.dumps(read_workflow(name))
        try:
            found[name] = on_screen(
                page,
                PROBLEMS
                + f"""
                await app.loadGraphData({workflow});
                app.extensionManager.workflow.activeWorkflow.activeMode = "graph"; // some open as an app
                await until(() => app.graph.nodes.length === {len(read_workflow(name)["nodes"])});
                await renderer({json.dumps(vue)});
                Object.assign(app.canvas.ds, {{ scale: 0.5, offset: [100, 200] }});
                app.canvas.setDirty(true, true);
                await wait(700); // for what the server is asked for, and what is as high as it says
                const end = performance.now() + 5000;
                while (problems().length && performance.now() < end) await wait();
                return problems();
            """,
            )
        finally:
            draw_with(page, False)
    assert found == {name: [] for name in NAMES}


def test_scripts_throw_nothing(page):
    assert [error for error in page.errors if PACK_FOLDER in error] == []
