"""The report as one picture, PNG or PDF, drawn without a browser."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal

import altair as alt
import vl_convert

from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.reports import charts
from m365_jobs.reports.html import STATUSES, stale
from m365_jobs.reports.labels import NOBODY, count, moment, no_success, service, span
from m365_jobs.reports.metrics import Figures, Row

COLUMNS, TILES = 5, 60
"""Tiles side by side, and at most; of more the gravest are drawn."""

FILLS = {str(status): status.colour.accent for status in ProtectionStatus}
INKS = {status.colour.accent: status.colour.text for status in ProtectionStatus}
"""Colour of a text on a tile: darker, for contrast."""

TITLE = "Microsoft 365 backup"
WIDTH, PADDING = 920, 20.0
COLUMN = WIDTH / 2 - PADDING
"""Width of each of two drawings side by side."""


def png(found: Figures | None, now: datetime, zone: tzinfo) -> bytes:
    """The report as a PNG, twice as fine as a screen."""
    return vl_convert.svg_to_png(_svg(found, now, zone), scale=2)


def pdf(found: Figures | None, now: datetime, zone: tzinfo) -> bytes:
    """The report as a PDF of one page."""
    return vl_convert.svg_to_pdf(_svg(found, now, zone))


def _svg(found: Figures | None, now: datetime, zone: tzinfo) -> str:
    """Rows of drawings, one below the other."""
    lines = [f"Made {moment(now, zone)}; days are UTC days."]
    if found is None:
        rows: list[list[charts.Drawing]] = [[_text(["Nothing is loaded yet. Run: m365-jobs load"])]]
    else:
        rows, lines = _rows(found, zone), [_about(found, now, zone), *lines]
    heading = alt.TitleParams(TITLE, subtitle=lines, fontSize=22, subtitleFontSize=13)
    placed, top, widest = [], PADDING, 0.0
    for row in [[_text([""], title=heading)], *rows]:
        left, height = PADDING, 0.0
        for one in map(charts.svg, row):
            wide, high = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', one)[0])
            if wide < COLUMN:
                # Of a drawing for pages, which is no wider than a phone.
                wide, high = COLUMN, high * COLUMN / wide
            placed.append(one.replace("<svg ", f'<svg x="{left}" y="{top}" width="{wide}" height="{high}" ', 1))
            left, height, widest = left + wide + PADDING, max(height, high), max(widest, left + wide)
        top += height + PADDING
    size = f'width="{widest + PADDING}" height="{top}"'
    paper = f'<rect {size} fill="#ffffff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{paper}{"".join(placed)}</svg>'


def _about(found: Figures, now: datetime, zone: tzinfo) -> str:
    whose = f"{', '.join(found.chosen.tenants)}. " if found.chosen.tenants else ""
    text = f"{whose}Data as of {moment(found.as_of, zone)}"
    hours = (now - found.as_of).total_seconds() / 3600
    return text if not stale(found.as_of, now) else f"{text}, {span(hours)} ago: this is how things stood then"


def _rows(found: Figures, zone: tzinfo) -> list[list[charts.Drawing]]:
    return [
        [_tiles(found.protection, zone) if found.protection else _text([f"{NOBODY}."])],
        [_text(list(_words(found, zone)))],
        [charts.outcomes(found.trend, found.chosen), charts.objects(found.trend, found.chosen)] if found.trend else [],
        [
            *([charts.durations(found.durations)] if found.durations else []),
            *([charts.errors(found.errors)] if found.errors else []),
        ],
    ]


def _tiles(rows: Sequence[Row], zone: tzinfo) -> charts.Drawing:
    grave = list(STATUSES)
    drawn = sorted(rows, key=lambda row: (grave.index(row["status"]), row["tenant"], row["location"] or ""))[:TILES]
    many = [name for name in ("tenant", "location") if len({row[name] for row in rows}) > 1]
    values = [
        {
            "column": place % COLUMNS,
            "row": place // COLUMNS,
            "word": " ".join(STATUSES[row["status"]]),
            "service": service(row["object_type"]),
            "where": " · ".join(row[name] for name in many if row[name]),
            "why": moment(row["last_success_at"], zone, no_success(row["status"])),
            "fill": FILLS[row["status"]],
            "ink": INKS[FILLS[row["status"]]],
        }
        for place, row in enumerate(drawn)
    ]
    found = Counter(row["status"] for row in rows)
    words = ", ".join(f"{found[status]:,} {word.lower()}" for status, (_, word) in STATUSES.items() if found[status])
    left_off = f"; {len(rows) - len(drawn):,} not drawn" if len(drawn) < len(rows) else ""
    base = alt.Chart(alt.InlineData(values=values), width=WIDTH, height=alt.Step(72)).encode(
        x=alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(COLUMNS)), paddingInner=0.05)),
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0.1)),
    )
    left = -WIDTH / COLUMNS / 2 + 14
    texts: list[tuple[str, int, Literal["bold", "normal"]]] = [
        ("word", -21, "bold"),
        ("service", -6, "bold"),
        ("why", 9, "normal"),
        ("where", 23, "normal"),
    ]
    box = base.mark_rect(fillOpacity=0.1, strokeWidth=2).encode(
        fill=alt.Fill("fill:N", scale=None), stroke=alt.Stroke("fill:N", scale=None)
    )
    lines = [
        base.mark_text(align="left", dx=left, dy=dy, fontSize=12, fontWeight=weight, limit=150).encode(
            text=f"{name}:N", color=alt.Color("ink:N", scale=None) if name == "word" else alt.value(charts.INK)
        )
        for name, dy, weight in texts
    ]
    title = alt.TitleParams("Protection now", subtitle=f"{words}{left_off}. The time is that of the last success.")
    return alt.layer(box, *lines, title=title)


def _words(found: Figures, zone: tzinfo) -> Iterator[str]:
    total = Counter[str]()
    for row in found.night:
        total.update({name: row[name] for name in ("jobs", "succeeded", "warnings", "failures", "failed_objects")})
    yield (
        f"In the 24 hours before, {count(total['jobs'], 'job', 'jobs')} ended: {total['succeeded']:,} succeeded, "
        f"{total['warnings']:,} with warnings, {total['failures']:,} failed; "
        f"{count(total['failed_objects'], 'object', 'objects')} failed."
    )
    for row in found.failed[:5]:
        yield f"Failed: {service(row['object_type'])}, {row['id']}, {moment(row['finish_time'], zone)}"
    for row in found.open_jobs[:1]:
        yield (
            f"{count(row['in_all'], 'job is', 'jobs are')} running, the longest for {span(row['hours_open'])}: "
            f"{service(row['object_type'])}, {row['id']}."
        )
    for row in found.loads:
        if row["status"] != "complete":
            what = "failed" if row["status"] == "failed" else "was not proved complete"
            yield f"{row['tenant']}: the last load, {moment(row['ended_at'], zone)}, {what}. {row['detail'] or ''}"
    short = sum(not row["complete"] for row in found.completeness)
    yield (
        f"{short:,} of {len(found.completeness):,} parts of the data are not proved complete up to the last load."
        if short
        else "All of the data is proved complete up to the last load."
    )


def _text(lines: list[str], title: Any = alt.Undefined) -> charts.Drawing:
    folded = [part for line in lines for part in textwrap.wrap(line, 125)]
    values = [{"line": place, "text": text} for place, text in enumerate(folded)]
    chart: charts.Drawing = (
        alt.Chart(alt.InlineData(values=values), width=WIDTH, height=alt.Step(19), title=title)
        .mark_text(align="left", fontSize=13, color=charts.INK)
        .encode(x=alt.value(0), y=alt.Y("line:O", axis=None), text="text:N")
    )
    return chart
