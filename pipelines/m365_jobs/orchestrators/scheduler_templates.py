"""Render the configuration of a scheduler for loads, health and reports, for the user to review and install.

It contains names of secrets, but not the secrets.
"""

from __future__ import annotations

import base64
import glob
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import NamedTuple

from m365_jobs.orchestrators.schedule import ENVIRONMENT_FILE, MACHINE_PATHS, Plan, Task

REPORTS_CURE = "pip install 'avepoint-m365-jobs[reports]'"


class _Text(Template):
    """Fill templates with ``@{name}``, since shells use the dollar sign."""

    delimiter = "@"


def render_template_of(plan: Plan, scheduler: str) -> str:
    """Return the text for ``systemd``, ``cron``, ``kubernetes`` or ``windows``."""
    template = SCHEDULERS[scheduler]
    if scheduler != "kubernetes" and not find_spec("weasyprint"):
        # The image has the extra; this machine lacks it.
        note = f"No report is scheduled: the extra reports is not installed. Run: {REPORTS_CURE}"
        tasks_left = [task for task in plan.tasks if task.arguments[0] != "report"]
        plan = replace(plan, tasks=tasks_left, notes=[*plan.notes, note])
    notes = "".join(f"# {note}\n" for note in plan.notes)
    tasks = "".join(_filled(scheduler, task, template.task_values(plan, task)) for task in plan.tasks)
    return notes + template.before(plan) + tasks + template.after(plan)


def _filled(template: str, task: Task, values: dict[str, str]) -> str:
    text = files("m365_jobs.orchestrators").joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
    common = {"unit": task.unit, "description": task.description, "every": task.every.words}
    return _Text(text).substitute(common | values)


def _arguments(task: Task) -> list[str]:
    # -P removes the working folder from Python's path, so that a file there cannot replace a module.
    return ["-P", "-m", "m365_jobs", *task.arguments]


def _systemd(plan: Plan, task: Task) -> dict[str, str]:
    def plain(path: Path) -> str:
        return str(path).replace("%", "%%")

    def word(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped) else f'"{escaped}"'

    # systemd reads this path as a wildcard expression, so its brackets and asterisks are escaped.
    file = f"EnvironmentFile={plain(Path(glob.escape(str(plan.environment_file))))}\n"
    return {
        "user": plan.user,
        "folder": plain(plan.folder),
        "state_variable": word(f"DLT_DATA_DIR={plan.state}"),
        "environment_file": file if plan.variables else "",
        "command": " ".join(word(part).replace("$", "$$") for part in [str(plan.python), *_arguments(task)]),
        "calendar": task.every.systemd,
        "success": SYSTEMD_SUCCESS[task.success],
        "needs": _needs_file(plan) if task.success == 3 else "",
    }


def _after_systemd(plan: Plan) -> str:
    timers = " ".join(f"{task.unit}.timer" for task in plan.tasks)
    return (
        f"# ---- then\n# systemctl daemon-reload && systemctl enable --now {timers}\n"
        "# systemctl list-timers 'm365-jobs*'; journalctl -u 'm365-jobs*'\n"
    )


def _before_cron(plan: Plan) -> str:
    lines = [
        f"# Add to the crontab of {plan.user} (crontab -e). cron mails what a failed command prints.",
        "# Exit code 3 of a load (loaded, but not all is complete yet) is no failure: the next load reads that again.",
    ]
    zone = ["# For crons without CRON_TZ (Debian's), write the times in the machine's zone.", "CRON_TZ=UTC"]
    return "".join(f"{line}\n" for line in lines) + _needs_file(plan) + "".join(f"{line}\n" for line in zone)


def _cron(plan: Plan, task: Task) -> dict[str, str]:
    def word(text: object) -> str:
        # A percent sign ends the command for cron.
        return shlex.quote(str(text)).replace("%", r"\%")

    good = [f"[ $code = {code} ]" for code in (0, task.success) if code is not None]
    return {
        "folder": word(plan.folder),
        "state_variable": f"DLT_DATA_DIR={word(plan.state)}",
        "environment_file": f"set -a && . {word(plan.environment_file)} && set +a && " if plan.variables else "",
        "command": " ".join(word(part) for part in [plan.python, *_arguments(task)]),
        "cron": task.every.cron,
        "success": " || ".join(good),
    }


def _before_kubernetes(plan: Plan) -> str:
    variables = _container_variables(plan)
    here = plan.settings.relative_to(plan.folder) if plan.settings.is_relative_to(plan.folder) else plan.settings
    settings = [here / name for name in ("config.toml", "secrets.toml") if (plan.settings / name).exists()]
    needs = ["To be piped into: kubectl apply -f -", "The image is made with the Dockerfile of the project."]
    if variables:
        literals = [f'--from-literal={name}="${name}"' for name in variables]
        needs += ["First, in this shell:", " \\\n#     ".join(["kubectl create secret generic m365-jobs", *literals])]
    if settings:
        sources = " ".join(f"--from-file={shlex.quote(file.as_posix())}" for file in settings)
        needs += ["First, in this folder:", f"kubectl create secret generic m365-jobs-configuration {sources}"]
    volume = files("m365_jobs.orchestrators").joinpath("templates", "kubernetes_volume.txt").read_text(encoding="utf-8")
    return "".join(f"# {line}\n" for line in needs) + volume


def _kubernetes(plan: Plan, task: Task) -> dict[str, str]:
    reference = """                - name: {0}
                  valueFrom:
                    secretKeyRef:
                      name: m365-jobs
                      key: {0}
"""
    return {
        "container": task.arguments[0],
        "image": json.dumps(plan.image),
        "command": json.dumps(["python", *_arguments(task)]),
        "cron": json.dumps(task.every.cron),
        "environment": "".join(reference.format(name) for name in _container_variables(plan)),
        "success": KUBERNETES_SUCCESS[task.success],
    }


def _container_variables(plan: Plan) -> list[str]:
    return [name for name in plan.variables if name not in MACHINE_PATHS]


def _before_windows(plan: Plan) -> str:
    lines = [
        f"Run in PowerShell, as the user whose tasks they are to be ({plan.user}).",
        "The task scheduler starts no load while the last one runs. Last Run Result 0x3: loaded, but some partition is",
        "not complete yet; the next load reads it again. 0x4: health found a problem.",
    ]
    text = "".join(f"# {line}\n" for line in lines)
    if plan.variables:
        names = ", ".join(_quoted(name) for name in plan.variables)
        text += f"""# This shell sets variables that the tasks need. They go into a file that only this user may read:
$variables = {_quoted(str(plan.environment_file))}
New-Item -ItemType File -Force -Path $variables | Out-Null
icacls $variables /inheritance:r /grant:r "${{env:USERNAME}}:F" | Out-Null
{names} | ForEach-Object {{ "$_=" + [Environment]::GetEnvironmentVariable($_) }} | Set-Content -Encoding utf8 $variables
"""
    return text + (
        "$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -StartWhenAvailable\n"
        "$principal = New-ScheduledTaskPrincipal -UserId $env:USERNAME -LogonType S4U\n\n"
    )


def _windows(plan: Plan, task: Task) -> dict[str, str]:
    program, arguments = str(plan.python), subprocess.list2cmdline(_arguments(task))
    if plan.variables:
        # PowerShell reads the variables from the file for this command alone, so the registry contains no secret.
        script = (
            f"Get-Content -Encoding utf8 {_quoted(ENVIRONMENT_FILE)} | "
            "ForEach-Object { $name, $value = $_ -split '=', 2; "
            f'Set-Item "Env:$name" $value }}; & {_quoted(program)} '
            f"{' '.join(_quoted(part) for part in _arguments(task))}; exit $LASTEXITCODE"
        )
        encoded = base64.b64encode(script.encode("utf-16-le")).decode()
        program, arguments = "powershell.exe", f"-NoProfile -NonInteractive -EncodedCommand {encoded}"
    return {
        "program": _quoted(program),
        "arguments": _quoted(arguments),
        "folder": _quoted(str(plan.folder)),
        "trigger": task.every.windows,
    }


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _needs_file(plan: Plan) -> str:
    if not plan.variables:
        return ""
    lines = [
        "This shell sets variables that a scheduled load needs. Write them as NAME='value' lines into the file",
        f"{plan.environment_file}, which only {plan.user} may read (chmod 600):",
        *(f"  {name}" for name in plan.variables),
    ]
    return "".join(f"# {line}\n" for line in lines)


SYSTEMD_SUCCESS = {
    3: "# 3: loaded, but some partition is not complete yet; the next load reads it again.\nSuccessExitStatus=3\n",
    4: "# 4: health found a problem, and sent it to the alert channels.\nSuccessExitStatus=4\n",
    None: "",
}

KUBERNETES_SUCCESS = {
    code: f"""              # {reason}
              command: [sh, -c, '"$@"; code=$?; [ $code = {code} ] || exit $code', sh]
"""
    for code, reason in {
        3: "3 (loaded, but some partition is not complete yet) is no failure: the next load reads it again.",
        4: "4 (health found a problem) is no failure: health sends it to the alert channels.",
    }.items()
} | {None: """              command: [sh, -c, '"$@"', sh]\n"""}


class SchedulerTemplate(NamedTuple):
    """Hold the functions that render the configuration of a scheduler."""

    task_values: Callable[[Plan, Task], dict[str, str]]
    """Returns the values of the template of a task."""
    before: Callable[[Plan], str] = lambda plan: ""
    """Returns the text before the tasks."""
    after: Callable[[Plan], str] = lambda plan: ""
    """Returns the text after the tasks."""


SCHEDULERS: dict[str, SchedulerTemplate] = {
    "systemd": SchedulerTemplate(_systemd, after=_after_systemd),
    "cron": SchedulerTemplate(_cron, before=_before_cron),
    "kubernetes": SchedulerTemplate(_kubernetes, before=_before_kubernetes),
    "windows": SchedulerTemplate(_windows, before=_before_windows),
}
