"""What a scheduler needs to run loads of this configuration: text to be looked at and installed. Names secrets, never
holds them."""

from __future__ import annotations

import getpass
import glob
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import dlt

from m365_jobs.config import tenants
from m365_jobs.errors.explain import UsageError
from m365_jobs.warehouse import pipeline as warehouse

ENVIRONMENT_FILE = "m365-jobs.env"
"""In the working directory: the variables that this shell has and a scheduler has not."""

_PATHS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "DLT_PROJECT_DIR", "DLT_CONFIG_FOLDER")
"""Variables that hold a path of this machine, which says nothing in a container."""

_OTHER_VARIABLES = ("DESTINATION_TYPE", "DESTINATION_NAME", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *_PATHS)
"""What loads heed beside dlt's variables, which have two underscores in a row between their parts."""


@dataclass(frozen=True)
class Every:
    """How often, in the words of people and of each scheduler; times of the day are UTC."""

    words: str
    cron: str
    systemd: str
    windows: str
    at_an_hour: bool
    """Whether the hours matter, and so the time zone."""


def parse_every(text: str) -> Every:
    """From ``15m``, ``6h`` or ``daily 02:00``: parts that an hour or a day is divided into evenly, as cron needs it.

    Raises:
        UsageError: for anything else.
    """
    repeat = "New-ScheduledTaskTrigger -Once -At ([datetime]'2026-01-01T00:00:00Z') -RepetitionInterval "
    if (found := re.fullmatch(r"([1-9]\d?)m", text)) and 60 % (n := int(found[1])) == 0 and n < 60:
        minutes = f"{repeat}(New-TimeSpan -Minutes {n})"
        words = f"every {n} minutes" if n > 1 else "every minute"
        return Every(words, f"*/{n} * * * *", f"*-*-* *:0/{n}:00", minutes, False)
    if (found := re.fullmatch(r"([1-9]\d?)h", text)) and 24 % (n := int(found[1])) == 0 and n < 24:
        hours = f"{repeat}(New-TimeSpan -Hours {n})"
        words = f"every {n} hours" if n > 1 else "every hour"
        return Every(words, f"0 */{n} * * *", f"*-*-* 0/{n}:00:00 UTC", hours, n > 1)
    if found := re.fullmatch(r"daily ([01]\d|2[0-3]):([0-5]\d)", text):
        hour, minute = found.groups()
        at = f"{hour}:{minute}:00"
        daily = f"New-ScheduledTaskTrigger -Daily -At ([datetime]'2026-01-01T{at}Z')"
        return Every(
            f"daily at {hour}:{minute} UTC", f"{int(minute)} {int(hour)} * * *", f"*-*-* {at} UTC", daily, True
        )
    raise UsageError(
        f"--every {text!r} is not known. Write minutes that divide an hour (15m), hours that divide a day (6h), or "
        "'daily 02:00' (UTC)."
    )


@dataclass(frozen=True)
class Plan:
    """What is run, where, how often and with which variables of the environment (their names)."""

    every: Every
    arguments: Sequence[str]
    image: str
    python: Path
    folder: Path
    settings: Path
    """Where dlt's configuration files are."""
    state: Path
    user: str
    variables: Sequence[str]

    @property
    def command(self) -> list[str]:
        """A load of this configuration, with this Python."""
        return [str(self.python), *self.arguments]

    @property
    def environment_file(self) -> Path:
        """Where ``variables`` are expected."""
        return self.folder / ENVIRONMENT_FILE


def plan(
    every: str, names: Sequence[str], all_tenants: bool, destination: str | None, dataset: str | None, image: str
) -> Plan:
    """The loads that ``load`` with the same options makes; without any tenant named, of all that are configured.

    Raises:
        UsageError: for tenants or destinations that are not known.
    """
    times = parse_every(every)
    all_tenants = all_tenants or (not names and bool(tenants.configured()))
    chosen = tenants.selected(names, every=all_tenants)
    with TemporaryDirectory() as folder:
        warehouse.open_pipeline(chosen[0].name, destination, dataset, folder=Path(folder))
    arguments = ["-m", "m365_jobs", "load"]
    arguments += ["--all-tenants"] if all_tenants else [part for name in names for part in ("--tenant", name)]
    for option, value in (("--destination", destination), ("--dataset", dataset)):
        arguments += [option, value] if value else []
    variables = [
        name
        for name in sorted(os.environ)
        if re.fullmatch(r"[A-Z0-9]\w*__\w+", name) or name.upper() in _OTHER_VARIABLES
    ]
    return Plan(
        every=times,
        arguments=arguments,
        image=image,
        python=Path(sys.executable),
        folder=Path.cwd(),
        settings=Path(dlt.current.run_context().settings_dir).absolute(),
        state=Path(dlt.current.run_context().data_dir).absolute(),
        user=_user(),
        variables=variables,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A number that has no name, as in a container; systemd takes numbers, too.
        return str(os.getuid())


class _Text(Template):
    """``@{name}``: the dollar belongs to the shells."""

    delimiter = "@"


def render(plan: Plan, scheduler: str) -> str:
    """The text for ``systemd``, ``cron``, ``kubernetes`` or ``windows``."""
    template = files("m365_jobs.orchestrators").joinpath("templates", f"{scheduler}.txt").read_text(encoding="utf-8")
    values = {"user": plan.user, "every": plan.every.words, "image": json.dumps(plan.image)}
    return _Text(template).substitute(values | SCHEDULERS[scheduler](plan))


def _systemd(plan: Plan) -> dict[str, str]:
    def plain(path: Path) -> str:
        return str(path).replace("%", "%%")

    def word(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped) else f'"{escaped}"'

    return {
        "folder": plain(plan.folder),
        "state_variable": word(f"DLT_DATA_DIR={plan.state}"),
        # Read as a wildcard expression, in which brackets and the like stand for other signs.
        "environment_file": f"EnvironmentFile={plain(Path(glob.escape(str(plan.environment_file))))}\n"
        if plan.variables
        else "",
        "command": " ".join(word(part).replace("$", "$$") for part in plan.command),
        "calendar": plan.every.systemd,
        "needs": _needs_file(plan),
    }


def _cron(plan: Plan) -> dict[str, str]:
    def word(text: object) -> str:
        # A percent sign ends the command for cron.
        return shlex.quote(str(text)).replace("%", r"\%")

    zone = "# For crons that do not know CRON_TZ (Debian's), write the time in the machine's zone.\nCRON_TZ=UTC\n"
    return {
        "folder": word(plan.folder),
        "state_variable": f"DLT_DATA_DIR={word(plan.state)}",
        "environment_file": f"set -a && . {word(plan.environment_file)} && set +a && " if plan.variables else "",
        "command": " ".join(word(part) for part in plan.command),
        "cron": plan.every.cron,
        "zone": zone if plan.every.at_an_hour else "",
        "needs": _needs_file(plan),
    }


def _kubernetes(plan: Plan) -> dict[str, str]:
    reference = """                - name: {0}
                  valueFrom:
                    secretKeyRef:
                      name: m365-jobs
                      key: {0}
"""
    variables = [name for name in plan.variables if name not in _PATHS]
    here = plan.settings.relative_to(plan.folder) if plan.settings.is_relative_to(plan.folder) else plan.settings
    settings = [here / name for name in ("config.toml", "secrets.toml") if (plan.settings / name).exists()]
    needs = []
    if variables:
        literals = [f'--from-literal={name}="${name}"' for name in variables]
        needs += ["First, in this shell:", " \\\n#     ".join(["kubectl create secret generic m365-jobs", *literals])]
    if settings:
        kept = " ".join(f"--from-file={shlex.quote(file.as_posix())}" for file in settings)
        needs += ["First, in this folder:", f"kubectl create secret generic m365-jobs-configuration {kept}"]
    return {
        "command": json.dumps(["python", *plan.arguments]),
        "cron": json.dumps(plan.every.cron),
        "environment": "".join(reference.format(name) for name in variables),
        "needs": "".join(f"# {line}\n" for line in needs),
    }


def _windows(plan: Plan) -> dict[str, str]:
    def word(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    kept = [f"[Environment]::SetEnvironmentVariable('{name}', $env:{name}, 'User')" for name in plan.variables]
    return {
        "python": word(str(plan.python)),
        "arguments": word(subprocess.list2cmdline(plan.arguments)),
        "folder": word(str(plan.folder)),
        "trigger": plan.every.windows,
        "needs": "\n".join(["# What this shell sets, for the task as well:", *kept, ""]) if kept else "",
    }


def _needs_file(plan: Plan) -> str:
    if not plan.variables:
        return ""
    lines = [
        "This shell sets variables that a scheduled load needs. Write them as NAME='value' lines into the file",
        f"{plan.environment_file}, which nobody but {plan.user} may read (chmod 600):",
        *(f"  {name}" for name in plan.variables),
    ]
    return "".join(f"# {line}\n" for line in lines)


SCHEDULERS: dict[str, Callable[[Plan], dict[str, str]]] = {
    "systemd": _systemd,
    "cron": _cron,
    "kubernetes": _kubernetes,
    "windows": _windows,
}
"""Name to what fills its template."""
