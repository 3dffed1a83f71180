"""Damaged files: copies of good ones with bytes changed, and what reading them does in a process of its own, whose time
and memory are limited, so that a library that crashes, hangs or takes gigabytes is seen."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S, LIMIT_BYTES = 20, 1 << 30  # for one file of a second; bytes beyond what the imports take
_LIMITED = f"""
import resource, signal, sys, time
sys.path.insert(0, {str(ROOT)!r})
import av, soundfile
from higgs_runtime import AudioClip, AudioError

pages = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + {LIMIT_BYTES},) * 2)
av.logging.set_level(None)
for path in sys.stdin.read().split('\\n'):
    print('begin', path, flush=True)
    signal.alarm({LIMIT_S})
    try:
        clip = AudioClip.load(path)
        said = 'read' if clip.length else 'nothing read'
    except AudioError as error:
        said = 'refused' if path in str(error) else f'refused without its name: {{error}}'
    except BaseException as error:
        said = f'{{type(error).__name__}}: {{error}}'.replace('\\n', ' ')
    signal.alarm(0)
    print(said, flush=True)
"""


def mutations(data: bytes, count: int, generator: random.Random) -> Iterator[bytes]:
    """Copies of a file with one kind of damage each: in the header or anywhere."""
    for number in range(count):
        broken = bytearray(data)
        reach = len(data) if number % 2 else min(len(data), 256)
        at = generator.randrange(reach)
        match number % 8:
            case 0 | 1:  # single bits
                for _ in range(generator.randint(1, 12)):
                    broken[generator.randrange(reach)] ^= 1 << generator.randrange(8)
            case 2 | 3:  # numbers that nobody expects
                for _ in range(generator.randint(1, 3)):
                    width = generator.choice((1, 2, 4, 8))
                    value = generator.choice((b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 7 + b"\1"))[:width]
                    place = generator.randrange(reach)
                    broken[place : place + width] = value
            case 4 | 5:  # a part is missing, or stands there twice
                length = generator.randint(1, max(1, reach // 4))
                broken[at:at] = broken[at : at + length] if generator.random() < 0.5 else b""
                if generator.random() < 0.5:
                    del broken[at : at + length]
            case 6:  # it ends early
                del broken[generator.randrange(len(data)) :]
            case _:  # bytes of something else
                length = generator.randint(1, 400)
                broken[at : at + length] = generator.randbytes(length)
        yield bytes(broken)


def outcomes(paths: Sequence[Path]) -> dict[Path, str]:
    """What `AudioClip.load` does with each file: "read", "refused", or what should not be."""
    found: dict[Path, str] = {}
    while left := [path for path in paths if path not in found]:
        done = subprocess.run(
            [sys.executable, "-c", _LIMITED],
            input="\n".join(map(str, left)),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S * (len(left) + 3),
        )
        lines = [line for line in done.stdout.splitlines() if line]
        for begun, said in zip(lines[::2], [*lines[1::2], _ending(done.returncode)], strict=False):
            found[Path(begun.removeprefix("begin "))] = said
        if not lines:
            raise RuntimeError(done.stderr)
    return found


def _ending(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"longer than {LIMIT_S} s"
    return f"ended with {signal.Signals(-status).name if status < 0 else status}"
