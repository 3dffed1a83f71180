"""What a script says, as text that is read as the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from .grammar import SETTINGS, decimal, needs_escape, number, to_micro, write_file

if TYPE_CHECKING:
    from .types import Music, Script, Sound, Turn


def write_turn(turn: Turn) -> str:
    """Head and text of a turn, without the pause after it."""
    lines = ["\\" + line if needs_escape(line) else line for line in turn.text.split("\n")]
    head = write_head(turn)
    return head + " " * bool(head) + "\n".join(lines)


def write_head(turn: Turn) -> str:
    """What stands before the text of a turn."""
    head = [f"[{turn.speaker}]"] if turn.speaker else []
    if turn.slot:
        head.append("[slot {}s-{}s]".format(*map(decimal, turn.slot)))
    if turn.fit_s is not None:
        head.append(f"[fit: {decimal(turn.fit_s)}s]")
    if turn.overlap_s:
        head.append(f"[overlap {decimal(turn.overlap_s)}s]")
    if turn.settings:
        units = {name: "dB" if SETTINGS[name].unit == "dB" else "" for name in turn.settings}
        pairs = (f"{name}={number(value)}{units[name]}" for name, value in turn.settings.items())
        head.append("{" + " ".join(pairs) + "}")
    return " ".join(head)


def write_script(script: Script) -> str:
    """The whole script: in each gap between turns pauses and cues, then comments, then a new scene."""
    turns, lines, scene = script.turns, [], ""
    cues: dict[int, list] = {}
    for cue in script.cues:
        cues.setdefault(cue.turn, []).append(cue)
    ends = {cue.last + 1: cue for cue in script.cues if is_music(cue)}
    comments: dict[int, list] = {}
    for comment in script.comments:
        comments.setdefault(comment.turn, []).append(comment.text)
    for gap in range(len(turns) + 1):
        here = cues.get(gap, [])
        pause = turns[gap - 1].pause_s if gap else max((cue.before_s for cue in here), default=0.0)
        lines += _write_gap(pause, here, ends.get(gap))
        lines += comments.get(gap, [])
        if gap < len(turns):
            if turns[gap].scene != scene:
                scene = turns[gap].scene
                lines.append(f"# Scene: {scene}".rstrip())
            if gap and not turns[gap].speaker:
                lines.append("")
            lines.append(write_turn(turns[gap]))
    return "\n".join(lines) + "\n"


def _write_gap(pause: float, starting: list[Sound | Music], ending: Music | None) -> list[str]:
    """Lines between two turns: the pause in pieces, each cue at its moment."""
    events = [(to_micro(pause - cue.before_s), write_cue(cue)) for cue in starting]
    if ending:
        events.insert(0, (ending.after_s, "[/music]"))
    lines, done = [], 0.0
    for at, line in [*sorted(events, key=lambda event: event[0]), (pause, "")]:
        if at > done:
            lines.append(f"[pause {decimal(to_micro(at - done))}s]")
            done = at
        if line:
            lines.append(line)
    return lines


def is_music(cue: Sound | Music) -> TypeGuard[Music]:
    """By what it has: the classes stand above this module."""
    return hasattr(cue, "last")


def write_cue(cue: Sound | Music) -> str:
    """A cue as it stands in the text."""
    music = cue if is_music(cue) else None
    parts = [f"[{'music' if music else 'sfx'}: {write_file(cue.path)}"]
    if cue.gain_db:
        parts.append(f"{decimal(cue.gain_db)}dB")
    if music and music.fade_s:
        parts.append(f"fade={decimal(music.fade_s)}s")
    if music and music.duck:
        parts.append("duck")
    return " ".join(parts) + "]"
