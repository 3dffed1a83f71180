"""A script in words: how many of what, each turn with its number, and what may be a slip."""

from __future__ import annotations

from collections import Counter

from .grammar import decimal, short
from .types import Script
from .write import is_music, write_cue, write_head


def describe_script(script: Script) -> str:
    """A table for a person: totals, speakers, warnings with line:column, and each turn by its number (from 1)."""
    speakers = Counter(turn.speaker or "narrator" for turn in script.turns)
    scenes = {turn.scene for turn in script.turns} - {""}
    counted = {
        "turn": script.turns,
        "speaker": speakers,
        "scene": scenes,
        "cue": script.cues,
        "warning": script.warnings,
    }
    lines = [" · ".join(f"{len(items)} {name}{'s' * (len(items) != 1)}" for name, items in counted.items())]
    lines.append(", ".join(f"{name} {count}" for name, count in speakers.items()))
    lines += [
        f"! {warning.line}:{warning.column} {warning.message}" if warning.line else f"! {warning.message}"
        for warning in script.warnings
    ]
    starts: dict[int, list[str]] = {}
    for cue in script.cues:
        under = f" under {cue.first + 1} to {cue.last + 1}" if is_music(cue) else ""
        early = f", {decimal(cue.before_s)} s before" if cue.before_s else ""
        starts.setdefault(cue.turn, []).append(f"     {write_cue(cue)}{under}{early}")
    scene = ""
    for number, turn in enumerate(script.turns):
        if turn.scene != scene:
            scene = turn.scene
            lines.append(f"     # Scene: {scene}".rstrip())
        lines += starts.get(number, [])
        pause = f" … {decimal(turn.pause_s)} s" if turn.pause_s else ""
        text = short(turn.text.replace("\n", " "))
        lines.append(f"{number + 1:>4} {write_head(turn) or '[narrator]'} {text}{pause}")
    return "\n".join(lines + starts.get(len(script.turns), []))
