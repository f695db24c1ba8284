"""Is everything protected? What the warehouse answers, and how sure it can be: reasons in order of gravity."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import dlt
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration import with_config
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config import tenants
from m365_jobs.errors.explain import FINE, UNHEALTHY, UsageError
from m365_jobs.health import checks, preflight
from m365_jobs.load.run_log import Backlog
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.tenant_scope import Scope, open_scope


class Kind(StrEnum):
    """What a reason is about, the gravest first. Those up to ``nothing`` make the warehouse unhealthy."""

    failing = "failing"
    never = "never"
    late = "late"
    stale = "stale"
    unknown = "unknown"
    nothing = "nothing_to_judge"
    failed_load = "failed_load"
    incomplete = "incomplete"
    credentials = "credentials"
    running_long = "running_long"
    slow_job = "slow_job"
    failed_objects = "failed_objects"
    failed_restores = "failed_restores"
    empty_backups = "empty_backups"
    unknown_state = "unknown_state"

    @property
    def gravity(self) -> int:
        """0 for the gravest."""
        return list(Kind).index(self)

    @property
    def severity(self) -> str:
        """problem or warning."""
        return "problem" if self.gravity <= Kind.nothing.gravity else "warning"


@dataclass(frozen=True)
class Reason:
    """Something that a person should know. ``about`` tells it apart from others of its kind in its partition."""

    kind: Kind
    tenant: str | None
    text: str
    location: str | None = None
    object_type: str | None = None
    about: str = ""

    @property
    def place(self) -> str:
        """The partition in short."""
        return place(self.tenant, self.location, self.object_type)


@dataclass(frozen=True)
class Health:
    """A judgement. ``protection`` are the rows of the view with the status that health gives them, the worst first,
    and ``data_age_hours``, how far behind ``judged_at`` (UTC) their data is."""

    warehouse: str
    judged_at: datetime
    max_data_age_hours: float
    reasons: list[Reason]
    protection: list[dict[str, Any]]

    @property
    def problems(self) -> list[Reason]:
        """The reasons that make it unhealthy."""
        return [one for one in self.reasons if one.kind.severity == "problem"]

    @property
    def exit_code(self) -> int:
        """0, or 4 where there are problems."""
        return UNHEALTHY if self.problems else FINE


@with_config(sections=("sources", "avepoint_m365", "protection"))
def max_data_age(max_data_age_hours: float = 6.0) -> float:
    """Hours after which data is too old to say anything, from ``sources.avepoint_m365`` or its part ``protection``.

    Raises:
        ConfigurationError: where it is no number above 0.
    """
    if not max_data_age_hours > 0:
        raise ConfigurationError(f"{SECTION}.max_data_age_hours = {max_data_age_hours} must be above 0.")
    return max_data_age_hours


def judge(pipeline: dlt.Pipeline, names: Sequence[str] = (), max_age_hours: float | None = None) -> Health:
    """Judges the tenants named, or all that the configuration or the warehouse knows.

    Raises:
        UsageError: for a tenant that nobody knows.
        ConfigurationError: for settings that cannot be.
    """
    if max_age_hours is not None and not max_age_hours > 0:
        raise UsageError(f"--max-age-hours {max_age_hours:g} must be above 0.")
    limit = max_data_age() if max_age_hours is None else max_age_hours
    with open_scope(pipeline, names) as scope:
        return judge_scope(scope, pipeline, names, limit)


def judge_scope(scope: Scope, pipeline: dlt.Pipeline, names: Sequence[str], limit: float) -> Health:
    """Return the judgement of an open scope, such as that of the dashboard; ``limit`` is the allowed age of data."""
    now = datetime.now(UTC)
    held = scope.held()
    wanted = sorted({*held, *(names or tenants.configured())})
    rows = _protection(scope, now, limit)
    nameless = checks.nameless(scope)
    reasons = [*_unprotected(rows, limit, nameless), *_unjudged(wanted, held, rows, nameless)]
    reasons += [Reason(Kind(kind), **about) for kind, about in checks.found(scope)]
    unrecorded = list(_unrecorded(pipeline, names or [*wanted, warehouse.configured_tenant()], scope))
    newer = {one.tenant for one in unrecorded}
    reasons = [one for one in reasons if one.kind is not Kind.failed_load or one.tenant not in newer] + unrecorded
    reasons += _credentials(wanted)
    reasons.sort(key=lambda one: (one.kind.gravity, one.tenant or "", one.location or "", one.object_type or ""))
    return Health(warehouse.location(pipeline), now, limit, reasons, rows)


def _unrecorded(pipeline: dlt.Pipeline, names: Iterable[str], scope: Scope) -> Iterator[Reason]:
    """The last loads that failed without the warehouse knowing of it, most often because it was what failed them: they
    wait on the machine that loads until it takes them."""
    known = checks.last_loads(scope)
    for tenant in sorted(set(names)):
        backlog = Backlog(pipeline.pipelines_dir, warehouse.pipeline_name(tenant), warehouse.fingerprint(pipeline))
        last = max(backlog.rows(), key=lambda run: run.started_at, default=None)
        if last and (tenant not in known or known[tenant] < last.started_at):
            text = checks.failed_load(asdict(last))["text"]
            yield Reason(Kind.failed_load, tenant, f"{text} The warehouse has no record of it yet.")


NAMELESS = "the API shows the same jobs whatever objectType is asked for"
"""Why jobs have no service."""

ORDER = ("failing", "never", "late", "unknown", "running_long", "protected", "ignored")
"""Statuses of a partition, the worst first."""


def _protection(scope: Scope, now: datetime, limit: float) -> list[dict[str, Any]]:
    try:
        rows = scope.rows("SELECT * FROM protection_status AS p")
    except DestinationUndefinedEntity:
        return []
    for row in rows:
        as_of = row["data_as_of"]
        row["data_age_hours"] = (now - as_of).total_seconds() / 3600 if as_of else None
        if row["status"] != "ignored" and as_of and row["data_age_hours"] > limit:
            row["status"] = "unknown"
    return sorted(
        rows,
        key=lambda one: (ORDER.index(one["status"]), one["tenant"], one["location"] or "", one["object_type"]),
    )


def _unprotected(rows: Iterable[dict[str, Any]], limit: float, nameless: Collection[str]) -> Iterator[Reason]:
    stale: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] in ("protected", "ignored"):
            continue
        if row["status"] == "unknown" and row["data_age_hours"] is not None and row["data_age_hours"] > limit:
            stale.setdefault(row["tenant"], []).append(row)
            continue
        partition = {key: row[key] for key in ("tenant", "location", "object_type")}
        yield Reason(Kind(row["status"]), text=_status_text(row, nameless), **partition)
    for tenant, late in stale.items():
        oldest = min(late, key=lambda row: row["data_as_of"])
        names = ", ".join("/".join(filter(None, (row["location"], row["object_type"]))) for row in late)
        text = (
            f"the warehouse is late: its data ends at {moment(oldest['data_as_of'])}, "
            f"{hours(oldest['data_age_hours'])} ago (allowed {hours(limit)}), so nothing is known of {names}"
        )
        yield Reason(Kind.stale, tenant, text)


def _status_text(row: dict[str, Any], nameless: Collection[str]) -> str:
    last = row["last_success_at"]
    success = f"the last success was {moment(last)}" if last else "none has succeeded yet"
    match row["status"]:
        case "failing":
            return f"{row['consecutive_failures']} backups in a row did not succeed; {success}"
        case "never":
            failures = row["consecutive_failures"]
            return "no backup has succeeded yet" + (f"; {failures} ended without success" if failures else "")
        case "late":
            return f"{success}, {hours(row['hours_since_success'])} before the data ends"
        case "running_long":
            return f"{success}, {hours(row['hours_since_success'])} before the data ends; a backup is running"
    if row["data_as_of"] is None:
        return "no load has been proved complete yet"
    if row["tenant"] in nameless:
        return f"whether any job is of this service is not known: {NAMELESS}"
    return "the type of its jobs is not known, so it cannot be said whether they are backups (set split_job_types)"


def _unjudged(
    wanted: Sequence[str], held: Sequence[str], rows: Sequence[dict[str, Any]], nameless: Collection[str]
) -> Iterator[Reason]:
    """Where there is nothing to judge, all is not well."""
    judged = {row["tenant"] for row in rows if row["status"] != "ignored"}
    for tenant in wanted:
        if tenant not in held:
            yield Reason(Kind.nothing, tenant, "no load has been made yet. Run: m365-jobs load")
        elif tenant not in judged and tenant in nameless:
            yield Reason(Kind.nothing, tenant, f"no service can be judged: {NAMELESS}")
        elif tenant not in judged:
            text = "no service is expected or had a backup in the last 30 days, but for those that are ignored"
            yield Reason(Kind.nothing, tenant, text)
    if not wanted:
        yield Reason(Kind.nothing, None, "the warehouse is empty. Run: m365-jobs load")


def _credentials(wanted: Iterable[str]) -> Iterator[Reason]:
    for tenant, ending in preflight.expiries(wanted):
        yield Reason(Kind.credentials, tenant, ending.replace("they", "the credentials", 1))


def place(tenant: str | None, location: str | None, object_type: str | None) -> str:
    """A partition in short, without what is at its default."""
    return "/".join(part for part in (tenant, location, object_type) if part and part not in warehouse.UNSAID)


def moment(value: datetime) -> str:
    """A time for people, with its zone."""
    return f"{value:%Y-%m-%d %H:%M} UTC"


def hours(value: float) -> str:
    """A length of time for people."""
    return f"{value:.1f} h" if value < 10 else f"{value:,.0f} h" if value < 100 else f"{value / 24:,.0f} days"
