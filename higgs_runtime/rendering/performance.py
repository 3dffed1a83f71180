"""What became of a script's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..script import Script, TempoLimits
from ..script.fitting import USUAL
from ..takes import Take
from ..verification import Verdict
from .lines import Line

HEARD_CHARS = 40  # of what was heard, in the table


@dataclass(frozen=True, eq=False)
class SpokenLine:
    """A line and its take.

    Attributes:
        take: the one to use; None where the render was stopped before.
        key: of the take, as the store knows it; "" without a store.
        verdict: of listening to it; None where nobody listened.
        tries: takes that were considered.
        stored: it was found in the store, and not spoken now.
        speech_s: seconds of the take without the silence at its ends; None where no line of the script has a slot.
    """

    line: Line
    take: Take | None = None
    key: str = ""
    verdict: Verdict | None = None
    tries: int = 0
    stored: bool = False
    speech_s: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the verifier let it pass."""
        return self.verdict is not None and self.verdict.passed


@dataclass(frozen=True, eq=False)
class Performance:
    """A script as it was spoken.

    Attributes:
        script: whose turns the lines belong to.
        lines: all of them, in order, spoken or not.
        warnings: one sentence each.
        tempo: how much slower and faster lines may be played to fit their slots.
    """

    script: Script
    lines: Sequence[SpokenLine]
    warnings: Sequence[str] = ()
    tempo: TempoLimits = USUAL

    @property
    def complete(self) -> bool:
        """Whether every line has a take."""
        return all(spoken.take is not None for spoken in self.lines)

    @property
    def failed(self) -> list[SpokenLine]:
        """Lines whose best take did not pass."""
        return [spoken for spoken in self.lines if spoken.verdict is not None and not spoken.verdict.passed]

    def table(self) -> str:
        """One row a line: speaker, seconds, seed, takes, where from, what was heard."""
        rows = [("line", "speaker", "seconds", "seed", "takes", "from", "word errors", "voice", "heard")]
        rows += [_row(spoken) for spoken in self.lines]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def summary(self) -> str:
        """What a person wants to know first, and each line that needs a look."""
        done = [(spoken, spoken.take) for spoken in self.lines if spoken.take is not None]
        seconds = sum(take.codes.seconds for _, take in done)
        stored = sum(spoken.stored for spoken, _ in done)
        said = [
            f"{len(done)} of {len(self.lines)} lines, {seconds:.1f} s of speech; {stored} from the store, "
            f"{len(done) - stored} spoken now"
        ]
        said += [
            f"Line {spoken.line.number + 1} ({spoken.line.speaker}): {'; '.join(spoken.verdict.reasons)}"
            for spoken in self.failed
            if spoken.verdict
        ]
        cut = [str(spoken.line.number + 1) for spoken, take in done if take.finish_reason == "length"]
        if cut:
            said.append(f"Cut at their longest: line {', '.join(cut)}")
        stuck = [str(spoken.line.number + 1) for spoken, take in done if take.finish_reason == "repeating"]
        if stuck:
            said.append(f"Ended for they repeat themselves, in all takes: line {', '.join(stuck)}")
        return "\n".join([*said, *(f"Note: {warning}" for warning in self.warnings)])


def _row(spoken: SpokenLine) -> tuple[str, ...]:
    take, verdict, number = spoken.take, spoken.verdict, str(spoken.line.number + 1)
    if take is None:
        return (number, spoken.line.speaker, "-", "-", str(spoken.tries), "not spoken", "", "", "")
    wer = "" if verdict is None else f"{verdict.wer:.0%}{'' if verdict.passed else ' !'}"
    voice = "" if verdict is None or verdict.similarity is None else f"{verdict.similarity:.2f}"
    heard = "" if verdict is None else " ".join(verdict.heard.split())
    if len(heard) > HEARD_CHARS:
        heard = heard[: HEARD_CHARS - 1] + "…"
    return (
        number,
        spoken.line.speaker,
        f"{take.codes.seconds:.2f}",
        str(take.seed),
        str(spoken.tries),
        "store" if spoken.stored else "now",
        wer,
        voice,
        heard,
    )
