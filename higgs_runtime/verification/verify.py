"""Whether a take says what was written: words, voice, length and silence, each against a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ..audio.clip import AudioClip
from ..errors import SettingError
from ..settings import check_settings, default_of
from ..text.reading_time import UNSPOKEN
from .ends import end_faults
from .recognizer import Recognizer, Word
from .shape import Silence, different_end, length_bounds, measure_silence, repeated_end
from .speaker import speaker_similarity
from .words import compare_words, is_by_character

LEAST, BY_CHARACTER_LEAST = 2, 4  # words, or characters, too few or too many at the end: one is often misheard


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on a take fails.

    Attributes:
        max_wer, max_cer: error rates of words and of letters, 0 to 10. Words fail a take where both are exceeded: a
            short line with one word spelled otherwise ("sea", "see") has a high rate of words and a low one of letters.
        min_similarity: of the voice to its reference, -1 to 1.
        max_silence_s: seconds of silence between two sounds.
        max_silent_share: of the whole take, 0 to 1.

    Raises:
        SettingError: a value is out of its range.
    """

    max_wer: float = default_of("max_wer")
    max_cer: float = default_of("max_cer")
    min_similarity: float = default_of("min_similarity")
    max_silence_s: float = default_of("max_silence_s")
    max_silent_share: float = default_of("max_silent_share")

    def __post_init__(self):
        check_settings(self, (one.name for one in fields(self)))


@dataclass(frozen=True)
class Verdict:
    """What listening to a take found.

    Attributes:
        passed: there are no reasons against it.
        wer, cer: as in WordErrors.
        similarity: of the voice to the reference; None without one, or where there is too little speech to tell.
        seconds: length of the take.
        heard: what the recognizer heard.
        reasons: one sentence each on what is wrong.
        words: what was heard, word by word with times; none where that was not kept.
    """

    passed: bool
    wer: float
    cer: float
    similarity: float | None
    seconds: float
    heard: str
    reasons: tuple[str, ...]
    words: tuple[Word, ...] = ()

    @classmethod
    def of(cls, fields: Mapping) -> Verdict:
        """From its fields as JSON has them; older ones have no words."""
        words = (Word(**one) for one in fields.get("words", ()))
        return cls(**{**fields, "reasons": tuple(fields["reasons"]), "words": tuple(words)})


def verify_take(
    clip: AudioClip,
    text: str,
    *,
    recognizer: Recognizer,
    language: str | None = None,
    reference: AudioClip | None = None,
    limits: Limits | None = None,
) -> Verdict:
    """Listens to a take of a line.

    Args:
        clip: the take alone, with no music under it.
        text: the line; tags and names in brackets are not expected to be heard.
        language: ISO 639-1; None has the recognizer detect it.
        reference: a clip of the voice; None leaves the voice out.

    Raises:
        SettingError: a language that the recognizer does not know.
        MissingExtraError: an extra is not installed: `asr`, and with a reference `similarity`.
    """
    limits = limits or Limits()
    transcript = recognizer.transcribe(clip, language)
    said_in = language or transcript.language or "en"
    errors = compare_words(text, transcript.text, said_in)
    silence = measure_silence(clip)
    if silence.share == 1.0:
        return Verdict(
            False,
            errors.wer,
            errors.cer,
            None,
            clip.seconds,
            transcript.text,
            (f"it is silent ({clip.seconds:.1f} s)",),
            transcript.words,
        )
    reasons = _shape_reasons(clip, length_bounds(text, said_in), silence, limits)
    if errors.wer > limits.max_wer and errors.cer > limits.max_cer:
        reasons.append(f"the words differ (word errors {errors.wer:.0%}, letters {errors.cer:.0%})")
    reasons += _end_reasons(errors.pairs, BY_CHARACTER_LEAST if is_by_character(said_in) else LEAST)
    last_word_s = transcript.words[-1].end_s if transcript.words else None
    reasons += end_faults(clip, last_word_s, noise_expected=bool(UNSPOKEN.search(text)))
    similarity = None if reference is None else speaker_similarity(clip, reference)
    if similarity is not None and similarity < limits.min_similarity:
        reasons.append(f"the voice is another one (similarity {similarity:.2f})")
    return Verdict(
        not reasons,
        errors.wer,
        errors.cer,
        similarity,
        clip.seconds,
        transcript.text,
        tuple(reasons),
        transcript.words,
    )


def describe_verdict(verdict: Verdict) -> str:
    """A verdict in lines for a person: whether it passed, the figures, what was heard, what is wrong."""
    voice = "" if verdict.similarity is None else f", voice {verdict.similarity:.2f}"
    return "\n".join(
        [
            f"{'passed' if verdict.passed else 'FAILED'}: word errors {verdict.wer:.0%}, "
            f"letters {verdict.cer:.0%}{voice}, {verdict.seconds:.2f} s",
            f"heard: {' '.join(verdict.heard.split()) or '(nothing)'}",
            *(f"- {reason}" for reason in verdict.reasons),
        ]
    )


def best_take(verdicts: Sequence[Verdict]) -> int:
    """The index of the take to keep: of those that passed, if any did, the one with the fewest wrong letters in
    hundredths; then the likest voice; then the first.

    Raises:
        SettingError: there are no takes.
    """
    if not verdicts:
        raise SettingError(
            "There is no take to choose.", expected="at least one", got="none", remedy="Make a take first."
        )
    return min(range(len(verdicts)), key=lambda n: _rank(verdicts[n]))


def _rank(verdict: Verdict) -> tuple:
    return not verdict.passed, round(verdict.cer, 2), -(verdict.similarity or 0.0)


def _end_reasons(pairs: Sequence[tuple[str, str]], least: int) -> list[str]:
    """Ends that a rate over a long line does not show: cut off, or said again, or followed by something else."""
    again = repeated_end([one for one, _ in pairs if one], [other for _, other in pairs if other])
    if again:
        return [f"the end is said twice (“{' '.join(again)}”)"]
    written, heard = different_end(pairs)
    if len(written) - len(heard) >= least:
        return [f"the end is missing (“{' '.join(written)}”)"]
    if len(heard) - len(written) >= least:
        return [f"more is said after the end (“{' '.join(heard)}”)"]
    return []


def _shape_reasons(clip: AudioClip, bounds: tuple[float, float], silence: Silence, limits: Limits) -> list[str]:
    reasons, (least, most) = [], bounds
    if not least <= clip.seconds <= most:
        reasons.append(f"its length is {clip.seconds:.1f} s (a reading takes {least:.1f} to {most:.1f} s)")
    if silence.longest_s > limits.max_silence_s:
        reasons.append(f"{silence.longest_s:.1f} s of silence are inside")
    if silence.share > limits.max_silent_share:
        reasons.append(f"{silence.share:.0%} of it is silence")
    return reasons
