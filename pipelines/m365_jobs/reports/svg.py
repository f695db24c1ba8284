"""Draw charts and signs as SVG on the server: they need no script, font or network, and can be printed.

The SQL of a chart is in its section (``sections``), or in ``metrics`` if several sections share it.

Horizontal positions are percentages and the font size is fixed, so a chart fits a phone and a wide screen. Colours are
attributes, which WeasyPrint needs; the style sheet overrides them in browsers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup, escape

from m365_jobs.reports.labels import span
from m365_jobs.text import format_count

Row = dict[str, Any]

TONES = {"bad": "#b3261e", "poor": "#b26a00", "busy": "#1d5fa8", "good": "#2e8b63", "grey": "#6b7280"}
"""Tone to its colour: contrast of at least 3:1 to white, and ordered by lightness for colour-blind readers."""

INK, MUTED, GRID, RANGE = "#1f2937", "#4b5563", "#e5e7eb", "#b9c9dd"

SERIES = {
    "failed_jobs": ("Failed", "bad"),
    "warning_jobs": ("Warning", "poor"),
    "other_jobs": ("Other", "grey"),
    "succeeded_jobs": ("Succeeded", "good"),
}
"""Column to its title and tone, from the bottom of a bar to its top."""

SIGNS = {
    "cross": '<path d="M4 4 12 12M12 4 4 12"/>',
    "mark": '<path d="M8 2.5V9.5M8 12.6V13.6"/>',
    "question": '<path d="M5 5.5C5 1.5 11 1.5 11 5.5 11 8 8 7.8 8 10.2M8 12.6V13.6"/>',
    "dots": '<path d="M3 8H4M7.5 8H8.5M12 8H13"/>',
    "check": '<path d="M3 8.5 6.5 12 13 4.5"/>',
    "dash": '<path d="M4 8H12"/>',
    "empty": "",
}
"""Sign to its SVG path. A machine without fonts would show squares for written signs."""

PLOT, AXIS = 150, 22
"""Height of the bars and of the labels below them, in pixels."""

HOURS = (1 / 60, 5 / 60, 15 / 60, 1, 4, 12, 24, 48, 96, 240)
"""Ticks of a scale of durations, in hours."""


def sign(name: str, tone: str) -> Markup:
    """Return a sign in the colour of a tone. It is hidden from screen readers, since a word is next to it."""
    return Markup(
        f'<svg class="sign {tone}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" '
        f'stroke="{TONES[tone]}" stroke-width="2.4" stroke-linecap="round">{SIGNS[name]}</svg>'
    )


def outcome_bars(rows: Sequence[Row], days: Sequence[date]) -> Markup:
    """Return a bar chart of the jobs of each day, stacked by outcome."""
    by_day = {row["day"]: row for row in rows}
    top = _ceiling(max((row["jobs"] for row in rows), default=0))
    bars = []
    for place, day in enumerate(days):
        row, below = by_day.get(day), 0.0
        for column, (name, tone) in SERIES.items():
            number = row[column] if row else 0
            if number:
                height = number / top * PLOT
                text = f"{day:%d %b %Y}: {number:,} {name.lower()}"
                bars.append(_bar(place, len(days), PLOT - below - height, height, tone, text))
                below += height
    return _plot("Jobs that ended, by day and outcome", bars, top, days)


def daily_bars(rows: Sequence[Row], days: Sequence[date], column: str, name: str, tone: str) -> Markup:
    """Return a bar chart of one column, by day."""
    by_day = {row["day"]: row[column] for row in rows}
    top = _ceiling(max(by_day.values(), default=0))
    bars = [
        _bar(
            place, len(days), PLOT - by_day[day] / top * PLOT, by_day[day] / top * PLOT, tone,
            f"{day:%d %b %Y}: {by_day[day]:,} {name.lower()}",
        )
        for place, day in enumerate(days)
        if by_day.get(day)
    ]  # fmt: skip
    return _plot(f"{name} by day", bars, top, days)


def legend(rows: Sequence[Row]) -> Markup:
    """Return the legend of the outcomes that occur."""
    present = [names for column, names in SERIES.items() if any(row[column] for row in rows)]
    swatch = (
        '<svg class="swatch" width="12" height="12" aria-hidden="true">'
        '<rect class="{0}" width="12" height="12" fill="{1}"/></svg>'
    )
    items = "".join(f"<li>{swatch.format(tone, TONES[tone])} {name}</li>" for name, tone in present)
    return Markup(f'<ul class="legend">{items}</ul>')


def _bar(place: int, places: int, top: float, height: float, tone: str, text: str) -> str:
    width = 100 / places
    return (
        f'<rect class="{tone}" fill="{TONES[tone]}" x="{place * width + width * 0.1:.2f}%" y="{top:.1f}" '
        f'width="{width * 0.8:.2f}%" height="{max(height, 1):.1f}"><title>{escape(text)}</title></rect>'
    )


def _ceiling(largest: float) -> float:
    """Return the end of an axis: 1, 2, 4 or 5 times a power of ten, at least ``largest``."""
    if largest <= 4:
        return 4
    power = 10 ** math.floor(math.log10(largest))
    return float(next(step * power for step in (1, 2, 4, 5, 10) if step * power >= largest))


def short_number(number: float) -> str:
    """Return a number in short: 1.2k for 1,200."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:g}{letter}"
    return f"{number:g}"


def _plot(title: str, bars: Sequence[str], top: float, days: Sequence[date]) -> Markup:
    parts = 4 if top % 4 == 0 else 5
    shares = [part / parts for part in range(parts + 1)]
    lines = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{PLOT - share * PLOT + 8:.1f}" y2="{PLOT - share * PLOT + 8:.1f}" '
        f'stroke="{GRID}"/>'
        for share in shares
    )
    numbers = "".join(
        f'<text class="muted" x="40" y="{PLOT - share * PLOT + 12:.1f}" text-anchor="end" font-size="12" '
        f'fill="{MUTED}">{short_number(top * share)}</text>'
        for share in shares
    )
    height = PLOT + AXIS + 8
    return Markup(
        f'<div class="plot" role="img" aria-label="{escape(title)}">'
        f'<svg class="scale" width="44" height="{height}">{numbers}</svg>'
        f'<svg class="bars" width="100%" height="{height}">{lines}'
        f'<svg x="0" y="8" width="100%" height="{PLOT}">{"".join(bars)}</svg>{_day_labels(days)}</svg></div>'
    )


def _day_labels(days: Sequence[date]) -> str:
    """Return labels of at most five days; the last day always has one."""
    step = max(1, math.ceil((len(days) - 1) / 4))
    labels = []
    for back in range(0, len(days), step):
        place = len(days) - 1 - back
        middle = (place + 0.5) * 100 / len(days)
        anchor = "end" if middle > 92 else "start" if middle < 8 else "middle"
        x = 100 if anchor == "end" else 0 if anchor == "start" else middle
        text = f"{days[place]:%d %b}" if len(days) <= 92 else f"{days[place]:%b %Y}"
        labels.append(
            f'<text class="muted" x="{x:.2f}%" y="{PLOT + AXIS + 2}" text-anchor="{anchor}" font-size="12" '
            f'fill="{MUTED}">{text}</text>'
        )
    return "".join(labels)


def last_days(last: date, number: int) -> list[date]:
    """Return the last ``number`` days up to ``last``, in order."""
    return [last - timedelta(days=back) for back in range(number - 1, -1, -1)]


class DurationScale:
    """Draw durations on a logarithmic scale that fits some rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        hours = [row[name] for row in rows for name in ("low", "usual", "high", "median") if row[name]]
        low, high = max(min(hours, default=0.1), 1 / 120), max(max(hours, default=1.0), 1 / 30)
        self._low, self._high = math.log(low * 0.8), math.log(high * 1.25)
        self.ticks = [tick for tick in HOURS if self._low <= math.log(tick) <= self._high]

    def position(self, hours: float) -> float:
        """Return the position of a duration in hours, in percent of the width."""
        share = (math.log(max(hours, 1 / 3600)) - self._low) / (self._high - self._low)
        return min(max(share * 100, 0), 100)

    def axis(self) -> Markup:
        """Return the labels of the ticks."""
        labels = []
        for tick in self.ticks:
            x = self.position(tick)
            anchor = "end" if x > 88 else "start" if x < 12 else "middle"
            labels.append(
                f'<text class="muted" x="{x:.1f}%" y="12" text-anchor="{anchor}" font-size="12" '
                f'fill="{MUTED}">{_tick(tick)}</text>'
            )
        return Markup(f'<svg class="duration" width="100%" height="16" aria-hidden="true">{"".join(labels)}</svg>')

    def bar(self, row: Row, text: str) -> Markup:
        """Return the usual range as a bar, its median as a line, and last night's median as a dot."""
        parts = [
            f'<line class="grid" x1="{self.position(tick):.1f}%" x2="{self.position(tick):.1f}%" y1="0" y2="22" '
            f'stroke="{GRID}"/>'
            for tick in self.ticks
        ]
        if row["usual"] is not None:
            low, high = self.position(row["low"]), self.position(row["high"])
            middle = self.position(row["usual"])
            parts.append(
                f'<rect class="range" fill="{RANGE}" x="{low:.1f}%" y="6" height="10" '
                f'width="{max(high - low, 0.5):.1f}%"/><line class="ink" x1="{middle:.1f}%" x2="{middle:.1f}%" y1="4" '
                f'y2="18" stroke="{INK}" stroke-width="2"/>'
            )
        if row["median"] is not None:
            tone = "bad" if slow(row) else "busy"
            parts.append(
                f'<circle class="{tone}" fill="{TONES[tone]}" cx="{self.position(row["median"]):.1f}%" cy="11" r="5"/>'
            )
        label = escape(text)
        return Markup(
            f'<svg class="duration" width="100%" height="22" role="img" aria-label="{label}"><title>{label}</title>'
            f"{''.join(parts)}</svg>"
        )


def slow(row: Row) -> bool:
    """Return True if last night took longer than nine in ten of the service's backups before."""
    return row["median"] is not None and row["high"] is not None and row["median"] > row["high"]


def _tick(hours: float) -> str:
    return span(hours).replace(".0", "") if hours <= 96 else format_count(round(hours / 24), "day")


def share_bar(number: int, largest: int, tone: str = "busy") -> Markup:
    """Return a bar for a number in a table; its length is the share of the largest number."""
    width = number / largest * 100 if largest else 0
    return Markup(
        f'<svg class="share" width="100%" height="10" aria-hidden="true"><rect class="{tone}" fill="{TONES[tone]}" '
        f'width="{max(width, 0.5):.1f}%" height="10" rx="2"/></svg>'
    )
