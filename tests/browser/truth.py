"""Provide the expected content of pages from the data of the simulator, without the code under test."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

from avepoint_m365.constants import ObjectType
from avepoint_simulator import SimulatedJob, World

NAMES = {
    "exchange_online": "Exchange Online",
    "sharepoint_online": "SharePoint Online",
    "onedrive": "OneDrive",
    "microsoft_365_groups": "Microsoft 365 Groups",
    "project_online": "Project Online",
    "public_folder": "Public Folder",
    "teams": "Teams",
    "viva_engage": "Viva Engage",
    "teams_chat": "Teams Chat",
    "power_bi": "Power BI",
    "power_automate": "Power Automate",
    "power_apps": "Power Apps",
}
COLUMNS = {
    "Failed": "Failed",
    "Finished with Exception": "Warnings",
    "Partially Finished": "Warnings",
    "Finished": "Succeeded",
}


def name(job: SimulatedJob) -> str:
    return NAMES[ObjectType(job.object_type).name]


def ended(world: World, since: datetime, until: datetime) -> list[SimulatedJob]:
    return [job for job in world.visible() if job.finish and job.finished(world.now) and since < job.finish <= until]


def night(*worlds: World, until: datetime, location: str | None = None) -> dict[str, dict[str, int]]:
    """Return the cells of each service's row for the 24 hours before ``until``, in a location or in all."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for job in (item for world in worlds for item in ended(world, until - timedelta(hours=24), until)):
        if location not in (None, job.location):
            continue
        rows[name(job)].update(
            {"Jobs": 1, COLUMNS[job.final_state]: 1, "Objects": job.total, "Failed objects": job.failed}
        )
    columns = ("Jobs", "Failed", "Warnings", "Succeeded", "Failed objects", "Objects")
    return {service: {column: row[column] for column in columns} for service, row in rows.items()}


def errors(world: World, until: datetime, days: int = 30) -> dict[tuple[str, str], tuple[int, set[str]]]:
    """Return occurrences and job ids of each error, by service and message."""
    results: dict[tuple[str, str], tuple[int, set[str]]] = {}
    for job in ended(world, until - timedelta(days=days), until):
        for error in job.errors:
            times, ids = results.get((name(job), error.text), (0, set()))
            results[name(job), error.text] = times + error.occurrences, ids | {job.id}
    return results
