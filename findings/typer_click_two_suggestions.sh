#!/usr/bin/env bash
# Show that a misspelt command is answered with two suggestions if typer 0.21.2 runs with click 8.4.
#
# Versions: typer 0.21.2 with click 8.4.2, and with click 8.3.1
# Behaviour: click 8.4 suggests similar commands in its message, as it does for options. typer 0.21.2 adds a suggestion of
#   its own to the same message. So the user reads the same suggestion twice. With click 8.3.1 it stands there
#   once. suggest_commands=False of typer turns typer's own off; with click 8.3.1 none is left then.
# Expected: Either library sees that the message has a suggestion, or typer bounds the versions of click.
# Why it matters: A test or a wrapper that parses the message finds one suggestion or two, by the version of click, which
#   typer does not bound. A program that pins typer alone changes its output with a fresh installation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > program.py <<'PY'
import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def status() -> None:
    pass


@app.command()
def load() -> None:
    pass


app()
PY
for version in 8.3.1 8.4.2; do
  python3 -m venv "venv-$version"
  "venv-$version/bin/pip" install -qq 'typer==0.21.2' "click==$version"
  "venv-$version/bin/python" program.py statsu > "$version.txt" 2>&1 || true
  echo "click $version:"
  grep -i 'did you mean' "$version.txt"
done
count() { grep -io 'did you mean' "$1.txt" | wc -l; }
[ "$(count 8.3.1)" = 1 ] && [ "$(count 8.4.2)" = 2 ]
