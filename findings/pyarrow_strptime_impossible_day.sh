#!/usr/bin/env bash
# Show that pyarrow's strptime turns an impossible day into a day of the next month.
#
# Versions: pyarrow 26.0.1
# Behaviour: strptime accepts the days 29 to 31 in each month, and continues to count in the next month: 2026-02-30
#   becomes 2026-03-02, also with error_is_null=True. Month 13 is an error, or null. The cast of the same text to a
#   timestamp fails.
# Expected: An error, or null with error_is_null=True. Python's strptime, DuckDB's strptime and the cast do this.
# Why it matters: A report counts a job with a damaged date in another month, and does not show that the date was
#   damaged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'pyarrow==26.0.1' 'duckdb==2.0.1'
venv/bin/python - <<'PY'
import datetime
import duckdb
import pyarrow as pa
import pyarrow.compute as pc

texts = ["2026-02-28", "2026-02-30", "2026-04-31", "2026-13-01"]
days = pc.strptime(pa.array(texts), format="%Y-%m-%d", unit="s", error_is_null=True).to_pylist()
others = [duckdb.execute("SELECT try_strptime(?, '%Y-%m-%d')", [text]).fetchone()[0] for text in texts]
for text, day, other in zip(texts, days, others):
    print(f"{text}: pyarrow {day and day.date()}, DuckDB {other and other.date()}")
try:
    pa.array(["2026-02-30"]).cast(pa.timestamp("s"))
    refused = False
except pa.ArrowInvalid as error:
    refused = True
    print("cast:", error)
date = datetime.datetime
held = days == [date(2026, 2, 28), date(2026, 3, 2), date(2026, 5, 1), None]
held = held and others == [date(2026, 2, 28), None, None, None] and refused
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
