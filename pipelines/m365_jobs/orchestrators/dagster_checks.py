"""Run the asset checks of Dagster after a load: completeness, data and health."""

import warnings

import dagster as dg

from m365_jobs.health.evaluate import evaluate
from m365_jobs.health.finding import Finding, partition_label
from m365_jobs.load.summary import Summary
from m365_jobs.orchestrators.dagster_warehouse import DagsterWarehouse

CHECKS = {
    "complete": "Every partition that was read is proved complete.",
    "data": "The loaded jobs break no data rule: keys, counts, times.",
    "health": "Every service of the tenant is protected, as m365-jobs health evaluates it.",
}
"""Descriptions of the checks by their names."""


def check_specs(jobs: dg.AssetKey, by_tenant: dg.StaticPartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """Return the specs of all checks, partitioned by tenant."""
    with warnings.catch_warnings():
        # Without partitions, the result of one tenant would replace those of all others.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=jobs, description=about, partitions_def=by_tenant)
            for name, about in CHECKS.items()
        ]


def check_results(place: DagsterWarehouse, summary: Summary) -> list[dg.AssetCheckResult]:
    """Return the results of all checks after a load."""
    health = place.read(summary.tenant, lambda pipeline: evaluate(pipeline, [summary.tenant]))
    messages_by_check = {
        "complete": summary.incomplete,
        "data": summary.findings,
        "health": [_health_message(problem) for problem in health.problems],
    }
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not messages,
            # The next load reads incomplete partitions again.
            severity=dg.AssetCheckSeverity.WARN if name == "complete" else dg.AssetCheckSeverity.ERROR,
            description="; ".join(messages)[:1000] or None,
            metadata={"found": messages},
        )
        for name, messages in messages_by_check.items()
    ]


def _health_message(problem: Finding) -> str:
    """Return a problem as one line: kind, partition and explanation."""
    partition = partition_label(problem.tenant, problem.location, problem.service_name)
    return ": ".join(filter(None, (problem.kind, partition, problem.explained)))
