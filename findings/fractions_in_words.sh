#!/usr/bin/env bash
# num2words 0.5.14 says fractions of some languages wrong, without an error.
#
# Seen: 1.5 is "uno" in Italian and "un" in Welsh, the fraction is lost; 2.05 is "hai phẩy năm" (2.5) in Vietnamese,
# "দুই দশমিক পাঁচ" (2.5) in Bengali and "" in Turkish. Whole numbers of these languages are right, and English, German,
# French and Polish say 2.05 as they should. For a reader of texts: say the whole part and each digit as a number by itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q num2words==0.5.14
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from decimal import Decimal

from num2words import num2words

wanted = {
    ("1.5", "it"): "uno",
    ("1.5", "cy"): "un",
    ("2.05", "vi"): "hai phẩy năm",
    ("2.5", "vi"): "hai phẩy năm mươi",
    ("2.05", "bn"): "দুই দশমিক পাঁচ",
    ("2.05", "tr"): "",
    ("2.05", "en"): "two point zero five",
    ("2.05", "de"): "zwei Komma null fünf",
    ("2.05", "fr"): "deux virgule zéro cinq",
    ("2.05", "pl"): "dwa przecinek zero pięć",
}
found = {(figure, language): num2words(Decimal(figure), lang=language) for figure, language in wanted}
for (figure, language), said in found.items():
    print(language, figure, repr(said))
sys.exit(found != wanted)
PYTHON
