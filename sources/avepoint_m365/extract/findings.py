"""Report findings of a load that succeeded: jobs outside the lists, and filters without effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from avepoint_m365.extract.chunk_classifier import dimensions
from avepoint_m365.extract.chunk_labels import ids_without_labels
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.known import Comparison, Lookup
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.source_finding import SourceFinding

OUTSIDE = {
    "location": ("unlisted_location", "no location among the configured ones"),
    "object_type": ("unknown_object_type", "an object type that is in no list"),
    "job_type": ("unknown_job_type", "a job type that is in no list"),
}
"""Rule and problem of jobs outside the list of a dimension, by its name."""


def new_ids_without_label(result: ChunkResult, comparison: Comparison, options: ExtractOptions) -> dict[str, list[str]]:
    """Return the ids of new jobs that have no label after classification, by dimension."""
    names = [dimension.name for dimension in dimensions(options)]
    return {name: sorted(ids) for name, ids in ids_without_labels(comparison.new, result.labels, names).items()}


def unlisted_job_findings(
    result: ChunkResult,
    comparison: Comparison,
    lookup: Lookup | None,
    options: ExtractOptions,
    ignored: Iterable[str],
    new: Mapping[str, list[str]],
) -> list[SourceFinding]:
    """Return the findings of all jobs without a label: the ``new`` ones by dimension, and those of the warehouse."""
    stored = lookup.unlabelled() if lookup is not None else {}
    findings = []
    for dimension in dimensions(options):
        name = dimension.name
        count, example = stored.get(name, (0, None))
        count -= sum(getattr(job, name) is None and job.id in result.labels[name] for job in comparison.known.values())
        ids = new.get(name, [])
        count += len(ids)
        if count > 0 and name not in options.expected_outside and name not in _ignored_dimensions(ignored):
            rule, problem = OUTSIDE[name]
            findings.append(SourceFinding(rule, problem, count, ids[0] if ids else example))
    return findings


def _ignored_dimensions(ignored: Iterable[str]) -> set[str]:
    return {key.partition("=")[0] for key in ignored}


def ignored_filter_findings(ignored: Iterable[str]) -> list[SourceFinding]:
    """Return the findings of filters that the API ignores."""
    by_dimension: dict[str, list[str]] = {}
    for key in sorted(ignored):
        dimension, _, value = key.partition("=")
        by_dimension.setdefault(dimension, []).append(value)
    return [
        SourceFinding(
            f"{dimension}_ignored",
            f"no {dimension}: the API returns the same jobs whatever {dimension} is asked for ({', '.join(values)})",
            0,
            None,
        )
        for dimension, values in by_dimension.items()
    ]


def shared_job_findings(shared: Mapping[str, Collection[str]]) -> list[SourceFinding]:
    """Return the findings of jobs that several values of a dimension returned, ``shared`` by dimension."""
    return [
        SourceFinding(
            f"several_{dimension}s",
            f"several {dimension}s; the narrowest or the first is stored",
            len(ids),
            min(ids),
        )
        for dimension, ids in shared.items()
    ]
