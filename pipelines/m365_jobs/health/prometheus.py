"""Write metrics of an evaluation as a text file for Prometheus' node_exporter and similar collectors."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Enum, Gauge, write_to_textfile

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.protection import ProtectionStatus

PARTITION = ("tenant", "location", "object_type")

STATUS = "m365_jobs_protection"


class Metric(NamedTuple):
    """Describe a metric: its name, its value, and its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric("m365_jobs_healthy", "1 if nothing is wrong with protection, else 0."),
    Metric(
        "m365_jobs_judged_timestamp_seconds",
        "When health was evaluated. Alert if it grows old: a run that fails writes nothing.",
    ),
    Metric("m365_jobs_health_reasons", "Problems and warnings of a kind.", ("tenant", "kind", "severity")),
    Metric(STATUS, "1 for the status that a partition has, 0 for the others.", (*PARTITION, STATUS)),
    Metric(
        "m365_jobs_last_success_timestamp_seconds",
        "Finish of the last successful backup; no sample if unknown.",
        PARTITION,
    ),
    Metric(
        "m365_jobs_data_timestamp_seconds",
        "End of the data that was proved complete; no sample if unknown.",
        PARTITION,
    ),
    Metric("m365_jobs_consecutive_failures", "Finished backups after the last success.", PARTITION),
    Metric("m365_jobs_open_backups", "Backups in progress.", PARTITION),
)
"""All metrics, in the order of the reference page."""

TIMES = {
    "m365_jobs_last_success_timestamp_seconds": "last_success_at",
    "m365_jobs_data_timestamp_seconds": "data_as_of",
}
NUMBERS = {"m365_jobs_consecutive_failures": "consecutive_failures", "m365_jobs_open_backups": "open_jobs"}
"""Metric to its column in ``protection_status``."""


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Replace the file atomically, so that a collector never reads half of it.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        write_to_textfile(str(path), _metrics(evaluation))
    except OSError as error:
        raise UsageError(f"--prometheus {path} cannot be written: {error.strerror or error}.") from error


def _metrics(evaluation: Evaluation) -> CollectorRegistry:
    registry = CollectorRegistry()
    gauges = {
        metric.name: Gauge(metric.name, metric.text, metric.labels, registry=registry)
        for metric in METRICS
        if metric.name != STATUS
    }
    gauges["m365_jobs_healthy"].set(not evaluation.problems)
    gauges["m365_jobs_judged_timestamp_seconds"].set(evaluation.evaluated_at.timestamp())
    for finding in evaluation.findings:
        gauges["m365_jobs_health_reasons"].labels(finding.tenant or "", finding.kind, finding.severity).inc()
    words = [str(status) for status in ProtectionStatus]
    status = Enum(STATUS, "Status of a partition.", PARTITION, registry=registry, states=words)
    for row in evaluation.protection:
        partition = [row[key] or "" for key in PARTITION]
        status.labels(*partition).state(row["status"])
        for name, column in NUMBERS.items():
            gauges[name].labels(*partition).set(row[column])
        # An unknown time has no sample, since 0 would mean 1970.
        for name, column in TIMES.items():
            if row[column]:
                gauges[name].labels(*partition).set(row[column].timestamp())
    return registry
