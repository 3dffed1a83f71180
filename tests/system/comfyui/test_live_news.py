"""The live player's copy of a sound, in a real browser: what the server says may arrive in any order."""

from __future__ import annotations

import pytest
from helpers_browser import WAITING, Browser
from helpers_server import PACK_FOLDER

pytestmark = pytest.mark.web


def test_news_of_the_finished_audio_may_overtake_what_was_heard_before(server, tmp_path):
    browser = Browser(tmp_path / "chromium")
    browser.open(f"{server.url}/system_stats")  # any page of the server
    found = browser.run(f"""
        {WAITING}
        const {{ LiveSound }} = await import("/extensions/{PACK_FOLDER}/common/live/sound.js");
        const about = {{ prompt_id: "p", node: "4", number: 1, state: "done", samples: 3, sample_rate: 24000 }};
        const answer = (samples, exact) => ({{
            ok: true, status: 200, arrayBuffer: async () => new Float32Array(samples).buffer,
            headers: {{ get: () => JSON.stringify({{ ...about, exact }}) }},
        }});
        const asked = [];
        const sound = new LiveSound({{ ...about, exact: false }});
        const over = sound.follow(() => new Promise((go) => asked.push(go)), () => {{}});
        await until(() => asked.length === 1);
        sound.settle(null, {{ ...about, exact: true }});
        asked[0](answer([1, 2, 3], false));
        await until(() => asked.length === 2);
        asked[1](answer([4, 5, 6], true));
        await over;
        return [[...sound.copy(0, 3)], sound.exact];
    """)
    browser.close()
    assert found == [[4, 5, 6], True]
