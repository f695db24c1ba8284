"""Plan the commands of a scheduler: loads, health and reports, with their folder and variables."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dlt
from avepoint_m365.config import SECTION

from m365_jobs.config import alerts, tenants
from m365_jobs.config.protection import max_data_age
from m365_jobs.orchestrators.intervals import Every, parse_every
from m365_jobs.warehouse.target import open_warehouse

REPORT_FILE, REPORT_AT = "m365-report.pdf", "daily 08:00"

ENVIRONMENT_FILE = "m365-jobs.env"
"""File in the working directory with the variables of this shell, which a scheduler does not inherit."""

MACHINE_PATHS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "DLT_PROJECT_DIR", "DLT_CONFIG_FOLDER")
"""Variables with a path of this machine, which does not exist in a container."""

OTHER_VARIABLES = ("DESTINATION_TYPE", "DESTINATION_NAME", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *MACHINE_PATHS)
"""Variables that loads read, beside those of dlt, which contain two underscores in a row."""


@dataclass(frozen=True)
class Task:
    """Describe a command that a scheduler runs."""

    unit: str
    """Name of the task in the scheduler."""
    description: str
    every: Every
    arguments: Sequence[str]
    success: int | None = None
    """Exit code beside 0 that is no failure; None without one."""


@dataclass(frozen=True)
class Plan:
    """Hold the tasks of a scheduler, and the machine, folder and variables that they need."""

    tasks: Sequence[Task]
    notes: Sequence[str]
    image: str
    python: Path
    folder: Path
    settings: Path
    """Folder of dlt's configuration files."""
    state: Path
    """dlt's working folder (``DLT_DATA_DIR``)."""
    user: str
    variables: Sequence[str]
    """Names of the environment variables of this shell that the tasks need."""

    @property
    def environment_file(self) -> Path:
        """Return the path of the file from which tasks read ``variables``."""
        return self.folder / ENVIRONMENT_FILE


@dataclass(frozen=True)
class ScheduleOptions:
    """Hold the options of ``m365-jobs schedule``."""

    every: str = "1h"
    tenants: Sequence[str] = ()
    all_tenants: bool = False
    destination: str | None = None
    dataset: str | None = None
    image: str = "m365-jobs:latest"


def plan_tasks(request: ScheduleOptions) -> Plan:
    """Return the tasks: the load, health and the report. They are for all configured tenants if none is named.

    Raises:
        ConfigurationError: for an unknown tenant.
        UsageError: for an invalid interval, or an unknown destination.
    """
    every, names = parse_every(request.every), request.tenants
    all_tenants = request.all_tenants or (not names and bool(tenants.configured()))
    tenants.selected(names, every=all_tenants)
    open_warehouse(request.destination, request.dataset)
    tasks, notes = _tasks(request, every, all_tenants)
    variables = [
        name
        for name in sorted(os.environ)
        if re.fullmatch(r"[A-Z0-9]\w*__\w+", name) or name.upper() in OTHER_VARIABLES
    ]
    return Plan(
        tasks=tasks,
        notes=notes,
        image=request.image,
        python=Path(sys.executable),
        folder=Path.cwd(),
        settings=Path(dlt.current.run_context().settings_dir).absolute(),
        state=Path(dlt.current.run_context().data_dir).absolute(),
        user=_user(),
        variables=variables,
    )


def _tasks(request: ScheduleOptions, every: Every, all_tenants: bool) -> tuple[list[Task], list[str]]:
    tenant_options = [part for name in request.tenants for part in ("--tenant", name)]
    warehouse_options: list[str] = []
    for option, value in (("--destination", request.destination), ("--dataset", request.dataset)):
        warehouse_options += [option, value] if value else []
    channels = {alerts.channel_type(name) for name in alerts.channel_names()}
    age_options, notes = _max_age(every)
    common = [*tenant_options, *warehouse_options]
    health = ["health", *(["--notify"] if channels else []), *age_options, *common]
    report = ["report", REPORT_FILE, *(["--mail"] if "email" in channels else []), *common]
    if not channels:
        notes.append(
            "No alert channel is configured, so health sends no message. Add a section such as [alerts.channels.email]."
        )
    load = ["load", *(["--all-tenants"] if all_tenants else tenant_options), *warehouse_options]
    mailed = " and mail it" if "email" in channels else ""
    return [
        Task("m365-jobs", "Load the jobs of AvePoint Cloud Backup for Microsoft 365", every, load, success=3),
        Task(
            *("m365-jobs-health", "Evaluate the health of the backups", parse_every(request.every, later=True)),
            *(health, 4 if channels else None),
        ),
        Task("m365-jobs-report", f"Write the report{mailed}", parse_every(REPORT_AT), report),
    ], notes


def _max_age(every: Every) -> tuple[list[str], list[str]]:
    """Return the option of ``health`` that fits the interval, and a note about it; neither if the default fits.

    With the default of 6 hours, every service would be ``unknown`` 6 hours after a daily load.
    """
    needed = every.hours + 2
    if needed <= max_data_age():
        return [], []
    note = (
        f"Loads run {every.words}, so data may be {needed:g} hours old. Health allows that here. For dashboards and "
        f"reports, set max_data_age_hours = {needed:g} in [{SECTION}] of .dlt/config.toml as well."
    )
    return ["--max-age-hours", f"{needed:g}"], [note]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # The user has a number and no name, as in a container. systemd accepts numbers as well.
        return str(os.getuid())
