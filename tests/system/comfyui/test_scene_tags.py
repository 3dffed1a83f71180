"""The tags of v3 in the scene editor: chosen from a menu, and mended by a click."""

from __future__ import annotations

import pytest
from helpers_scene import middle, open_editor, run, show, text_of

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
