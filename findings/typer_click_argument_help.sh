#!/usr/bin/env bash
# Show that typer 0.21.2 loses the help of arguments, and of no option, if click is 8.5.
#
# Versions: typer 0.21.2 with click 8.5.1, and with click 8.4.2
# Behaviour: "--help" of a command lists an argument without its help text, without any warning, and the attribute help of
#   the parameter is None. With click 8.4.2 both have the text. click 8.5 gave its arguments a parameter "help", whose
#   default of None replaces what typer has set before. Help of options is shown with both.
# Expected: typer 0.21.2 requires "click>=8.0.0" without an upper bound, so each click that pip selects works alike.
# Why it matters: A program that pins typer and not click loses this text with a new lock file or a fresh installation. No
#   command fails. Pages that are generated from the commands lose it as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > program.py <<'PY'
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def load(
    path: Annotated[str, typer.Argument(help="File to write.")],
    days: Annotated[int, typer.Option(help="Days to go back.")] = 30,
) -> None:
    """Load."""


print([(parameter.name, parameter.help) for parameter in typer.main.get_command(app).params][:2])
app()
PY
python3 -m venv venv
for click in 8.4.2 8.5.1; do
  venv/bin/pip install -qq 'typer==0.21.2' "click==$click"
  echo "typer 0.21.2 with click $click:"
  NO_COLOR=1 venv/bin/python program.py --help | tee "$click.txt"
done
for click in 8.4.2 8.5.1; do grep -q 'Days to go back' "$click.txt"; done
grep -q "('path', 'File to write.')" 8.4.2.txt && grep -q 'PATH.*File to write' 8.4.2.txt
if ! grep -q "('path', None)" 8.5.1.txt || grep -q 'File to write' 8.5.1.txt; then
  echo "The behaviour differs from the description."
  exit 1
fi
