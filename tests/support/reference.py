"""Write the reference pages that are generated from the code; ``make docs`` runs this."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from avepoint_m365 import avepoint_m365
from avepoint_m365.companions.source import COMPANIONS
from avepoint_m365.constants import BASE_URLS, ObjectType
from avepoint_m365.credentials import AvePointCredentials
from m365_jobs.cli.app import app
from m365_jobs.config.program_keys import CALENDAR, WAREHOUSE, ProgramKey
from m365_jobs.config.protection import max_data_age, protection, restore_test_days
from m365_jobs.config.tenants import OF_A_RUN
from m365_jobs.errors.exceptions import EXIT_CODES
from m365_jobs.health.channels.configured import settings_table
from m365_jobs.health.checks import CHECKS
from m365_jobs.health.prometheus import METRICS

GENERATED = "<!-- Made by `make docs` from {home}: change it there. -->"
KEYS = "pipelines/m365_jobs/config and sources/avepoint_m365"

TYPES = {"str": "text", "list": "list of texts", "bool": "true or false", "int": "whole number", "float": "number"}
OTHER_TYPES = {"Any": "text or list of texts", "dict": "section", "TrustedHosts": "list of texts"}


def commands() -> str:
    """Return a page with a section for each command: its help, its arguments and options."""
    lines = ["# Commands", GENERATED.format(home="pipelines/m365_jobs/cli"), ""]
    lines += ["`m365-jobs --version` prints the version, and those of dlt, duckdb and Python.", ""]
    group: Any = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        for path, inner in leaves(name, command):
            lines += [f"## m365-jobs {path}", "", *_help(inner), ""]
            lines += ["| option | meaning |", "|---|---|"]
            lines += [_parameter(parameter) for parameter in inner.params if parameter.name != "help"]
            lines.append("")
    return "\n".join(lines)


def _help(command: Any) -> Iterator[str]:
    """Yield the paragraphs of a help text, with its example as code."""
    *paragraphs, example = str(command.help or "").split("\n\n")
    yield "\n\n".join(paragraphs)
    yield f"\nExample: `{example.removeprefix('Example: ').strip()}`"


def alerts() -> str:
    """Return a page with a table for each channel type."""
    lines = ["# Configuration of alerts", GENERATED.format(home="pipelines/m365_jobs/health/channels"), ""]
    lines += ["Keys of a section `alerts.channels.<name>`, by the channel's type.", ""]
    for name, settings in settings_table().items():
        lines += [f"## {name}", "", "| key | default | secret | meaning |", "|---|---|---|---|"]
        for key, setting in settings.items():
            default = "required" if setting.required else "" if setting.default is None else f"`{setting.default}`"
            lines.append(f"| `{key}` | {default} | {'yes' if setting.secret else ''} | {setting.help} |")
        lines.append("")
    return "\n".join(lines)


def configuration() -> str:
    """Return a page with the tables of all keys of ``sources.avepoint_m365``."""
    annotations = AvePointCredentials.__annotations__
    credentials = {name: (kind, "") for name, kind in annotations.items() if not name.startswith("__")}
    lines = ["# Configuration", GENERATED.format(home=KEYS), ""]
    lines += [
        "The keys are in the section `sources.avepoint_m365` of `.dlt/config.toml`, of `.dlt/secrets.toml`, or of a",
        "vault that dlt reads. In the environment, `data_center` is `SOURCES__AVEPOINT_M365__DATA_CENTER`. A list is",
        'written `["NAM", "EUR"]`. An unknown key is a warning; with `--strict` it is an error.',
        "",
        "```toml",
        "# .dlt/config.toml",
        "[sources.avepoint_m365]",
        'data_center = "we"',
        "```",
        "",
        "## Source",
        "",
    ]
    lines += _table(_source_keys())
    lines += [
        "",
        "## Credentials",
        "",
        "Keys of `credentials`. They belong in `.dlt/secrets.toml`. A vault may give them as one JSON object.",
        "",
    ]
    lines += _table((f"credentials.{key}", *_cells(kind, None), text) for key, kind, text in _documented(credentials))
    lines += ["", "## Protection and health", ""]
    lines += ["They can also stand in the section `sources.avepoint_m365.protection`.", ""]
    keys = (row for read in (protection, max_data_age, restore_test_days) for row in _signature(read))
    lines += _table(row for row in keys if row[0] not in inspect.signature(avepoint_m365).parameters)
    lines += ["", "## Days and nights", "", *_table(_program(CALENDAR)), "", "## Warehouses", ""]
    lines += [*_table(_program(WAREHOUSE)), "", "## Tenants", ""]
    lines += [
        "A section `sources.avepoint_m365.tenants.<name>` for each tenant can set keys of source, credentials, days",
        "and nights: see [many tenants](../how-to/many-tenants.md).",
        "",
        "## Known values",
        "",
        f"- `data_center`: {_words(BASE_URLS)}.",
        f"- `object_types`: {_words(object_type.name for object_type in ObjectType)}.",
        f"- `include`: {_words(companion.name for companion in COMPANIONS)}; `context`, `auto`, `none`.",
        "",
    ]
    return "\n".join(lines)


def health() -> str:
    """Return a page with the table of all kinds of findings."""
    lines = ["# Health kinds", GENERATED.format(home="pipelines/m365_jobs/health/checks.py"), ""]
    lines += ["What `m365-jobs health` reports, the most severe first. A problem makes it exit with code 4.", ""]
    lines += ["| kind | severity | meaning | what to do |", "|---|---|---|---|"]
    lines += [f"| `{check.kind}` | {check.severity} | {check.meaning} | {check.action} |" for check in CHECKS]
    lines += ["", "How health evaluates, and its output for monitors: [health](../how-to/health.md).", ""]
    return "\n".join(lines)


def exit_codes() -> str:
    """Return a page with the table of exit codes."""
    lines = ["# Exit codes", GENERATED.format(home="pipelines/m365_jobs/errors/exceptions.py"), ""]
    lines += ["| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*lines, ""])


def metrics() -> str:
    """Return a page with the table of metrics."""
    lines = ["# Metrics", GENERATED.format(home="pipelines/m365_jobs/health/prometheus.py"), ""]
    lines += ["`m365-jobs health --prometheus PATH` writes them (extra `prometheus`).", ""]
    lines += ["| metric | labels | value |", "|---|---|---|"]
    lines += [f"| `{metric.name}` | {', '.join(metric.labels)} | {metric.text} |" for metric in METRICS]
    return "\n".join([*lines, ""])


PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands,
    "alerts.md": alerts,
    "configuration.md": configuration,
    "health.md": health,
    "exit-codes.md": exit_codes,
    "metrics.md": metrics,
}


def arguments(docstring: str | None, title: str) -> dict[str, str]:
    """Return the text of each entry in a section of a docstring, such as Args, by name."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    entries: dict[str, str] = {}
    name = ""
    for line in lines[lines.index(f"{title}:") + 1 :]:
        if not line.startswith(" "):
            break
        if match := re.fullmatch(r" {4}(\w+): (.*)", line):
            name = match[1]
            entries[name] = match[2]
        else:
            entries[name] += f" {line.strip()}"
    return {key: text.replace("``", "`") for key, text in entries.items()}


def _signature(function: Callable[..., Any]) -> list[tuple[str, str, str, str]]:
    texts = arguments(function.__doc__, "Args")
    parameters = inspect.signature(function).parameters
    return [(name, *_cells(item.annotation, item.default), texts[name]) for name, item in parameters.items()]


def _source_keys() -> list[tuple[str, str, str, str]]:
    left_out = OF_A_RUN | {"credentials"}
    return [row for row in _signature(avepoint_m365) if row[0] not in left_out]


def _documented(keys: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    texts = arguments(AvePointCredentials.__doc__, "Attributes")
    return [(name, kind, texts[name]) for name, (kind, _) in keys.items()]


def _program(keys: Mapping[str, ProgramKey]) -> list[tuple[str, str, str, str]]:
    return [(name, *_cells(key.type, key.default), key.meaning) for name, key in keys.items()]


def _table(rows: Iterable[tuple[str, str, str, str]]) -> list[str]:
    lines = [f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in rows]
    return ["| key | type | default | meaning |", "|---|---|---|---|", *lines]


def _cells(annotation: Any, default: Any) -> tuple[str, str]:
    """Return type and default of a key in the form of the page."""
    name = str(annotation).split(" | ")[0].partition("[")[0]
    kind = TYPES.get(name) or OTHER_TYPES.get(name, "text")
    shown = (
        str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else default
    )
    return kind, "" if default is None else f"`{shown}`"


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def leaves(name: str, command: Any) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    return [(f"{name} {key}", value) for key, value in sorted(inner.items())] if inner else [(name, command)]


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{option}`" for option in parameter.opts)
    text = str(getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {names} | {text} |"


def write(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
