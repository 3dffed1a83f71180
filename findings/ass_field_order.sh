#!/usr/bin/env bash
# pysubs2 1.8.1 reads the fields of ASS events in one fixed order, whatever order the file's Format line tells.
#
# The specification of SubStation (v4+) has a Format line before the events for exactly this: it "defines the order in which
# the fields appear", and only Text has to be the last. Seen: with Name before Style, speaker and style change places; without
# margins, words become margins and the text is empty, with no more than a warning of a margin. Both files are as players
# want them (libass reads the Format line). For a reader: bring the events into the usual order before the library sees them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pysubs2==1.8.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import pysubs2

FILE = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: {order}
Dialogue: {line}
"""
cases = {
    "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text": "0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,Hello, you",
    "Layer, Start, End, Name, Style, MarginL, MarginR, MarginV, Effect, Text": "0,0:00:01.00,0:00:02.00,Anna,Default,0,0,0,,Hello, you",
    "Layer, Start, End, Style, Name, Text": "0,0:00:01.00,0:00:02.00,Default,Anna,Hello, you",
}
wanted = [("Anna", "Hello, you"), ("Default", "Hello, you"), ("Anna", "")]
found = []
for order, line in cases.items():
    (event,) = pysubs2.SSAFile.from_string(FILE.format(order=order, line=line))
    found.append((event.name, event.plaintext))
    print(f"Format: {order}\n    speaker {event.name!r}, text {event.plaintext!r}")
sys.exit(found != wanted)
PYTHON
