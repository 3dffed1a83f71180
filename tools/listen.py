"""Print what a speech recognizer (Whisper tiny.en) hears in an audio file: python -m tools.listen FILE"""

from __future__ import annotations

import sys

import soundfile

from .nano.judge import Recognizer

if __name__ == "__main__":
    samples, rate = soundfile.read(sys.argv[1], always_2d=True)
    print(Recognizer().hear(samples.mean(1), rate))
