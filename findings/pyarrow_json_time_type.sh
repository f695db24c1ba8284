#!/usr/bin/env bash
# Show that a single fraction of a second changes the type of a JSON column in pyarrow.
#
# Versions: pyarrow 26.0.1
# Behaviour: read_json converts ISO times to timestamp[s] without time zone, and offsets to UTC. If a single time of
#   the file has a fraction, the whole column stays a string. With an explicit schema, read_json reads all values.
# Expected: The type does not depend on the fraction of a single value. If all values have a time zone, the type has
#   a time zone, too.
# Why it matters: Pages of the same API get different types: most pages have times, some have texts. A program
#   cannot combine them, or all times become texts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'pyarrow==26.0.1'
venv/bin/python - <<'PY'
import io
import pyarrow as pa
import pyarrow.json as pj

def read(times, **options):
    lines = "".join(f'{{"finish": "{time}"}}\n' for time in times)
    return pj.read_json(io.BytesIO(lines.encode()), **options)["finish"]

whole = read(["2026-01-01T10:00:00Z", "2026-01-01T10:00:00+02:00"])
fraction = read(["2026-01-01T10:00:00Z", "2026-01-01T10:00:00.5Z"])
schema = pa.schema([("finish", pa.timestamp("us", "UTC"))])
told = read(["2026-01-01T10:00:00Z", "2026-01-01T10:00:00.5Z"], parse_options=pj.ParseOptions(explicit_schema=schema))
for name, column in (("whole seconds", whole), ("with a fraction", fraction), ("explicit schema", told)):
    print(f"{name}: {column.type}, {[str(value) for value in column.to_pylist()]}")
held = (
    str(whole.type) == "timestamp[s]" and whole[1].as_py().isoformat() == "2026-01-01T08:00:00"
    and str(fraction.type) == "string" and str(told.type) == "timestamp[us, tz=UTC]"
)
raise SystemExit(0 if held else "The behaviour differs from the description.")
PY
