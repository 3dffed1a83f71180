"""What stands on the screen of the editor, in both of its renderers, for tests."""

from __future__ import annotations

import json

from helpers_browser import WAITING

SCREEN = (
    WAITING
    + r"""
const make = (type, pos) => {
    const node = LiteGraph.createNode(type);
    if (pos) node.pos = pos;
    app.graph.add(node);
    return node;
};
const slot = (node, name) => node.inputs.findIndex((input) => input.name === name);
const named = (node, name) => node.widgets.find((widget) => widget.name === name);
const found = (type) => app.graph.nodes.find((node) => node.type === type);
const renderer = async (vue) => {
    await app.extensionManager.setting.set("Comfy.VueNodes.Enabled", vue);
    await until(() => document.querySelectorAll("[data-node-id]").length === (vue ? app.graph.nodes.length : 0));
};
const clear = async () => {
    app.graph.clear();
    await until(() => !document.querySelector("[data-node-id], .dom-widget"));
};
const lookAt = async (node) => {
    const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
    const scale = Math.min(1, 0.75 * innerHeight / Math.max(node.size[1], drawn?.offsetHeight ?? 0)); // whole
    Object.assign(app.canvas.ds, { scale, offset: [150 / scale - node.pos[0], 120 / scale - node.pos[1]] });
    for (let n = 0; n < 2; n++) {
        app.canvas.setDirty(true, true);
        await frame();
        await frame();
        const box = boxOf(node), { offset } = app.canvas.ds; // Vue may draw it elsewhere than where the graph has it
        app.canvas.ds.offset = [offset[0] + (150 - box.x) / scale, offset[1] + (120 - box.y) / scale];
    }
};

// --- the elements of the pack ---

const elementsOf = (node) => (node.widgets ?? []).filter((widget) => widget.element?.dataset.higgsWidget);
const boxOf = (node) => { // as it is drawn, without its title
    const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
    if (drawn) return drawn.getBoundingClientRect();
    const [left, top] = app.canvasPosToClientPos(node.pos), { scale } = app.canvas.ds;
    return new DOMRect(left, top, node.size[0] * scale, node.size[1] * scale);
};
const wrong = (node, widget) => { // what is wrong with an element that is to be seen whole; "": nothing
    const { element } = widget, box = element.getBoundingClientRect(), around = boxOf(node), { scale } = app.canvas.ds;
    const stated = (widget.options.getMinHeight?.() ?? 0) - 2 * (widget.margin ?? 10);
    const inside = [[0.5, 0.5], [0.02, 0.1], [0.98, 0.9]].map(([x, y]) => (
        document.elementFromPoint(box.x + x * box.width, box.y + y * box.height)));
    if (!element.isConnected) return "is not in the page";
    if (box.height < scale * stated - 1) return `is ${box.height / scale} high, not ${stated}`;
    if (box.width < scale * 150) return `is ${box.width / scale} wide`;
    const out = [around.top - box.top, around.left - box.left, box.bottom - around.bottom, box.right - around.right];
    if (Math.max(...out) > 1) return `reaches out of its node: ${out}`;
    if (element.scrollHeight > element.clientHeight + 1) return `hides ${element.scrollHeight - element.clientHeight}`;
    const over = inside.find((one) => !element.contains(one));
    if (over !== undefined) return `is covered by ${over?.outerHTML.slice(0, 80)}`;
    return "";
};
const allRight = async (types) => { // the page may still be moving; says what stays wrong
    const problems = [];
    for (const type of types) {
        const node = found(type);
        await lookAt(node);
        for (const widget of elementsOf(node).filter((one) => !one.hidden)) {
            const end = performance.now() + 8000;
            while (wrong(found(type), widget) && performance.now() < end) await wait();
            problems.push(wrong(node, widget) && `${type}: ${widget.name} ${wrong(node, widget)}`);
        }
    }
    return problems.filter(Boolean);
};
const seenTwice = () => { // names of elements that more nodes show than have them
    const names = [...document.querySelectorAll("[data-higgs-widget]")].map((one) => one.dataset.higgsWidget);
    const had = app.graph.nodes.flatMap(elementsOf).map((one) => one.name);
    return [...new Set(names)].filter((name) => names.filter((one) => one === name).length
        > had.filter((one) => one === name).length);
};

// --- contrast of texts, as WCAG 2 has it ---

const rgba = (color) => {
    const numbers = color.match(/[\d.]+/g).map(Number), unit = color.startsWith("color(") ? 255 : 1;
    return [...numbers.slice(0, 3).map((one) => unit * one), numbers[3] ?? 1];
};
const laidOver = (above, below) => [0, 1, 2].map((n) => above[n] * above[3] + below[n] * (1 - above[3]));
const ground = (element) => { // what stands behind it
    const layers = [], canvas = document.createElement("i"), opaque = () => layers.at(-1)?.[3] >= 1;
    canvas.style.color = LiteGraph.NODE_DEFAULT_BGCOLOR;
    for (let one = element; one && !opaque(); one = one.parentElement) {
        const drawn = one.classList.contains("dom-widget"); // above a node of the canvas
        layers.push(rgba(drawn ? canvas.style.color : getComputedStyle(one).backgroundColor));
    }
    return layers.reverse().reduce((below, above) => laidOver(above, below), [0, 0, 0]);
};
const luminance = (color) => {
    const linear = color.map((one) => (one / 255 < 0.03928 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const contrast = (element) => {
    const behind = ground(element), text = laidOver(rgba(getComputedStyle(element).color), behind);
    const [dark, light] = [luminance(text), luminance(behind)].sort((one, other) => one - other);
    return (light + 0.05) / (dark + 0.05);
};
const textsIn = (root) => [root, ...root.querySelectorAll("*")].filter((one) => one.checkVisibility() && !one.disabled
    && (one.type === "button" || [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())));
const faint = (types) => types.flatMap((type) => elementsOf(found(type)).filter((one) => !one.hidden)
    .flatMap((widget) => textsIn(widget.element)).filter((one) => contrast(one) < 4.5)
    .map((one) => `${type}: ${one.className || one.tagName} ${contrast(one).toFixed(2)}`));
"""
)  # JavaScript


def on_screen(browser, body: str):
    return browser.run(SCREEN + body)


def draw_with(browser, vue: bool) -> None:
    """Nodes are drawn by Vue, or on the canvas. The server keeps it: the test that asks for Vue has to turn it off."""
    on_screen(browser, f"await renderer({json.dumps(vue)});")
