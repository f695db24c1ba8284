"""Write the reference pages that come from the code: commands, and settings of alert channels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from m365_jobs.cli.app import app
from m365_jobs.health.channels.configured import settings_table


def commands() -> str:
    """Return a section for each command: what it does, its arguments and options."""
    lines = ["# Commands", ""]
    group: Any = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        for path, inner in _leaves(name, command):
            lines += [f"## m365-jobs {path}", "", str(inner.help or "").split("\n\n")[0], ""]
            lines += ["| option | meaning |", "|---|---|"]
            lines += [_parameter(parameter) for parameter in inner.params if parameter.name != "help"]
            lines.append("")
    return "\n".join(lines)


def alerts() -> str:
    """Return a table for each channel type."""
    lines = ["# Configuration of alerts", "", "Keys of a section `alerts.channels.<name>`, by the channel's type.", ""]
    for name, settings in settings_table().items():
        lines += [f"## {name}", "", "| key | default | secret | meaning |", "|---|---|---|---|"]
        for key, setting in settings.items():
            default = "required" if setting.required else "" if setting.default is None else f"`{setting.default}`"
            lines.append(f"| `{key}` | {default} | {'yes' if setting.secret else ''} | {setting.help} |")
        lines.append("")
    return "\n".join(lines)


def _leaves(name: str, command: Any) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    return [(f"{name} {key}", value) for key, value in sorted(inner.items())] if inner else [(name, command)]


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{option}`" for option in parameter.opts)
    text = str(getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {names} | {text} |"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(commands(), encoding="utf-8")
    (folder / "alerts.md").write_text(alerts(), encoding="utf-8")
