"""The tags of v3 in the menu of Higgs ChatML Prompt: inserted at the cursor, mended, undone."""

from __future__ import annotations

import pytest
from helpers_scene import HELPERS, open_editor

pytestmark = pytest.mark.web

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
"""
)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


def test_a_tag_is_inserted_at_the_cursor(browser):
    found = browser.run(
        NODE
        + """
        words.value = "Yes. No.";
        const area = words.element ?? words.inputEl;
        area.setSelectionRange(5, 5);
        tags().find((one) => one.content.startsWith("anger")).callback();
        return [tags().length, words.value, area.selectionStart];
    """
    )
    assert found == [43, "Yes. <|emotion:anger|>No.", 22]


def test_tags_are_mended_from_the_menu(browser):
    found = browser.run(
        NODE
        + """
        words.value = "I said <|emotion:angry|>no.";
        item("Mend the tags in the text").callback();
        await until(() => !words.value.includes("angry"));
        return words.value;
    """
    )
    assert found == "<|emotion:anger|>I said no."
