#!/usr/bin/env bash
# Show that dlt's extraction sleeps after a None from a resource, and does not after an empty list.
#
# Versions: dlt 1.31.0
# Behaviour: After a turn in which every resource yielded None, the extraction sleeps for extract.futures_poll_interval,
#   0.01 s by default, although no future exists. So 300 times None last about 3 s. 300 empty lists last milliseconds.
#   Neither creates a row. If another resource yields rows in the same turn, no sleep occurs.
# Expected: None is dropped as an empty list is, and the next item is read at once. The setting's name and its
#   description speak of futures, which such a source does not use.
# Why it matters: A source of a paged API often ends a page without rows with "yield rows or None", and a resource may
#   yield None while it waits for another one. An API with 6,000 empty ranges then costs a minute of sleep, which no
#   trace and no log shows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL DLT_DATA_DIR="$folder/dlt"
python3 -m venv venv
venv/bin/pip install -qq 'dlt==1.31.0'
venv/bin/python - <<'PY'
import time

import dlt

PAGES = 300


def seconds(empty, beside=False):
    def pages():
        for _ in range(PAGES):
            yield empty

    def rows():
        for number in range(PAGES + 1):
            yield {"number": number}

    @dlt.source
    def ranges():
        yield dlt.resource(pages, name="pages")
        if beside:
            yield dlt.resource(rows, name="rows")

    began = time.monotonic()
    items = list(ranges())
    assert len(items) == (PAGES + 1 if beside else 0), items
    return time.monotonic() - began


nothing, lists, beside = seconds(None), seconds([]), seconds(None, beside=True)
print(f"{PAGES} times None: {nothing:.2f} s")
print(f"{PAGES} empty lists: {lists:.2f} s")
print(f"{PAGES} times None beside a resource with rows: {beside:.2f} s")
holds = nothing >= PAGES * 0.01 and lists < nothing / 3 and beside < nothing / 3
raise SystemExit(0 if holds else "The behaviour differs from the description.")
PY
