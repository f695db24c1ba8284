"""What the parts of the dashboard say, of the version of the warehouse and through the filters of a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from m365_jobs.reports import charts, html, metrics
from m365_jobs.reports.dashboard.live import Live, Version
from m365_jobs.reports.metrics import Choices, Filter, Row

TITLE = "Microsoft 365 backup"
PROTECTION, LAST_NIGHT, DURATIONS = "Protection now", "Last night", "Duration against its own history"
OPEN_JOBS, FRESHNESS = "Open jobs", "Freshness of this data"


@dataclass(frozen=True)
class View:
    """One version of the warehouse through filters. All that it gives raises ``Unavailable`` where the warehouse cannot
    be read just now; what was read of this version before is there at once."""

    live: Live
    version: Version
    chosen: Filter

    def choices(self) -> Choices:
        """What filters can offer."""
        found: Choices = self.live.ask(self.version, self.live.chosen.tenants, metrics.choices)
        return found

    def until(self) -> datetime:
        """Everything is counted back from here."""
        found: datetime = self.ask(metrics.as_of)
        return found

    def ask(self, figure: Callable[..., Any], *arguments: Any) -> Any:
        """Figures of the tenants that are chosen."""
        return self.live.ask(self.version, self.chosen.tenants, figure, *arguments)

    def narrowed(self, figure: Callable[..., Any], *arguments: Any) -> list[Row]:
        """The rows, of all that this process may show, that the filters hold: an answer that is small even in whole is
        read once, and choosing in a filter asks the warehouse for nothing."""
        rows = self.live.ask(self.version, self.live.chosen.tenants, figure, *arguments)
        return [row for row in rows if self.chosen.holds(row)]

    @property
    def standing(self) -> Filter:
        """The filters without how far trends reach back, which many parts have nothing to do with."""
        return replace(self.chosen, days=Filter.days)


def standing(view: View) -> str:
    """What has to be known before anything else is read."""
    return html.standing(view.until(), view.narrowed(metrics.loads), datetime.now(UTC), UTC)


def protection(view: View) -> str:
    """The tiles."""
    rows = html.judged(view.narrowed(metrics.protection, Filter()), datetime.now(UTC))
    return html.protection(rows, view.narrowed(metrics.loads), UTC)


def night(view: View) -> str:
    """What ended in the last 24 hours."""
    until, chosen = view.until(), view.standing
    jobs, failed = view.ask(metrics.last_night, chosen, until), view.ask(metrics.failed_last_night, chosen, until)
    return html.night(jobs, failed, until, UTC)


def trends(view: View) -> str:
    """Outcome and objects by day."""
    return html.trends(view.ask(metrics.trend, view.chosen, view.until()), view.chosen)


def durations(view: View) -> str:
    """How long backups took."""
    return html.durations(view.ask(metrics.durations, view.standing, view.until()))


def top_errors(view: View) -> list[Row]:
    """The rows of the table of errors."""
    found: list[Row] = view.ask(metrics.errors, view.chosen, view.until())
    return found


def errors(view: View) -> str:
    """The chart of errors, above the table."""
    rows = top_errors(view)
    if not rows:
        return html.nothing("No job had an error.")
    return html.side_by_side(html.figure(charts.errors(rows))) + html.nothing("Choose an error below to see its jobs.")


def jobs_of_error(view: View, error: Row) -> list[Row]:
    """The jobs behind one of them."""
    found: list[Row] = view.ask(
        metrics.jobs_of_error, view.chosen, view.until(), error["object_type"], error["error_message"]
    )
    return found


def open_jobs(view: View) -> str:
    """What is running."""
    return html.open_jobs(view.ask(metrics.open_jobs, view.standing), UTC)


def freshness(view: View) -> str:
    """How old and how complete the data is."""
    completeness = view.narrowed(metrics.completeness, Filter())
    return html.freshness(view.narrowed(metrics.loads), completeness, datetime.now(UTC), UTC)


ALL = (standing, protection, night, trends, durations, errors, open_jobs, freshness)


def first_look(view: View) -> str:
    """The most important parts as they stand now, to be seen until the page has come to life."""
    return html.section("", standing(view)) + html.section(PROTECTION, protection(view))
