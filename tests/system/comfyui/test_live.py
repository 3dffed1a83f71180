"""The live player, in a real browser beside a real server: a take is heard while it is spoken."""

from __future__ import annotations

import json
import socket
import time

import numpy as np
import pytest
import requests
import soundfile
from helpers_browser import HOLD_THE_END, WAITING
from helpers_scene import load_page, open_editor
from helpers_server import PACK_FOLDER, Client
from helpers_workflow import read_workflow

pytestmark = pytest.mark.web

NANO = {"HiggsLoadModel": "higgs-nano", "HiggsLoadCodec": "higgs-nano-codec"}
RANDOM = {"HiggsLoadModel": "higgs-audio-v2-generation-3B-base", "HiggsLoadCodec": "higgs-audio-v2-tokenizer"}
HELPERS = (
    WAITING
    + """
const found = (type) => app.graph.nodes.find((node) => node.type === type);
const named = (node, name) => node.widgets.find((widget) => widget.name === name);
const widget = () => named(found("HiggsGenerate"), "live_player");
const player = () => widget().player;
const set = (changes) => {
    for (const [type, values] of Object.entries(changes))
        for (const [name, value] of Object.entries(values)) named(found(type), name).value = value;
};
const open = async (changes) => {
    const file = await fetch("/api/workflow_templates/PACK/text_to_speech.json");
    await app.loadGraphData({ ...(await file.json()), id: crypto.randomUUID() });  // nothing is known of it yet
    await until(() => found("HiggsGenerate") && player()); // not that it is drawn: a page behind another draws nothing
    set(changes);
};
const samples = () => {
    const all = player().sound.copy(0, player().sound.length);
    return btoa(Array.from(new Uint8Array(all.buffer), (byte) => String.fromCharCode(byte)).join(""));
};
""".replace("PACK", PACK_FOLDER)
)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    listen(page)
    page.click(900, 100)  # a person has touched the page: it may make sounds
    yield page
    page.close()


def listen(page) -> None:
    page.run("""
        window.complaints = [];
        const complain = console.error, newer = ["[Jobs API]", "Failed to fetch queue"]; // asked of an older server
        console.error = (...what) => {
            const said = what.map(String).join(" ");
            if (!newer.some((one) => said.startsWith(one))) complaints.push(said);
            complain(...what);
        };
    """)


def settings(models: dict[str, str], **values) -> str:
    """What `open` changes in the template: the checkpoints and settings of Generate."""
    text = values.pop("text", "Welcome, everyone. The weather is beautiful, and the story is ready.")
    changes = {name: {"checkpoint": checkpoint} for name, checkpoint in models.items()}
    return json.dumps({**changes, "HiggsChatMLPrompt": {"text": text}, "HiggsGenerate": values})


def in_page(page, body: str):
    return page.run(HELPERS + HOLD_THE_END + body)


def array(text: str) -> np.ndarray:
    import base64

    return np.frombuffer(base64.b64decode(text), "<f4")


def sound_of(server, prompt_id: str, node: str = "4") -> tuple[np.ndarray, dict]:
    """What the server has of a sound, fetched piece by piece."""
    got = b""
    while True:
        answer = requests.get(f"{server.url}/higgs/live/{prompt_id}/{node}?after={len(got) // 4}", timeout=30)
        about = json.loads(answer.headers["Higgs-Live"])
        got += answer.content
        if not answer.content and about["state"] != "rendering":
            return np.frombuffer(got, "<f4"), about


# --- heard ----------------------------------------------------------------------------------------------------------


def test_a_take_is_heard_while_it_is_spoken_and_is_then_that_of_decode_codes(browser, server, client, tmp_path):
    heard = in_page(
        browser,
        f"""
        await open({settings(NANO, seed=11)});
        const starts = [], start = AudioBufferSourceNode.prototype.start;
        AudioBufferSourceNode.prototype.start = function (when) {{
            starts.push([Math.round(when * 24000), this.buffer.length]);
            return start.call(this, when);
        }};
        const letGo = holdTheEnd();
        await app.queuePrompt(0);
        await until(() => player().playback?.state === "playing");
        const ear = new AnalyserNode(player().playback.context), wave = new Float32Array(ear.fftSize);
        player().playback.gain.connect(ear);
        let loudest = 0;
        await until(() => {{
            ear.getFloatTimeDomainData(wave);
            loudest = Math.max(loudest, ...wave.map(Math.abs));
            return loudest > 0.01 || player().sound.about.state !== "rendering";
        }});
        const early = player().sound.about.state;
        letGo();
        await until(() => player().sound.whole && player().sound.exact && player().playback.state === "paused");
        AudioBufferSourceNode.prototype.start = start;
        return {{ early, loudest, starts, dried: player().playback.dried, samples: samples(),
            about: player().sound.about, at: player().playback.position, figures: player().figures.textContent }};
    """,
    )
    assert heard["early"] == "rendering" and heard["loudest"] > 0.01
    ends = [start + count for start, count in heard["starts"]]
    breaks = [begin for begin, end in zip(heard["starts"][1:], ends, strict=False) if begin[0] != end]
    assert len(breaks) == heard["dried"]  # only where the server was slower than the ear
    mine, about = array(heard["samples"]), heard["about"]
    assert sum(count for _, count in heard["starts"]) == len(mine) == about["samples"] == heard["at"]
    assert "frames/s" in heard["figures"] and "RTF" in heard["figures"]
    theirs, _ = sound_of(server, about["prompt_id"])
    assert np.array_equal(mine, theirs)
    history = server.get(f"/history/{about['prompt_id']}")[about["prompt_id"]]
    saved, _ = soundfile.read(client.download(history["outputs"]["7"]["audio"][0], tmp_path))
    assert len(saved) == len(mine) and np.abs(saved - mine).max() <= 2**-15


def test_every_sample_reaches_the_speakers_once_and_in_order(browser):
    """Through an audio worklet behind the player, while the sound grows, with a jump in the middle."""
    played, sounds = in_page(
        browser,
        f"""
        const {{ LiveSound }} = await import("/extensions/{PACK_FOLDER}/common/live/sound.js");
        const {{ Playback }} = await import("/extensions/{PACK_FOLDER}/common/live/playback.js");
        const rate = 24000;
        const about = {{ sample_rate: rate, state: "rendering", samples: 0, rendered_s: 1, elapsed_s: 0.1 }};
        const sound = new LiveSound(about), playback = new Playback(sound, () => {{}});
        const noise = Float32Array.from({{ length: 3 * rate }}, () => Math.random() / 2 + 0.25);
        sound.append(noise.subarray(0, 2 * rate));
        const tap = URL.createObjectURL(new Blob([`registerProcessor("tap", class extends AudioWorkletProcessor {{
            process([[samples]]) {{ if (samples) this.port.postMessage(samples.slice()); return true; }} }})`],
            {{ type: "text/javascript" }}));
        await playback.context.audioWorklet.addModule(tap);
        const ear = new AudioWorkletNode(playback.context, "tap"), got = [];
        ear.port.onmessage = ({{ data }}) => got.push(...data);
        playback.play();
        playback.gain.connect(ear);
        for (let at = 2 * rate; at < 3 * rate; at += 3000) {{
            await wait(10);
            sound.append(noise.subarray(at, at + 3000));
            playback.fed();
        }}
        about.state = "done";
        about.samples = sound.length;
        await until(() => got.some((sample) => sample !== 0));
        await until(() => playback.position > rate / 2);
        playback.seek(2.5 * rate);
        await until(() => playback.state === "paused");
        await until(() => got.includes(noise.at(-1)));
        playback.close();
        const text = (list) => btoa(Array.from(new Uint8Array(Float32Array.from(list).buffer),
            (byte) => String.fromCharCode(byte)).join(""));
        return [text(got), text(noise)];
    """,
    )
    played, noise = array(played), array(sounds)
    sounding = np.flatnonzero(played)
    stretches = np.split(played[sounding], np.flatnonzero(np.diff(sounding) > 1) + 1)
    assert len(stretches) == 2
    assert len(stretches[0]) > 24_000 / 3 and np.array_equal(stretches[0], noise[: len(stretches[0])])
    assert np.array_equal(stretches[1], noise[-len(stretches[1]) :]) and len(stretches[1]) == 12_000


def test_cancel_from_the_node(browser, server):
    state, prompt_id, text, has = in_page(
        browser,
        f"""
        await open({settings(RANDOM, seed=12, max_seconds=240)});
        await app.queuePrompt(0);
        await until(() => player().sound?.length > 24000);
        player().cancelButton.click();
        await until(() => player().sound.whole && player().figures.textContent.startsWith("cancelled"));
        player().playback.pause();
        return [player().sound.about.state, player().sound.about.prompt_id, player().figures.textContent,
            [player().sound.length, player().cancelButton.hidden]];
    """,
    )
    assert state == "cancelled" and text.startswith("cancelled") and has[0] > 24_000
    deadline = time.monotonic() + 20
    while prompt_id not in (history := server.get(f"/history/{prompt_id}")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "execution_interrupted" in [kind for kind, _ in history[prompt_id]["status"]["messages"]]


def test_a_page_that_comes_late_or_loses_the_server_for_a_while_misses_nothing(browser, server):
    browser.call("Network.enable")
    in_page(
        browser,
        f"""
        await open({settings(RANDOM, seed=13, max_seconds=12)});
        window.letGo = holdTheEnd(6 * 24_000);
        await app.queuePrompt(0);
        await until(() => player().sound?.length > 24000);
        window.late = app.graph.serialize();
    """,
    )
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.call("Network.emulateNetworkConditions", offline=True, **offline)
    try:
        had = in_page(browser, "await until(() => player().sound.trouble); letGo(); return player().sound.length;")
    finally:
        browser.call("Network.emulateNetworkConditions", offline=False, **offline)
    mine, about = in_page(
        browser,
        """
        const first = player();
        await until(() => first.sound.trouble === "" && first.sound.length > HAD);
        first.playback.pause();
        await app.loadGraphData(late);  // the same workflow, opened anew while it is rendered
        await until(() => player() !== first && player().sound?.exact && player().sound.whole);
        return [samples(), player().sound.about];
    """.replace("HAD", str(had)),
    )
    theirs, _ = sound_of(server, about["prompt_id"])
    assert had < len(theirs) == 12 * 24_000 and np.array_equal(array(mine), theirs)


# --- the server -----------------------------------------------------------------------------------------------------


def text_to_speech(**settings) -> dict:
    """The template with random checkpoints, in API format."""
    prompt = read_workflow("text_to_speech", api=True)
    for node in prompt.values():
        if node["class_type"] in RANDOM:
            node["inputs"]["checkpoint"] = RANDOM[node["class_type"]]
    prompt["4"]["inputs"].update(settings)
    return prompt


def test_who_never_reads_holds_up_nobody(server, client):
    """The page that queued the prompt reads neither its websocket nor the sound; the render ends, memory stays."""
    assert client.run(text_to_speech(seed=16, max_seconds=1.0)).error is None  # the models are loaded
    before = server.memory_bytes()
    deaf = Client(server)
    run, mute = deaf.queue(text_to_speech(seed=17, max_seconds=30.0)), []
    deadline = time.monotonic() + 240
    while run.prompt_id not in (history := server.get(f"/history/{run.prompt_id}")):
        assert time.monotonic() < deadline
        for _ in range(2 if len(mute) < 40 else 0):
            one = socket.create_connection(("127.0.0.1", server.port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(f"GET /higgs/live/{run.prompt_id}/4?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            mute.append(one)
        time.sleep(0.2)
    assert history[run.prompt_id]["status"]["status_str"] == "success"
    samples, about = sound_of(server, run.prompt_id)
    assert len(samples) == 30 * 24_000 and about["state"] == "done" and about["exact"]
    assert server.memory_bytes() - before < 150e6
    for one in mute:
        one.close()
    deaf.close()


@pytest.fixture(scope="module")
def spoken(server):
    """The id of a prompt that has a sound."""
    client = Client(server)
    run = client.run(text_to_speech(seed=18, max_seconds=0.4))
    client.close()
    assert run.error is None, run.error
    return run.prompt_id


@pytest.mark.parametrize(
    "path, status",
    [
        ("none/4", 404),
        ("..%2F..%2Fmodels/4", 404),
        ("%2Fetc%2Fpasswd/4", 404),
        ("%00/%3Cscript%3E", 404),
        ("PROMPT/4?after=-1", 400),
        ("PROMPT/4?after=1e3", 400),
        ("PROMPT/4?after=%D9%A3", 400),
        ("PROMPT/4?after=" + "9" * 400, 400),
        ("PROMPT/4?after=999999999999", 200),
    ],
)
def test_hostile_names_and_numbers(server, spoken, path, status):
    answer = requests.get(f"{server.url}/higgs/live/{path.replace('PROMPT', spoken)}", timeout=30)
    assert answer.status_code == status
    assert answer.content == b"" if status == 200 else answer.json()["error"]


# --- on the canvas --------------------------------------------------------------------------------------------------


def test_the_player_shows_with_a_codec_and_is_no_part_of_the_prompt(browser):
    steps = in_page(
        browser,
        """
        const steps = [], note = () => steps.push([named(node, "live").hidden, widget().hidden, node.size[1]]);
        app.graph.clear();
        const make = (type) => { const one = LiteGraph.createNode(type); app.graph.add(one); return one; };
        const node = make("HiggsGenerate"), codec = make("HiggsLoadCodec");
        const slot = node.inputs.findIndex((input) => input.name === "codec");
        await wait();
        note();
        codec.connect(0, node, slot);
        await wait();
        note();
        named(node, "live").value = false;
        named(node, "live").callback(false);
        await wait();
        note();
        await app.loadGraphData(app.graph.serialize());
        await wait();
        steps.push([named(found("HiggsGenerate"), "live").value, widget().hidden, found("HiggsGenerate").size[1]]);
        steps.push(Object.keys((await app.graphToPrompt()).output[found("HiggsGenerate").id].inputs));
        steps.push(found("HiggsGenerate").serialize().widgets_values.length);
        return steps;
    """,
    )
    (no, both, off), reopened, names, values = steps[:3], *steps[3:]
    assert no[:2] == [True, True] and both[:2] == [False, False] and off[:2] == [False, True]
    assert no[2] < off[2] < both[2] - 100 and reopened == [False, True, off[2]]
    assert "live" in names and "live_player" not in names and values == 11


def test_keys_move_play_and_mute(browser):
    steps = in_page(
        browser,
        f"""
        await open({settings(RANDOM, seed=19, max_seconds=2)});
        await app.queuePrompt(0);
        await until(() => player().sound?.whole);
        const one = player(), steps = [], press = (key) => one.canvas.dispatchEvent(
            new KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }}));
        one.playback.pause();
        const at = () => steps.push(Math.round(one.playback.position / 240) / 100);
        for (const key of ["Home", "ArrowRight", "ArrowLeft", "End", "PageDown"]) {{ press(key); at(); }}
        press(" ");
        steps.push(one.playback.state !== "paused");
        press(" ");
        one.muteButton.click();
        steps.push([one.playback.state, one.playback.volume, JSON.parse(localStorage.getItem("Higgs.live"))]);
        one.muteButton.click();
        const label = () => one.playButton.ariaLabel;
        await until(() => label() === "Play" && one.canvas.ariaValueText.endsWith("of 2.0 seconds"));
        const names = [...one.element.querySelectorAll("button, input, canvas")].map((part) => part.ariaLabel);
        return [...steps, names, one.canvas.ariaValueText];
    """,
    )
    assert steps[:5] == [0, 1, 0, 2, 0] and steps[5] is True
    assert steps[6] == ["paused", 0, {"volume": 1, "muted": True}]
    assert steps[7] == ["Position", "Play", "The one before", "The next one", "Mute", "Volume", "Cancel the render"]
    assert steps[8].endswith("of 2.0 seconds")


def test_fifty_players_in_one_graph(browser):
    """All show one sound; at any time one of them plays. Nothing in this page was an error until now."""
    shown, playing, last = in_page(
        browser,
        """
        const about = player().sound.about;
        app.graph.clear();
        const codec = LiteGraph.createNode("HiggsLoadCodec");
        app.graph.add(codec);
        const players = [];
        for (let i = 0; i < 50; i++) {
            const node = LiteGraph.createNode("HiggsGenerate");
            node.pos = [(i % 10) * 340, Math.floor(i / 10) * 520];
            app.graph.add(node);
            codec.connect(0, node, node.inputs.findIndex((input) => input.name === "codec"));
            players.push(named(node, "live_player").player);
        }
        app.canvas.ds.scale = 0.5;
        app.canvas.setDirty(true, true);
        await until(() => players.every((one) => one.element.isConnected));
        for (const one of players) one.show(about, false);
        await until(() => players.every((one) => one.sound.whole));
        for (const one of players) one.playback.play();
        const playing = players.filter((one) => one.playback.state !== "paused").length;
        const last = players[49].playback.state !== "paused";
        await until(() => players[49].playback.state === "paused");
        return [players.filter((one) => document.contains(one.element)).length, playing, last];
    """,
    )
    assert (shown, playing, last) == (50, 1, True)
    assert in_page(browser, "return complaints;") == []
    assert [error for error in browser.errors if PACK_FOLDER in error] == []


def test_two_tabs_hear_their_own_and_none_sounds_before_it_is_touched(browser, server):
    """The last test of the file: a page behind another one draws nothing."""
    other = browser.tab()
    load_page(other, server)
    listen(other)
    for page, seed in ((browser, 14), (other, 15)):
        in_page(page, f"await open({settings(RANDOM, seed=seed, max_seconds=2)}); await app.queuePrompt(0);")
    ask = "await until(() => player().sound?.whole && player().sound.exact); const is = player().playback.state;"
    (_, mine, sound), (state, theirs, another) = (
        in_page(page, ask + "return [is, player().sound.about, samples()];") for page in (browser, other)
    )
    assert mine["prompt_id"] != theirs["prompt_id"] and state == "paused"
    assert not np.array_equal(array(sound), array(another))
    for about, samples in ((mine, sound), (theirs, another)):
        assert np.array_equal(array(samples), sound_of(server, about["prompt_id"])[0])
    x, y = in_page(
        other,
        """
        app.canvas.ds.scale = 1;
        app.canvas.ds.offset = found("HiggsGenerate").pos.map((place) => 200 - place);
        app.canvas.setDirty(true, true);
        await settled(() => player().playButton);
        const box = player().playButton.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    """,
    )
    other.click(x, y)
    in_page(other, "await until(() => player().playback.position > 2400);")
    assert in_page(other, "return complaints;") == []
    assert [error for error in other.errors if PACK_FOLDER in error] == []  # ComfyUI's page has one of its own
