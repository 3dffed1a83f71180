"""Word Times: when each word of a text is said in a clip."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import files, messages
from .host.audio import clips_from_audio
from .host.progress import Progress, raise_if_cancelled
from .host.schemas import node_schema
from .shared import recognizer_inputs
from .verify_takes import lines_for

PICTURE = (1600, 320)  # pixels


class HiggsWordTimes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsWordTimes",
            display_name="Word Times (Higgs)",
            category=f"{sockets.CATEGORY}/script",
            search_aliases=["forced alignment", "captions", "word timestamps", "karaoke", "subtitles"],
            description="Finds when each word of a text is said in a clip, for Captions. Without a text, the words "
            "are those that the recognizer hears. Needs the extra 'asr', for English best 'align' too.",
            inputs=[
                io.Audio.Input("audio", tooltip="Speech. Of a batch, each clip is a line of the text."),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="What is said, as it should be read in captions; for a batch, a line of text for each "
                    "clip. Empty: what is heard.",
                ),
                recognizer_inputs.recognizer_input(
                    "the first one that knows the language. English does without one", needed=False
                ),
                io.String.Input(
                    "language", default="", tooltip="Of the text, as a code such as en, de or zh. Empty: it is heard."
                ),
            ],
            outputs=[
                sockets.Words.Output(display_name="words", tooltip="For Captions."),
                io.String.Output(
                    display_name="report", tooltip="A line for each word: start and end in seconds, confidence, word."
                ),
                io.Image.Output(
                    display_name="picture", tooltip="The words over the waveform of the first clip (extra 'pictures')."
                ),
            ],
        )

    @classmethod
    def execute(cls, audio, text, recognizer, language) -> io.NodeOutput:
        from ..higgs_runtime.verification import heard_times, load_recognizer, word_times

        clips, code = clips_from_audio(audio), language.strip()
        lines = lines_for(text, len(clips)) if text.strip() else [""] * len(clips)
        listener = recognizer_inputs.find_listener(recognizer, code)
        ears = listener.recognizer if listener else None
        if ears is None and not text.strip():
            ears = load_recognizer(folders=files.model_folders())
        progress, words, offset = Progress(round(sum(clip.seconds for clip in clips)) or 1), [], 0.0

        def told(done, _seconds):
            raise_if_cancelled()
            progress.update(round(offset + done))

        for number, (clip, line) in enumerate(zip(clips, lines, strict=True)):
            told(0.0, clip.seconds)
            if line or ears is None:  # without a text there are ears
                found = word_times(clip, line, recognizer=ears, language=code or None, line=number, on_progress=told)
            else:
                heard = heard_times(clip, ears, code or None, on_progress=told)
                found = [word.moved(line=number) for word in heard]
            words += [word.moved(offset) for word in found]
            offset += clip.seconds
        progress.finish()
        report = describe_words(words)
        messages.show_text(report)
        return io.NodeOutput(words, report, picture_of(clips[0], words))


def describe_words(words) -> str:
    """A line for each word."""
    return "\n".join(
        f"{word.start_s:8.2f} {word.end_s:8.2f}  "
        f"{'    ' if word.confidence is None else format(word.confidence, '4.0%')}  {word.text}"
        for word in words
    )


def picture_of(clip, words):
    """The picture; where it cannot be had, what is connected to it says why."""
    from ..higgs_runtime.audio.plots import words_picture

    spans = [(word.start_s, word.end_s, word.text) for word in words if word.line == 0]
    return messages.unless_missing(lambda: words_picture(clip, spans, *PICTURE)[None])
