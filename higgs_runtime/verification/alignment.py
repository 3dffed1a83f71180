"""When each word of a given text is said in a clip: from what a recognizer heard, and from the sound itself.

The words are those of the text, as their author wrote them: what was heard is aligned to them, figures by what they are
read as. Where the language allows it, the sound decides (see `forced_alignment`: half of the words within 10 to 20 ms);
elsewhere the times are the recognizer's, with what is known of their errors taken out (within about 50 ms).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..audio.clip import AudioClip
from ..errors import AudioError, HiggsWarning, MissingExtraError
from ..text.languages import base_language
from ..text.reading_time import UNSPOKEN
from ..types import WordTime
from .forced_alignment import align_words, can_align
from .recognizer import Recognizer, Word
from .shape import loud_spans
from .words import is_by_character, levenshtein, nearest_readings, split_words

# Whisper's word times come late by so much; measured with tiny.en on 60 sentences of three synthetic voices.
LATE_S = 0.085
NEAR_S = 0.3  # a boundary of the recognizer lies at most so far from the silence that it belongs to
FAR_S, FAR_SHARE = 1.0, 0.2  # the sound is not believed where it puts a fifth of the words so far from where heard
LONGEST_S = 30.0  # that are aligned at once
# Where nobody listened, a window gets fewer words than it should hold, and the last of these are not believed: they are
# stretched over what follows. Speakers change their pace by less than that.
GIVEN_SHARE, BELIEVED_SHARE = 0.75, 0.75
OnProgress = Callable[[float, float], None]
SHOWN = 80  # letters in an error
OTHER = 0.34  # of the words: fewer were heard in a clip that says something else


@dataclass(frozen=True)
class _Said:
    """A word as it is said.

    Attributes:
        word: small letters.
        token: number of the given word that it is of; -1: heard, but not given.
        heard: the word that was heard for it.
        alike: how much of it was heard, 0 to 1.
        span: seconds.
    """

    word: str
    token: int
    heard: Word | None = None
    alike: float = 0.0
    span: tuple[float, float] | None = None


def word_times(
    clip: AudioClip,
    text: str,
    *,
    recognizer: Recognizer | None = None,
    heard: Sequence[Word] | None = None,
    language: str | None = None,
    line: int = 0,
    speaker: str = "",
    on_progress: OnProgress | None = None,
) -> list[WordTime]:
    """The words of a text with their times in a clip that says it: in order, inside the clip, none before the last.

    A word that nobody heard stands between its neighbours, with confidence 0. A HiggsWarning says so where the clip
    seems to say something else.

    Args:
        clip: speech of any length.
        text: tags and names in brackets are left out.
        recognizer: listens to the clip first; other languages than English need it.
        heard: what a recognizer heard before, in place of it.
        language: ISO 639-1, a region may follow; None is that of the recognizer, else English.
        on_progress: called with (seconds done, seconds in all), for each step its own; what it raises ends the call.

    Raises:
        AudioError: nobody speaks in the clip.
        SettingError: the recognizer does not know the language.
        MissingExtraError: pocketsphinx (extra `align`) is not installed and no recognizer is given, or rapidfuzz (extra
            `asr`) is not.
    """
    found, alike = _find(clip, text, recognizer, heard, language, on_progress)
    if alike < OTHER:
        warnings.warn(HiggsWarning("The clip seems to say something else than the text."), stacklevel=2)
    return [replace(word, line=line, speaker=speaker) for word in found]


def _find(clip: AudioClip, text: str, recognizer, heard, language, on_progress=None) -> tuple[list[WordTime], float]:
    """The words with their times, and the share of them that was heard; 1 where nobody listened."""
    if recognizer is not None and heard is None:
        transcript = recognizer.transcribe(clip, language, on_progress=on_progress)
        heard, language = transcript.words, language or transcript.language
    code = base_language(language) or "en"
    tokens = _tokens(text, code)
    if not tokens:
        return [], 1.0
    pauses = _pauses(clip)
    if heard is not None and not heard or pauses is None:
        raise AudioError(
            "No word can be found in the clip.", expected="speech", got="none", remedy="Check the step before."
        )
    said = _said(tokens, heard, code)
    aligner = can_align(code)
    if heard is None and not aligner:
        raise MissingExtraError("Finding when words are said without a recognizer", "align", "pocketsphinx")
    alike = 1.0
    if heard is not None:
        alike = _share(said)
        said = _by_ear(said, heard, pauses)
    if aligner:
        said = _by_sound(said, clip, pauses, on_progress or (lambda _done, _total: None))
    return _laid_out(tokens, said, clip.seconds, heard is not None), alike


def heard_share(text: str, heard: Sequence[Word], language: str | None = None) -> float:
    """How much of a text and of what was heard are the same words, 0 to 1; below OTHER the clip says something else."""
    code = base_language(language) or "en"
    said = _said(_tokens(text, code), heard, code)
    return _share(said) if said else 0.0


def check_says(text: str, heard: Sequence[Word], language: str | None = None) -> None:
    """Raises:
    AudioError: what was heard is something else than the text.
    """
    if heard_share(text, heard, language) < OTHER:
        raise AudioError(
            "The recording says something else than the text.",
            expected=_shown(text),
            got=_shown(" ".join(word.text for word in heard)),
            remedy="Correct the text, or leave it out: then it is what is heard.",
        )


def _share(said: Sequence[_Said]) -> float:
    return sum(one.alike > 0.5 for one in said) / len(said)


def line_times(
    clip: AudioClip,
    text: str,
    *,
    recognizer: Recognizer | None = None,
    heard: Sequence[Word] | None = None,
    language: str | None = None,
) -> list[WordTime]:
    """As `word_times` for a take that may be a bad one: of a silent one the words share its time by their letters, and
    nothing is said of one that says something else."""
    try:
        return _find(clip, text, recognizer, heard, language)[0]
    except AudioError:
        return _laid_out(_tokens(text, base_language(language) or "en"), [], clip.seconds, False)


def heard_times(
    clip: AudioClip, recognizer: Recognizer, language: str | None = None, *, on_progress: OnProgress | None = None
) -> list[WordTime]:
    """The words that a recognizer hears in a clip, with their times; as `word_times` where no text is given."""
    transcript = recognizer.transcribe(clip, language, on_progress=on_progress)
    if not transcript.words:
        return []
    text = " ".join(word.text for word in transcript.words)
    return word_times(clip, text, heard=transcript.words, language=transcript.language, on_progress=on_progress)


def written_pieces(text: str, pieces: Sequence[str], language: str | None = None) -> list[str]:
    """What of a text, as its author wrote it, each of the pieces says that it is read in: words that were rewritten
    for the model are those that stand in their place.

    Raises:
        MissingExtraError: rapidfuzz (extra `asr`) is not installed.
    """
    code = base_language(language) or "en"
    tokens = _tokens(text, code)
    read = [split_words(UNSPOKEN.sub(" ", piece), code) for piece in pieces]
    owners = _owners([split_words(token, code) for token in tokens], [word for words in read for word in words])
    found, begin, place = [], 0, 0
    for words in read:
        place += len(words)
        end = max(begin, owners[place]) if place < len(owners) else len(tokens)
        found.append(" ".join(tokens[begin:end]))
        begin = end
    return found


def spoken_tokens(text: str, language: str | None = None) -> list[str]:
    """The words of a text as `word_times` gives them, each with the marks that stand beside it."""
    return _tokens(text, base_language(language) or "en")


def _shown(text: str) -> str:
    return f"“{text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}”"


# --- words ------------------------------------------------------------------------------------------------------------


def _tokens(text: str, code: str) -> list[str]:
    """The given words, with the marks that stand beside them."""
    found: list[str] = []
    before = ""
    for part in UNSPOKEN.sub(" ", text).split():
        for piece in _characters(part) if is_by_character(code) else [part]:
            if split_words(piece, code):
                found.append(before + piece)
                before = ""
            elif found:
                found[-1] += piece if is_by_character(code) else f" {piece}"
            else:
                before += f"{piece} "
    return found


def _characters(part: str) -> list[str]:
    """One character each, but runs of Latin letters and figures stay whole."""
    found: list[str] = []
    for letter in part:
        run = letter.isascii() and letter.isalnum()
        if run and found and found[-1][-1].isascii() and found[-1][-1].isalnum():
            found[-1] += letter
        else:
            found.append(letter)
    return found


def _said(tokens: Sequence[str], heard: Sequence[Word] | None, code: str) -> list[_Said]:
    """The words that are said, each with the given word and the heard word that it is of."""
    written = " ".join(tokens)
    said_text = written if heard is None else " ".join(word.text for word in heard)
    ours, theirs = nearest_readings(written, said_text, code)
    owners = _owners([split_words(token, code) for token in tokens], ours)
    if heard is None:
        return [_Said(word, owner) for word, owner in zip(ours, owners, strict=True)]
    sources = _owners([split_words(word.text, code) for word in heard], theirs)
    found: list[_Said] = []
    Levenshtein = levenshtein()
    for step in Levenshtein.opcodes(ours, theirs):
        mine, other = range(step.src_start, step.src_end), range(step.dest_start, step.dest_end)
        if step.tag in ("equal", "replace"):
            found += [
                _Said(ours[a], owners[a], heard[sources[b]], Levenshtein.normalized_similarity(ours[a], theirs[b]))
                for a, b in zip(mine, other, strict=True)
            ]
        else:
            found += [_Said(ours[a], owners[a]) for a in mine]
            found += [_Said(theirs[b], -1, heard[sources[b]]) for b in other]
    return found


def _owners(words: Sequence[Sequence[str]], read: Sequence[str]) -> list[int]:
    """For each word as it is read, the number of the word in a text that it is of."""
    flat = [(part, number) for number, parts in enumerate(words) for part in parts]
    owners = [-1] * len(read)
    differing: tuple[list[int], list[int]] = [], []  # of both, since the last word that is the same

    def share() -> None:
        """What differs is read of the words that stand there, else of the one before."""
        mine, places = differing
        for n, place in enumerate(places):
            owners[place] = mine[n * len(mine) // len(places)] if mine else owners[place - 1] if place else 0
        mine.clear()
        places.clear()

    for step in levenshtein().opcodes([part for part, _ in flat], read):
        mine, places = range(step.src_start, step.src_end), range(step.dest_start, step.dest_end)
        if step.tag == "equal":
            share()
            for number, place in zip(mine, places, strict=True):
                owners[place] = flat[number][1]
        else:
            differing[0].extend(flat[number][1] for number in mine)
            differing[1].extend(places)
    share()
    return owners


# --- times ------------------------------------------------------------------------------------------------------------


def _pauses(clip: AudioClip) -> list[tuple[float, float]] | None:
    """The silences of a clip, those at its ends too; None where it is all silence."""
    loud = loud_spans(clip)
    if not loud:
        return None
    edges = [0.0, *(edge for span in loud for edge in span), clip.seconds]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]


def _by_ear(said: Sequence[_Said], heard: Sequence[Word], pauses: Sequence[tuple[float, float]]) -> list[_Said]:
    """With the recognizer's times, mended. Several words of one heard word share its time by their letters."""
    spans = _mended([(word.start_s, word.end_s) for word in heard], pauses)
    number = {id(word): place for place, word in enumerate(heard)}
    found = list(said)
    place = 0
    while place < len(found):
        word = found[place].heard
        last = place + 1
        while word is not None and last < len(found) and found[last].heard is word:
            last += 1
        if word is not None:
            shares = _shared(*spans[number[id(word)]], [one.word for one in found[place:last]])
            found[place:last] = [replace(one, span=span) for one, span in zip(found[place:last], shares, strict=True)]
        place = last
    return found


def _mended(spans: Sequence[tuple[float, float]], pauses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Times of a recognizer without their delay; words end where a silence begins, and begin where it ends."""
    found = [[start - LATE_S, end - LATE_S] for start, end in spans]
    for quiet, loud in pauses:
        after = next((n for n, (a, b) in enumerate(found) if (a + b) / 2 > (quiet + loud) / 2), len(found))
        if after and found[after - 1][1] > quiet - NEAR_S:
            found[after - 1][1] = max(quiet, found[after - 1][0])
        if after < len(found) and found[after][0] < loud + NEAR_S:
            found[after][0] = min(loud, found[after][1])
    return [(max(0.0, min(a, b)), max(0.0, b)) for a, b in found]


def _by_sound(
    said: Sequence[_Said], clip: AudioClip, pauses: Sequence[tuple[float, float]], tell: OnProgress
) -> list[_Said]:
    """With times from the sound, stretch by stretch; a stretch that does not fit keeps those of the recognizer."""
    if all(one.span is None for one in said):
        return _window_by_window(said, clip, pauses, tell)
    found: list[_Said] = []
    for part, start, end in _stretches(said, clip.seconds, pauses):
        aligned = _aligned(part, clip, start, end)
        known = [(one.span, other.span) for one, other in zip(part, aligned, strict=True) if one.span and other.span]
        far = sum(abs(sum(ear) - sum(sound)) / 2 > FAR_S for ear, sound in known)
        found += aligned if far <= FAR_SHARE * len(known) else part
        tell(end, clip.seconds)
    return found


def _aligned(part: Sequence[_Said], clip: AudioClip, start: float, end: float) -> list[_Said]:
    """Words with their times in the sound from `start` to `end`; as they are where it cannot be made to say them."""
    rate = clip.sample_rate
    piece = replace(clip, samples=clip.samples[:, round(start * rate) : round(end * rate)])
    spans = align_words(piece, [one.word for one in part])
    if spans is None:
        return list(part)
    return [replace(one, span=(a + start, b + start)) for one, (a, b) in zip(part, spans, strict=True)]


def _stretches(said, seconds: float, pauses) -> Iterator[tuple[list[_Said], float, float]]:
    """(words, start, end) of stretches of about LONGEST_S at most, cut in silences between words that were heard."""
    rest, start = list(said), 0.0
    while seconds - start > LONGEST_S:
        cut = _cut(start, seconds, pauses)
        count = max((n + 1 for n, one in enumerate(rest) if one.span and sum(one.span) / 2 < cut), default=0)
        if count:
            yield rest[:count], start, cut
        rest, start = rest[count:], cut
    if rest:
        yield rest, start, seconds


def _cut(start: float, seconds: float, pauses) -> float:
    """The last silence within LONGEST_S."""
    inside = [(a + b) / 2 for a, b in pauses if start + 1.0 < (a + b) / 2 < min(start + LONGEST_S, seconds - 1.0)]
    return inside[-1] if inside else start + LONGEST_S


def _window_by_window(said: Sequence[_Said], clip: AudioClip, pauses, tell: OnProgress) -> list[_Said]:
    """Words that nobody heard before: how many a window holds is guessed by their letters, and each window begins where
    the last word that is believed ends. Time grows with the clip, memory with a window."""
    found, rest, start = [], list(said), 0.0
    while rest and clip.seconds - start > LONGEST_S:
        end = _cut(start, clip.seconds, pauses)
        share = GIVEN_SHARE * _loud_s(start, end, pauses) / max(1e-3, _loud_s(start, clip.seconds, pauses))
        part = rest[: _count(rest, share)]
        aligned = _aligned(part, clip, start, end)
        count = max(1, int(len(part) * BELIEVED_SHARE))
        found += aligned[:count]
        last = aligned[count - 1].span
        start = max(start, last[1]) if last else end
        rest = rest[count:] if last else rest[len(part) :]
        if not last:
            found += aligned[count:]
        tell(start, clip.seconds)
    found += _aligned(rest, clip, start, clip.seconds) if rest else []
    tell(clip.seconds, clip.seconds)
    return found


def _loud_s(start: float, end: float, pauses) -> float:
    """Seconds from `start` to `end` that are no silence."""
    return end - start - sum(max(0.0, min(b, end) - max(a, start)) for a, b in pauses)


def _count(words: Sequence[_Said], share: float) -> int:
    """How many of the words hold this share of their letters; one at least."""
    left = share * sum(len(one.word) for one in words)
    for count, one in enumerate(words):
        left -= len(one.word)
        if left < 0:
            return max(1, count)
    return len(words)


def _laid_out(tokens, said, seconds: float, listened: bool) -> list[WordTime]:
    """The given words with the times of what is said of them; those without stand between their neighbours."""
    spans: list[tuple[float, float] | None] = []
    sure: list[float | None] = []
    of_tokens: list[list[_Said]] = [[] for _ in tokens]
    for one in said:
        if one.token >= 0:
            of_tokens[one.token].append(one)
    for parts in of_tokens:
        timed = [one.span for one in parts if one.span]
        spans.append((timed[0][0], timed[-1][1]) if timed else None)
        heard = [one.alike * one.heard.probability if one.heard else 0.0 for one in parts]
        sure.append(round(sum(heard) / len(heard), 3) if heard and listened else 0.0 if listened else None)
    known = _between(tokens, spans, seconds)
    found, before = [], 0.0
    for token, (start, end), confidence in zip(tokens, known, sure, strict=True):
        start = min(max(start, before), seconds)
        before = end = min(max(end, start), seconds)
        found.append(WordTime(token, round(start, 3), round(end, 3), confidence))
    return found


def _between(tokens, spans, seconds: float) -> list[tuple[float, float]]:
    """Every word with a time: those without share, by their letters, what lies between their neighbours."""
    found, place = list(spans), 0
    while place < len(found):
        last = place
        while last < len(found) and found[last] is None:
            last += 1
        if last > place:
            start = found[place - 1][1] if place else 0.0
            end = found[last][0] if last < len(found) else seconds
            found[place:last] = _shared(start, max(start, end), tokens[place:last])
        place = last + 1
    return found


def _shared(start: float, end: float, words: Sequence[str]) -> list[tuple[float, float]]:
    """A stretch of time, shared by words by their letters."""
    letters, done, found = sum(map(len, words)), 0, []
    for word in words:
        first, done = done, done + len(word)
        found.append((start + (end - start) * first / letters, start + (end - start) * done / letters))
    return found
