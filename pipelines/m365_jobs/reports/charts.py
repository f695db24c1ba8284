"""The drawings, made where the figures are: as SVG they need no script, no font and no network, and they print."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape, unescape

import altair as alt
import vl_convert

from m365_jobs.reports.labels import service
from m365_jobs.reports.metrics import Filter, Row
from m365_jobs.text import sanitize

Drawing = alt.TopLevelMixin
"""A chart of Altair, whatever it is made of."""

WIDTH, HEIGHT = 350, 180
"""No more than a phone shows at its full size: on a screen of 390, in the dashboard's margins, letters keep 11 of their
12 pixels."""

INK, MUTED, GRID = "#1f2937", "#4b5563", "#e5e7eb"
OUTCOMES = {"Failed": "#b3261e", "Warning": "#b26a00", "Other": "#6b7280", "Succeeded": "#2e8b63"}
"""Each at least 3:1 against white and apart from the others for people who see no red or green: dark to light."""
BLUE, PALE = "#1d5fa8", "#b9c9dd"

FONT = "system-ui, -apple-system, &apos;Segoe UI&apos;, Roboto, &apos;DejaVu Sans&apos;, sans-serif"
"""As an attribute of SVG. Put in last: to look for each of these fonts takes longer than all else of a drawing."""

CONFIG: dict[str, Any] = {
    "font": "sans-serif",
    "background": "#ffffff",
    "view": {"stroke": None},
    "title": {"fontSize": 14, "color": INK, "anchor": "start", "subtitleFontSize": 12, "subtitleColor": MUTED},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelColor": INK, "orient": "bottom", "symbolLimit": 0},
}

NAMES: dict[str, Any] = {"labelLimit": 160, "minExtent": 140, "grid": False, "domain": False}
"""An axis of services, whose longest name has room in the widest of the fonts that the page may be shown in."""


def outcomes(rows: Sequence[Row], chosen: Filter) -> Drawing:
    """Jobs that ended, day by day, by what became of them."""
    names = {"failures": "Failed", "warnings": "Warning", "others": "Other", "succeeded": "Succeeded"}
    values = [
        {"day": row["day"].isoformat(), "outcome": name, "jobs": row[key], "place": place}
        for row in rows
        for place, (key, name) in enumerate(names.items())
        if row[key]
    ]
    shown = [name for name in OUTCOMES if any(one["outcome"] == name for one in values)]
    chart: Drawing = (
        _chart(values, "Jobs by outcome")
        .mark_bar(stroke="#ffffff", strokeWidth=0.5)
        .encode(
            x=_days(rows, chosen),
            y=alt.Y("jobs:Q", title="Jobs", axis=_counts()),
            color=alt.Color(
                "outcome:N", title=None, scale=alt.Scale(domain=shown, range=[OUTCOMES[name] for name in shown])
            ),
            order=alt.Order("place:Q"),
            description=alt.Description("label:N"),
        )
        .transform_calculate(label=_label("day", "jobs", "outcome"))
    )
    return chart


def objects(rows: Sequence[Row], chosen: Filter) -> Drawing:
    """Objects that jobs were to process, and below, on an axis of their own, those that failed."""
    parts = []
    for key, title, colour in (
        ("total_objects", "Objects", BLUE),
        ("failed_objects", "Failed objects", OUTCOMES["Failed"]),
    ):
        values = [{"day": row["day"].isoformat(), "objects": row[key], "what": title.lower()} for row in rows]
        parts.append(
            alt.Chart(_data(values), width=WIDTH - 70, height=HEIGHT / 2 - 14)
            .mark_bar(color=colour)
            .encode(
                x=_days(rows, chosen) if key == "failed_objects" else _days(rows, chosen, labels=False),
                y=alt.Y("objects:Q", title=title, axis=_counts(ticks=3)),
                description=alt.Description("label:N"),
            )
            .transform_calculate(label=_label("day", "objects", "what"))
        )
    return alt.vconcat(*parts, spacing=10, title="Objects, and those that failed")


def durations(rows: Sequence[Row]) -> Drawing:
    """How long the last night's backups took, on top of what is usual for each service."""
    values = [
        {
            "service": service(row["object_type"]),
            **{key: row[key] for key in ("median", "low", "usual", "high")},
            "state": "Slower than usual" if slow(row) else "As usual",
        }
        for row in rows
        if row["usual"] is not None or row["median"] is not None
    ]
    base = alt.Chart(_data(values), width=WIDTH - 150, height=alt.Step(22)).encode(
        y=alt.Y("service:N", title=None, sort=None, axis=alt.Axis(**NAMES))
    )
    scale = alt.Scale(type="symlog", constant=0.1, nice=False, padding=8)
    axis = alt.Axis(values=[0, 0.1, 0.5, 1, 2, 5, 10, 24, 48, 96])
    usual = (
        base.mark_bar(color=PALE, height=12)
        .encode(
            x=alt.X("low:Q", scale=scale, axis=axis, title="Hours"),
            x2="high:Q",
            description=alt.Description("range:N"),
        )
        .transform_calculate(
            range="datum.service + ': usually ' + format(datum.low, '.2f') + ' to ' + format(datum.high, '.2f') + ' h'"
        )
    )
    middle = base.mark_tick(color=INK, height=14, thickness=2).encode(x="usual:Q")
    recent = (
        base.mark_point(filled=True, size=90, opacity=1)
        .encode(
            x="median:Q",
            color=alt.Color(
                "state:N",
                title="Last 24 h, median:",
                scale=alt.Scale(domain=["As usual", "Slower than usual"], range=[BLUE, OUTCOMES["Failed"]]),
            ),
            shape=alt.Shape(
                "state:N",
                title="Last 24 h, median:",
                scale=alt.Scale(domain=["As usual", "Slower than usual"], range=["circle", "triangle-right"]),
            ),
            description=alt.Description("took:N"),
        )
        .transform_filter("datum.median != null")
        .transform_calculate(
            took="datum.service + ': ' + format(datum.median, '.2f') + ' hours, ' + lower(datum.state)"
        )
    )
    title = alt.TitleParams("How long backups took", subtitle="Bar: 80 % of the four weeks before; line: their median")
    return alt.layer(usual, middle, recent, title=title)


def slow(row: Row) -> bool:
    """Whether a service's last night took longer than nine in ten of its backups before."""
    return row["median"] is not None and row["high"] is not None and row["median"] > row["high"]


def errors(rows: Sequence[Row], limit: int = 10) -> Drawing:
    """The errors that occurred most, each message above its bar."""
    messages = [f"{service(row['object_type'])}: {row['error_message'] or 'no message'}" for row in rows[:limit]]
    values = [
        {
            "place": place,
            "message": message,
            # Vega can shorten as well, but measures every letter for it, which takes longer than all else.
            "short": textwrap.shorten(message, 46, placeholder="…"),
            "occurrences": row["occurrences"],
        }
        for place, (row, message) in enumerate(zip(rows, messages, strict=False))
    ]
    base = alt.Chart(_data(values), width=WIDTH, height=alt.Step(38)).encode(
        y=alt.Y("place:O", axis=None), x=alt.X("occurrences:Q", axis=None)
    )
    bars = (
        base.mark_bar(color=BLUE, height=12, yOffset=8)
        .encode(description=alt.Description("label:N"))
        .transform_calculate(label="datum.message + ' ' + format(datum.occurrences, ',') + ' times'")
    )
    names = base.mark_text(align="left", baseline="bottom", color=INK, fontSize=12, dy=-1).encode(
        x=alt.value(0), text="short:N"
    )
    numbers = base.mark_text(align="right", baseline="bottom", color=INK, fontSize=12, fontWeight="bold", dy=-1).encode(
        x=alt.value(WIDTH), text=alt.Text("occurrences:Q", format=",")
    )
    return alt.layer(bars, names, numbers, title="Top errors, by occurrences")


def svg(drawing: Drawing) -> str:
    """A drawing as an ``<svg>`` that scales with its column; what a mark stands for is its title, which browsers show
    under the pointer and screen readers read."""
    # Altair checked each part as it was made; to check them together takes as long again.
    return _svg(json.dumps({**_drawable(drawing.to_dict(validate=False)), "config": CONFIG}))


def _drawable(part: Any) -> Any:
    """A part of a specification without the signs that XML has no place for: at one of them, in a message of the API
    say, vl-convert ends the whole process."""
    if isinstance(part, str):
        return part if part.isprintable() else sanitize(part)
    if isinstance(part, dict):
        return {name: _drawable(value) for name, value in part.items()}
    return [_drawable(one) for one in part] if isinstance(part, list | tuple) else part


@lru_cache(maxsize=200)
def _svg(specification: str) -> str:
    text = vl_convert.vegalite_to_svg(specification)
    text = text.replace('font-family="sans-serif"', f'font-family="{FONT}"')
    text = re.sub(r'(<svg [^>]*?) width="[\d.]+" height="[\d.]+"', r"\1", text, count=1)
    return re.sub(
        r'<path aria-label="([^"]+)" role="graphics-symbol"([^>]*?)/>',
        lambda mark: (
            f'<path role="img"{mark[2]}><title>{escape(unescape(mark[1], {"&quot;": chr(34)}))}</title></path>'
        ),
        text,
    )


def _data(values: list[dict[str, Any]]) -> Any:
    """Rows as they are: Altair's own class for them looks into each."""
    return {"values": values}


def _chart(values: list[dict[str, Any]], title: str) -> alt.Chart:
    return alt.Chart(_data(values), width=WIDTH - 50, height=HEIGHT, title=title)


def _days(rows: Sequence[Row], chosen: Filter, *, labels: bool = True) -> alt.X:
    """An axis of UTC days, as long as the period even where its first days are empty."""
    last = max((row["day"] for row in rows), default=None)
    domain = (
        []
        if last is None
        else [(last - timedelta(days=chosen.days - 1)).isoformat(), (last + timedelta(1)).isoformat()]
    )
    title = "Day (UTC), the last as far as it was loaded"
    axis = alt.Axis(title=title, format="%d %b", tickCount=5, grid=False, labels=labels, labelOverlap=True)
    if not labels:
        axis = alt.Axis(title=None, labels=False, ticks=False, grid=False)
    return alt.X(
        "day:T",
        timeUnit="utcyearmonthdate",
        axis=axis,
        scale=alt.Scale(type="utc", domain=domain) if domain else alt.Undefined,
    )


def _counts(ticks: int = 5) -> alt.Axis:
    return alt.Axis(format="~s", tickCount=ticks, domain=False, ticks=False)


def _label(day: str, number: str, what: str) -> str:
    return (
        f"utcFormat(toDate(datum.{day}), '%d %b %Y') + ': ' + format(datum.{number}, ',') + ' ' + lower(datum.{what})"
    )
