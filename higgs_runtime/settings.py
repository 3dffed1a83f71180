"""Every setting of sampling, rendering and verification, once: range, default, unit, help, and which doors show it.

Node inputs, argparse options, the server's fields, the settings of a script's turns, and the checks of `Sampling`,
`RenderSettings` and `Limits` are made from this table. Read without torch, so that `higgs --help` is quick.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .errors import check_range

Door = Literal["node", "cli", "server", "script"]
MOST_FRAMES = 10_000_000
FRAMES_A_SECOND = 25  # of every released Higgs model


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: of the field in `Sampling`, `RenderSettings` or `Limits`, and in a script.
        least, most: the ends of the range, both allowed; for a switch, nothing.
        unit: may stand behind the number in a script.
        help: for a person, the same at each door that shows it.
        doors: where it is offered.
        off: for doors that have no None: what they take for it, below the range.
        node, option, field: its name there, where that is another one.
        step: of the arrows of a node's input; None: the host's.
    """

    name: str
    kind: type
    default: Any
    least: float = 0
    most: float = 0
    unit: str = ""
    help: str = ""
    doors: tuple[Door, ...] = ()
    off: float | None = None
    node: str = ""
    option: str = ""
    field: str = ""
    step: float | None = None

    def check(self, value: float, *, least: float | None = None, remedy: str = "", called: str = "") -> None:
        """Refuse a value out of the range.

        Args:
            called: what the one who gave it knows it by, where that is another name.
            least: in place of the table's, where it depends on another setting.

        Raises:
            SettingError: the value is NaN, infinite or out of the range.
        """
        check_range(called or self.name, value, self.least if least is None else least, self.most, remedy)

    def read(self, value: Any) -> int | float:
        """A number, or its digits, as the setting's type.

        Raises:
            ValueError: what was expected instead, in words.
        """
        try:
            typed = self.kind(value)
            fits = (
                math.isfinite(typed) and self.least <= typed <= self.most and (isinstance(value, str) or typed == value)
            )
        except (TypeError, ValueError, OverflowError):
            fits = False
        if not fits:
            whole = self.kind is int
            span = f"{self.least} to {self.most}" if whole else f"{self.least:g} to {self.most:g} {self.unit}".rstrip()
            raise ValueError(f"a {'whole ' if whole else ''}number from {span}")
        return typed

    @property
    def lowest_shown(self) -> float:
        """The least that a door without None takes."""
        return self.least if self.off is None else self.off


_TABLE = (
    # How the next ids are chosen: `Sampling`
    Setting(
        name="seed",
        kind=int,
        default=0,
        least=0,
        most=2**64 - 1,
        doors=("node", "cli", "server", "script"),
        help="Seed of the random numbers: another seed gives another take.",
    ),
    Setting(
        name="max_seconds",
        kind=float,
        default=30.0,
        least=1 / FRAMES_A_SECOND,
        most=MOST_FRAMES / FRAMES_A_SECOND,
        step=0.5,
        doors=("node", "cli"),
        help="Stops after this many seconds of audio, even in the middle of a word; one second of speech is about "
        "15 letters.",
    ),
    Setting(
        name="temperature",
        kind=float,
        default=-1.0,
        least=-1.0,
        most=10.0,
        step=0.05,
        doors=("node", "cli", "server", "script"),
        help="-1: as the model was released (0.3 for v2, 0.8 for v3). 0: always the most likely sound. Higher: "
        "livelier, less steady; values up to 1 make sense.",
    ),
    Setting(
        name="top_k",
        kind=int,
        default=-1,
        least=-1,
        most=1_000_000,
        doors=("node", "cli", "server", "script"),
        help="Samples from this many of the most likely ids; 0: from all; -1: as the model was released (50).",
    ),
    Setting(
        name="top_p",
        kind=float,
        default=-1.0,
        least=-1.0,
        most=1.0,
        step=0.01,
        doors=("node", "cli", "server", "script"),
        help="Samples from the most likely ids that together reach this probability; 1: from all; "
        "-1: as the model was released (0.95).",
    ),
    Setting(
        name="ras_window",
        kind=int,
        default=-1,
        least=-1,
        most=1_000,
        doors=("node", "cli", "server", "script"),
        help="Guards against stuck sounds: looks back this many frames (25 a second); 0: off; "
        "-1: as the model was released (7 for v2, off for v3).",
    ),
    Setting(
        name="ras_max_repeats",
        kind=int,
        default=2,
        least=1,
        most=1_000,
        doors=("node", "cli", "server", "script"),
        help="An id that already occurs this often in the window is sampled again.",
    ),
    Setting(
        name="max_frames",
        kind=int,
        default=750,
        least=1,
        most=MOST_FRAMES,
        doors=("server", "script"),
        field="max_new_tokens",
        help="Maximum number of frames (25 a second).",
    ),
    # What happens to a take of a script's turn afterwards
    Setting(name="gain", kind=float, default=0.0, least=-60.0, most=24.0, unit="dB", doors=("script",)),
    Setting(name="speed", kind=float, default=1.0, least=0.5, most=2.0, unit="x", doors=("script",)),
    Setting(name="take", kind=int, default=1, least=1, most=9_999, doors=("script",)),
    # How a script is rendered: `RenderSettings`
    Setting(
        name="context_turns",
        kind=int,
        default=4,
        least=1,
        most=1_000,
        doors=("node", "cli"),
        help="In continuous mode: how many earlier turns a line hears at least.",
    ),
    Setting(
        name="batch",
        kind=int,
        default=8,
        least=1,
        most=10_000,
        doors=("node", "cli"),
        help="Maximum number of lines spoken at the same time; fewer when memory is short.",
    ),
    Setting(
        name="takes",
        kind=int,
        default=1,
        least=1,
        most=100,
        doors=("node", "cli"),
        help="Takes per line, each with the next seed; with a recognizer the best one is kept.",
    ),
    Setting(
        name="candidates",
        kind=int,
        default=4,
        least=1,
        most=16,
        doors=("node", "cli"),
        help="Takes of each edit, spoken side by side with seeds that follow each other; the best is used.",
    ),
    Setting(
        name="pause_s",
        kind=float,
        default=-1.0,
        least=0.0,
        most=10.0,
        off=-1.0,
        unit="s",
        step=0.05,
        doors=("node", "cli"),
        node="pause",
        option="pause",
        help="Seconds between the last word of the recording and the new speech, of the recording's own silence. -1: "
        "as it pauses between its sentences.",
    ),
    Setting(
        name="max_takes",
        kind=int,
        default=3,
        least=1,
        most=100,
        doors=("node", "cli"),
        help="With a recognizer: maximum number of takes per line until one passes.",
    ),
    Setting(
        name="takes_per_slot",
        kind=int,
        default=4,
        least=1,
        most=100,
        doors=("node", "cli"),
        help="Takes of a line that has a length, from subtitles or [fit: 2.4s], spoken side by side; the one whose "
        "length is nearest is kept.",
    ),
    Setting(
        name="slowest",
        kind=float,
        default=0.9,
        least=0.5,
        most=1.0,
        step=0.05,
        doors=("node", "cli"),
        help="What is left to the length of a line that has one is closed by tempo, down to this; the pitch stays. "
        "1: never slower.",
    ),
    Setting(
        name="fastest",
        kind=float,
        default=1.15,
        least=1.0,
        most=2.0,
        step=0.05,
        doors=("node", "cli"),
        help="The same, up to this; what is left then takes the pause after the line. 1: never faster.",
    ),
    Setting(
        name="follow_db",
        kind=float,
        default=6.0,
        least=0.0,
        most=24.0,
        unit="dB",
        step=0.5,
        doors=("node", "cli"),
        help="By how many dB a phrase is turned up or down, at most, to be as loud among the others as in the "
        "recording; 0: not at all.",
    ),
    Setting(
        name="max_chars",
        kind=int,
        default=300,
        least=20,
        most=100_000,
        doors=("node", "cli"),
        help="Longer turns are split between sentences into pieces of at most this many characters.",
    ),
    Setting(
        name="silence_s",
        kind=float,
        default=3.0,
        least=0.2,
        most=60.0,
        off=0.0,
        step=0.1,
        doors=("node", "cli"),
        node="end_silence",
        option="silence",
        help="Ends a line that stays silent for this many seconds; 0: only its maximum length ends it.",
    ),
    Setting(
        name="prepare",
        kind=bool,
        default=True,
        doors=("node", "cli"),
        help="Prepares turns for the model, as Prepare Text shows. Off: the model reads exactly what is written.",
    ),
    Setting(
        name="spell_numbers",
        kind=bool,
        default=False,
        doors=("node", "cli"),
        help="When turns are prepared: spells out numbers in words (extra 'text').",
    ),
    Setting(
        name="marks",
        kind=bool,
        default=False,
        doors=("node", "cli"),
        help="When text is prepared: leaves out marks for the eye, such as Markdown, links, note numbers, hyphens at "
        "line ends.",
    ),
    Setting(
        name="carry_emotion",
        kind=bool,
        default=False,
        doors=("cli",),
        help="When turns are prepared for v3 and spoken in pieces: an emotion goes on in the next piece, as style and "
        "prosody do.",
    ),
    Setting(
        name="chunk_chars",
        kind=int,
        default=3000,
        least=200,
        most=100_000,
        step=100,
        doors=("node", "cli"),
        help="Letters of a script in one request to the chat server, about; a line is never cut.",
    ),
    Setting(
        name="lora_strength",
        kind=float,
        default=1.0,
        least=-4.0,
        most=4.0,
        step=0.05,
        node="strength",
        doors=("node", "cli"),
        help="1: as trained; 0: without the adapter.",
    ),
    # From where on a take fails: `Limits`
    Setting(
        name="max_wer",
        kind=float,
        default=0.25,
        least=0.0,
        most=10.0,
        step=0.05,
        doors=("node",),
        help="Share of words that may be wrong; a take fails only if max_cer is exceeded too.",
    ),
    Setting(
        name="max_cer",
        kind=float,
        default=0.15,
        least=0.0,
        most=10.0,
        step=0.05,
        doors=("node",),
        help="Share of characters that may be wrong.",
    ),
    Setting(
        name="min_similarity",
        kind=float,
        default=0.7,
        least=-1.0,
        most=1.0,
        step=0.05,
        doors=("node",),
        help="How similar to the reference a voice has to be, from -1 to 1; the same speaker scores about "
        "0.8, different ones 0.5 to 0.7.",
    ),
    Setting(
        name="max_silence_s",
        kind=float,
        default=2.0,
        least=0.0,
        most=1e6,
        step=0.5,
        doors=("node",),
        help="Longest silence inside a clip, in seconds.",
    ),
    Setting(name="max_silent_share", kind=float, default=0.6, least=0.0, most=1.0),
    Setting(
        name="subtitle_offset",
        kind=float,
        default=0.0,
        least=-86_400.0,
        most=86_400.0,
        step=0.04,
        node="offset",
        option="offset",
        doors=("node", "cli"),
        help="Seconds by which all subtitles come later; below 0: earlier.",
    ),
    # How large a caption gets: `CaptionLimits`. Defaults after common house rules (Netflix Timed Text Style Guide,
    # English).
    Setting(
        name="caption_chars",
        kind=int,
        default=42,
        least=8,
        most=200,
        node="max_chars",
        option="max_chars",
        doors=("node", "cli"),
        help="Characters in a line.",
    ),
    Setting(
        name="caption_lines",
        kind=int,
        default=2,
        least=1,
        most=2,
        node="max_lines",
        option="max_lines",
        doors=("node", "cli"),
        help="Lines on the screen.",
    ),
    Setting(
        name="caption_s",
        kind=float,
        default=7.0,
        least=0.5,
        most=30.0,
        step=0.5,
        node="max_seconds",
        option="max_seconds",
        doors=("node", "cli"),
        help="Seconds that a caption is shown.",
    ),
    Setting(
        name="caption_speed",
        kind=float,
        default=17.0,
        least=5.0,
        most=60.0,
        step=1.0,
        node="chars_per_second",
        option="chars_per_second",
        doors=("node", "cli"),
        help="Reading speed: a caption stays so long for it where there is room. 17 suits adults, 13 children.",
    ),
)
SETTINGS = {one.name: one for one in _TABLE}
CAPTION_LIMITS = ("caption_chars", "caption_lines", "caption_s", "caption_speed")  # in the order of `CaptionLimits`


def default_of(name: str) -> Any:
    """The default of a setting, for the field of a dataclass."""
    return SETTINGS[name].default


def shown_at(door: Door) -> dict[str, Setting]:
    """The settings that a front door offers, by name."""
    return {one.name: one for one in _TABLE if door in one.doors}


def check_settings(values: object, names: Iterable[str]) -> None:
    """Refuse an object whose attribute of one of these names is out of its range.

    Raises:
        SettingError: it names the setting.
    """
    for name in names:
        SETTINGS[name].check(getattr(values, name))
