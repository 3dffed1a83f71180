"""How long a reader rests within what one person says."""

from __future__ import annotations

# Seconds after a line, by its last mark. Readers rest 0.4 to 0.6 s between sentences (Goldman-Eisler 1968).
SENTENCE_S, CLAUSE_S, OPEN_S, TRAIL_S = 0.45, 0.2, 0.12, 0.6
_CLOSERS = "\"'”’»)]」』）】》〉"


def rest_after(text: str) -> float:
    """Seconds, by the last mark."""
    last = text.rstrip().rstrip(_CLOSERS)[-1:]
    if last in "…—–":
        return TRAIL_S
    return SENTENCE_S if last in ".!?。！？।؟" else CLAUSE_S if last in ",;:，、；：،" else OPEN_S
