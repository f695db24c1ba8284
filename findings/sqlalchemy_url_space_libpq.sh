#!/usr/bin/env bash
# Show that PostgreSQL's client library reads a space differently from the program that wrote the address.
#
# Versions: SQLAlchemy 2.1.9, psycopg2-binary 2.9.13
# Behaviour: SQLAlchemy renders a space in the query of a URL as +. libpq decodes %20 there, but leaves a + unchanged. So
#   the rendered address of a connection with two startup options has a single option with a wrong value. A server
#   refuses it: invalid value for parameter "statement_timeout": "9000+-clock_timeout=3000".
# Expected: both follow the same rules, since both call the text a connection URL, and other values survive the way.
# Why it matters: dlt builds addresses with SQLAlchemy's rules and gives them to other programs, such as ibis. Two options
#   in one address separated by a space end each of their connections. A tab is rendered as %09 and arrives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'SQLAlchemy==2.1.9' 'psycopg2-binary==2.9.13'
venv/bin/python - <<'PY'
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL, make_url

results = {}
for name, separator in (("space", " "), ("tab", "\t")):
    options = f"-cstatement_timeout=9000{separator}-clock_timeout=3000"
    address = URL.create("postgresql", "user", None, "localhost", 5432, "jobs", {"options": options})
    text = address.render_as_string(hide_password=False)
    results[name] = (make_url(text).query["options"] == options, parse_dsn(text)["options"] == options)
    print(f"{name}: {text}")
    print(f"  SQLAlchemy reads {make_url(text).query['options']!r}")
    print(f"  libpq reads      {parse_dsn(text)['options']!r}")
expected = {"space": (True, False), "tab": (True, True)}
raise SystemExit(0 if results == expected else "The behaviour differs from the description.")
PY
