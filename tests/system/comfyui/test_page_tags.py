"""The tags of v3 in the page: chosen from the menus of the scene editor and of ChatML Prompt, and mended by a click."""

from __future__ import annotations

import json

import pytest
from helpers_scene import HELPERS, middle, open_editor, run, show, text_of

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def test_a_tag_is_chosen_from_the_menu_and_stands_at_the_cursor(browser):
    show(browser, "[Anna] Yes. No.\n")
    found = run(
        browser,
        """
        const menu = editor.tags.menu;
        await until(() => menu.querySelectorAll("optgroup").length === 4);
        editor.activate(0, 5);
        menu.value = "<|emotion:anger|>";
        menu.dispatchEvent(new Event("change"));
        const first = text(), focused = document.activeElement === editor.field;
        editor.undo(editor.past, editor.future);
        return [menu.querySelectorAll("option").length, first, focused, text(), menu.value];
    """,
    )
    assert found == [44, "[Anna] Yes. <|emotion:anger|>No.\n", True, "[Anna] Yes. No.\n", ""]


def test_tags_are_mended_by_one_click_that_can_be_undone(browser):
    before = "[Anna] I said <|emotion:angry|>no.\n[Bob] It is <|sfx:laughter|> good.\n"
    show(browser, before)
    run(browser, "await until(() => editor.said.textContent === '2 warnings' && !editor.tags.mending.hidden);")
    browser.click(*middle(browser, ".bar input[value='Mend tags']"))
    run(browser, "await until(() => editor.tags.mending.hidden);")
    assert text_of(browser) == "[Anna] <|emotion:anger|>I said no.\n[Bob] It is <|sfx:laughter|>Haha, good.\n"
    run(browser, "editor.undo(editor.past, editor.future);")
    assert text_of(browser) == before


# --- in the menu of Higgs ChatML Prompt ---------------------------------------------------------------------------

NODE = (
    HELPERS
    + """
app.graph.clear();
const prompt = LiteGraph.createNode("HiggsChatMLPrompt");
app.graph.add(prompt);
const words = prompt.widgets.find((one) => one.name === "text");
const item = (name) => app.canvas.getNodeMenuOptions(prompt).find((one) => one?.content === name);
await until(() => item("Insert a tag of Higgs Audio v3"));
const tags = () => item("Insert a tag of Higgs Audio v3").submenu.options.flatMap((one) => one.submenu.options);
const vue = app.extensionManager.setting.get("Comfy.VueNodes.Enabled");
const field = () => vue
    ? document.querySelector(`[data-node-id="${prompt.id}"] textarea`)
    : (words.element ?? words.inputEl);
await until(() => field());
const shown = async () => { await until(() => field().value === words.value); return field().value; };
"""
)


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def drawn(browser, request):
    """How the node is drawn. The server keeps the setting, so it is turned off again."""
    setting = "await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {});"
    browser.run(setting.format(json.dumps(request.param)))
    yield browser
    browser.run(setting.format("false"))


def test_a_tag_is_inserted_at_the_cursor(drawn):
    found = drawn.run(
        NODE
        + """
        words.value = "Yes. No.";
        await shown();
        field().focus();
        field().setSelectionRange(5, 5);
        field().blur();
        tags().find((one) => one.content.startsWith("anger")).callback();
        return [tags().length, words.value, await shown(), field().selectionStart];
    """
    )
    tagged = "Yes. <|emotion:anger|>No."
    assert found == [43, tagged, tagged, 22]


def test_tags_are_mended_from_the_menu(drawn):
    found = drawn.run(
        NODE
        + """
        words.value = "I said <|emotion:angry|>no.";
        await shown();
        item("Mend the tags in the text").callback();
        await until(() => !words.value.includes("angry"));
        return [words.value, await shown()];
    """
    )
    assert found == ["<|emotion:anger|>I said no."] * 2
