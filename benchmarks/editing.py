"""Edit Speech by ear: in sentences that Higgs Nano spoke one word is replaced; how many are heard right, and what is
changed outside the span that is told (nothing).

    python dev.py bench editing [--sentences 30] [--candidates 4]
"""

from __future__ import annotations

import argparse
import time

from _common import write, write_json

from higgs_runtime import (
    AudioClip,
    HiggsError,
    Sampling,
    embedded_voices,
    load_codec,
    load_model,
    load_recognizer,
    speak,
)
from higgs_runtime.editing import Speaking, edit_speech
from higgs_runtime.hub.catalog import EMBEDDED
from tools.nano.judge import Recognizer, word_errors

# The recording, and what is said in place of the word in brackets.
SENTENCES = """
The [train] is late today.|bus
Please open the [window].|door
I can hear the [music] in the garden.|birds
The weather is [cold] and windy.|warm
We have a small [boat].|house
She will play a [song] in the evening.|story
The old [bridge] is near the river.|station
My friend is in the [kitchen].|garden
The [red] car is behind the house.|blue
I will read a [book] tonight.|letter
Thank you for the [tea].|coffee
The child is at [home] today.|school
We will meet on [monday] morning.|friday
The [black] dog is in the park.|white
It is a [beautiful] day.|quiet
He will walk to the [station].|airport
The [sun] is behind the mountain.|snow
Please listen to the [wind].|rain
Where is the [big] table?|little
I like the [summer] very much.|winter
The [king] is very tired.|woman
They have a [new] computer.|better
You can take the [first] street.|third
The [boats] are on the river.|birds
Good [morning], my friend.|evening
Tell me a [short] story.|long
The water is very [hot] today.|calm
My [name] is in the letter.|voice
The lighthouse is in the [north].|south
We need [seven] apples and bread.|twenty
""".strip().splitlines()
TRIES = 6  # recordings, of which the best heard one is edited


def texts(line: str) -> tuple[str, str, str, str]:
    """(before, after, old word, new word)"""
    sentence, new = line.split("|")
    old = sentence[sentence.index("[") + 1 : sentence.index("]")]
    return sentence.replace(f"[{old}]", old), sentence.replace(f"[{old}]", new), old, new


def largest_difference(recording: AudioClip, edited) -> float:
    """Outside of the spans, sample by sample."""
    first, last = edited.spans[0], edited.spans[-1]
    start, stop = round(first.was_start_s * recording.sample_rate), round(last.was_end_s * recording.sample_rate)
    behind = edited.clip.samples[:, edited.clip.length - (recording.length - stop) :]
    parts = [
        edited.clip.samples[:, :start] - recording.samples[:, :start],
        behind - recording.samples[:, stop:],
    ]
    return max((float(one.abs().max()) for one in parts if one.numel()), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--candidates", type=int, default=4)
    args = parser.parse_args()
    model, codec = load_model(EMBEDDED / "higgs-nano"), load_codec(EMBEDDED / "higgs-nano-codec")
    ears, judge, voices = load_recognizer(), Recognizer(), embedded_voices()
    before = {"whole": 0, "word": 0}
    after, far, longest = {"whole": 0, "word": 0}, 0.0, 0.0
    lines = SENTENCES[: args.sentences]
    for number, line in enumerate(lines):
        old, new, word, other = texts(line)
        name = ("ross", "alan")[number % 2]
        words = voices[name].with_suffix(".txt").read_text(encoding="utf-8")
        takes = [
            speak(old, voices[name], transcript=words, model=model, codec=codec, sampling=Sampling(seed=seed))
            for seed in range(TRIES)
        ]
        heard = [judge.hear(take.samples[0].numpy(), take.sample_rate) for take in takes]
        best = min(range(TRIES), key=lambda n: word_errors(old, heard[n])[0])
        started = time.perf_counter()
        how = Speaking(model=model, codec=codec, recognizer=ears, language="en", candidates=args.candidates)
        try:
            edited = edit_speech(takes[best], old, new, how)
        except HiggsError as error:
            write(f"{number + 1:2} {old} | {error}")
            continue
        longest = max(longest, time.perf_counter() - started)
        said = judge.hear(edited.clip.samples[0].numpy(), edited.clip.sample_rate)
        far = max(far, largest_difference(takes[best], edited))
        for count, text, key, found in ((before, old, word, heard[best]), (after, new, other, said)):
            count["whole"] += word_errors(text, found)[0] == 0
            count["word"] += word_errors(key, " ".join(w for w in found.split() if word_errors(key, w)[0] == 0))[0] == 0
        write(f"{number + 1:2} {heard[best]} -> {other}: {said}")
    write_json(
        sentences=len(lines),
        recordings_heard_right=before["whole"],
        old_words_heard=before["word"],
        edits_heard_right=after["whole"],
        new_words_heard=after["word"],
        largest_difference_outside=far,
        slowest_edit_s=round(longest, 1),
    )


if __name__ == "__main__":
    main()
