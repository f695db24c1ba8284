"""Write metrics of an evaluation as a text file for Prometheus' node_exporter and similar collectors."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Enum, Gauge, write_to_textfile

from m365_jobs.errors.explain import UsageError
from m365_jobs.health.evaluate import Evaluation
from m365_jobs.health.protection import ProtectionStatus

PARTITION = ("tenant", "location", "object_type")


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Replace the file as a whole: a collector never reads half of it.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        write_to_textfile(str(path), _metrics(evaluation))
    except OSError as error:
        raise UsageError(f"--prometheus {path} cannot be written: {error.strerror or error}.") from error


def _metrics(evaluation: Evaluation) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"m365_jobs_{name}", text, labels, registry=registry)

    gauge("healthy", "1 if nothing is wrong with protection, else 0.").set(not evaluation.problems)
    gauge("judged_timestamp_seconds", "When health was evaluated.").set(evaluation.evaluated_at.timestamp())
    reasons = gauge("health_reasons", "Problems and warnings of a kind.", ("tenant", "kind", "severity"))
    for one in evaluation.reasons:
        reasons.labels(one.tenant or "", one.kind, one.severity).inc()
    words = [str(one) for one in ProtectionStatus]
    status = Enum("m365_jobs_protection", "Status of a partition.", PARTITION, registry=registry, states=words)
    success = gauge("last_success_timestamp_seconds", "Finish of the last successful backup.", PARTITION)
    data = gauge("data_timestamp_seconds", "End of the data that was proved complete.", PARTITION)
    failures = gauge("consecutive_failures", "Finished backups after the last success.", PARTITION)
    running = gauge("open_backups", "Backups in progress.", PARTITION)
    for row in evaluation.protection:
        partition = [row[key] or "" for key in PARTITION]
        status.labels(*partition).state(row["status"])
        failures.labels(*partition).set(row["consecutive_failures"])
        running.labels(*partition).set(row["open_jobs"])
        # An unknown time has no sample: an alert would take it for 1970.
        for metric, moment in ((success, row["last_success_at"]), (data, row["data_as_of"])):
            if moment:
                metric.labels(*partition).set(moment.timestamp())
    return registry
