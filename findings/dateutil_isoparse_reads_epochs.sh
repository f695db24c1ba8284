#!/usr/bin/env bash
# Show that parsers of ISO 8601 read some epochs in milliseconds as times of the years 1780 to 1796.
#
# Versions: python-dateutil 2.9.0.post0, ciso8601 2.3.3, iso8601 2.1.0, Python 3.11 or newer
# Behaviour: isoparse of dateutil and datetime.fromisoformat accept any character between date and time. The digits
#   of 1780010100000, an epoch in milliseconds of May 2026, become 1780-01-01, a separator "0", and 00:00. About
#   1 in 80 epochs between May and November 2026 can be read so. The others raise an error, as each epoch before does.
# Expected: An error for each epoch, as from ciso8601 and iso8601: no letter T or space separates date and time.
# Why it matters: A parser that tries ISO 8601 before epochs, and was tested with epochs before May 2026, stores a few
#   jobs with starts in the 18th century. No error shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'python-dateutil==2.9.0.post0' 'ciso8601==2.3.3' 'iso8601==2.1.0'
venv/bin/python - <<'PY'
from datetime import UTC, datetime

import ciso8601
import iso8601
from dateutil.parser import isoparse

PARSERS = {
    "dateutil": isoparse,
    "fromisoformat": datetime.fromisoformat,
    "ciso8601": ciso8601.parse_datetime,
    "iso8601": iso8601.parse_date,
}
EPOCHS = {"1764590400000": {}, "1780010100000": {"dateutil": datetime(1780, 1, 1), "fromisoformat": datetime(1780, 1, 1)}}


def read(parser, text):
    try:
        return PARSERS[parser](text)
    except ValueError:
        return None


held = True
for text, expected in EPOCHS.items():
    times = {parser: time for parser in PARSERS if (time := read(parser, text))}
    meant = datetime.fromtimestamp(int(text) / 1000, UTC)
    print(f"{text} ({meant}):", {parser: str(time) for parser, time in times.items()} or "refused by all")
    held = held and times == expected
first, last, step = 1_780_000_000_000, 1_796_000_000_000, 7_919_000
epochs = range(first, last, step)
share = sum(read("fromisoformat", str(epoch)) is not None for epoch in epochs) / len(epochs)
print(f"share of epochs from May to November 2026 that fromisoformat reads: {share:.1%}")
raise SystemExit(0 if held and 0.005 < share < 0.03 else "The behaviour differs from the description.")
PY
