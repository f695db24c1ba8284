#!/usr/bin/env bash
# Show that dlt turns each value of its configuration into text where the parameter's type is a union with str.
#
# Versions: dlt 1.31.0
# Behaviour: A parameter of type "str | list[str] | None" receives the list ["schedule", "retention"] of config.toml as
#   the text '["schedule","retention"]'. "str | int | None" receives 5 as '5', and "str | bool | None" true as 'True'.
#   The order of the union makes no difference. The parameter receives the list itself if its type is "list[str] | None",
#   or Any.
# Expected: A value whose type is one of the union's arrives as it is. TOML has lists, numbers and booleans.
# Why it matters: A key that accepts one name or several is usually typed as such a union. "name in value" then searches
#   a text: "port" in '["report"]' is true, and no error tells. 'False' as text counts as true.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt==1.31.0'
mkdir .dlt
cat > .dlt/config.toml <<'TOML'
[sources.backups]
names = ["schedule", "retention"]
names_reversed = ["schedule", "retention"]
names_only = ["schedule", "retention"]
names_any = ["schedule", "retention"]
days = 5
quiet = false
TOML
venv/bin/python - <<'PY'
from typing import Any

import dlt

received = {}


@dlt.source(name="backups", section="backups")
def backups(
    names: str | list[str] | None = None,
    names_reversed: list[str] | str | None = None,
    names_only: list[str] | None = None,
    names_any: Any = None,
    days: str | int | None = None,
    quiet: str | bool | None = None,
):
    received.update(locals())
    return []


backups()
for name, value in received.items():
    print(f"{name:15} {value!r}")
listed, text = ["schedule", "retention"], '["schedule","retention"]'
holds = received == {
    "names": text,
    "names_reversed": text,
    "names_only": listed,
    "names_any": listed,
    "days": "5",
    "quiet": "False",
}
raise SystemExit(0 if holds else "The behaviour differs from the description.")
PY
