"""Run the command ``verify``: compare the history of the warehouse with the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from avepoint_m365 import Progress
from avepoint_m365.source_config import DEFAULT_HISTORY

from m365_jobs.cli import progress as console
from m365_jobs.config.tenants import Tenant, selected
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.terminal import print_line
from m365_jobs.text import format_count


def verify_tenants(since: datetime | None, names: Sequence[str], destination: str | None, dataset: str | None) -> int:
    """Verify tenants one after the other; return the exit code: 0, or 3 if a period is not proved complete."""
    begin = since or datetime.now(UTC).replace(microsecond=0) - DEFAULT_HISTORY + timedelta(days=1)
    return max(_verify(tenant, begin, destination, dataset) for tenant in selected(names, every=False))


def _verify(tenant: Tenant, since: datetime, destination: str | None, dataset: str | None) -> int:
    options = LoadOptions(destination=destination, dataset=dataset, tenant=tenant, verify_since=since)
    first = _pass(options)
    if not first.new and not first.changed:
        return first.exit_code
    # The first pass has loaded the periods that differ. The second one compares them again.
    return _pass(options).exit_code


def _pass(options: LoadOptions) -> Summary:
    progress = Progress()
    with console.watch(lambda seconds: console.progress_of_one(progress, seconds)):
        summary = load(options, progress, print_line)
    agree = sum(period.proof is True for period in summary.periods)
    print_line(
        f"{summary.tenant}: {agree} of {format_count(len(summary.periods), 'period')} agree with the API, "
        f"{format_count(summary.new, 'job was', 'jobs were')} missing and {summary.changed:,} differed; "
        "both are loaded."
    )
    for line in summary.incomplete:
        print_line(f"Differs: {line}")
    return summary
