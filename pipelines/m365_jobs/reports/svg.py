"""Draw charts and signs as SVG on the server: they need no script, font or network, and can be printed.

The SQL of a chart is in its section (``sections``), or in ``metrics`` if several sections share it.

Horizontal positions are percentages and the font size is fixed, so a chart fits a phone and a wide screen. Colours are
attributes, which WeasyPrint needs; the style sheet overrides them in browsers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup, escape

from m365_jobs.reports.labels import duration_label
from m365_jobs.reports.metrics import Row
from m365_jobs.text import format_count

TONES = {"bad": "#b3261e", "poor": "#b26a00", "busy": "#1d5fa8", "good": "#2e8b63", "grey": "#6b7280"}
"""Tone to its colour: contrast of at least 3:1 to white, and ordered by lightness for colour-blind readers."""

INK, MUTED, GRID, RANGE = "#1f2937", "#4b5563", "#e5e7eb", "#b9c9dd"
"""Colours of lines, labels, grid lines, and the usual range of durations."""

FONT_PIXELS = 12
"""Size of labels."""

OUTCOME_SERIES = {
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
"""Sign to its SVG path. As text, signs would be squares on a machine without their font."""

PLOT_HEIGHT, AXIS_HEIGHT, TOP_MARGIN = 150, 22, 8
"""Height of the bars, of the labels below them, and of the space above them, in pixels."""

TICK_HOURS = (1 / 60, 5 / 60, 15 / 60, 1, 4, 12, 24, 48, 96, 240)
"""Ticks of a scale of durations, in hours."""


def sign(name: str, tone: str) -> Markup:
    """Return a sign in the colour of a tone. Screen readers skip it, since its word is next to it."""
    return Markup(
        f'<svg class="sign {tone}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" '
        f'stroke="{TONES[tone]}" stroke-width="2.4" stroke-linecap="round">{SIGNS[name]}</svg>'
    )


def outcome_bars(rows: Sequence[Row], days: Sequence[date]) -> Markup:
    """Return a bar chart of the jobs of each day, stacked by outcome."""
    by_day = {row["day"]: row for row in rows}
    top = _axis_maximum(max((row["jobs"] for row in rows), default=0))
    bars = []
    for index, day in enumerate(days):
        row, below = by_day.get(day), 0.0
        for column, (name, tone) in OUTCOME_SERIES.items():
            number = row[column] if row else 0
            if number:
                height = number / top * PLOT_HEIGHT
                text = f"{day:%d %b %Y}: {number:,} {name.lower()}"
                bars.append(_bar(index, len(days), PLOT_HEIGHT - below - height, height, tone, text))
                below += height
    return _plot("Jobs that ended, by day and outcome", bars, top, days)


def daily_bars(rows: Sequence[Row], days: Sequence[date], column: str, name: str, tone: str) -> Markup:
    """Return a bar chart of one column, by day; ``name`` is its title."""
    by_day = {row["day"]: row[column] for row in rows}
    top = _axis_maximum(max(by_day.values(), default=0))
    bars = [
        _bar(
            index, len(days), PLOT_HEIGHT - by_day[day] / top * PLOT_HEIGHT, by_day[day] / top * PLOT_HEIGHT, tone,
            f"{day:%d %b %Y}: {by_day[day]:,} {name.lower()}",
        )
        for index, day in enumerate(days)
        if by_day.get(day)
    ]  # fmt: skip
    return _plot(f"{name} by day", bars, top, days)


def legend(rows: Sequence[Row]) -> Markup:
    """Return the legend of the outcomes that occur."""
    present = [names for column, names in OUTCOME_SERIES.items() if any(row[column] for row in rows)]
    swatch = (
        '<svg class="swatch" width="12" height="12" aria-hidden="true">'
        '<rect class="{0}" width="12" height="12" fill="{1}"/></svg>'
    )
    items = "".join(f"<li>{swatch.format(tone, TONES[tone])} {name}</li>" for name, tone in present)
    return Markup(f'<ul class="legend">{items}</ul>')


def _bar(index: int, count: int, top: float, height: float, tone: str, text: str) -> str:
    """Return bar ``index`` of ``count``; ``top`` and ``height`` are pixels, ``text`` is its tooltip."""
    width = 100 / count
    return (
        f'<rect class="{tone}" fill="{TONES[tone]}" x="{index * width + width * 0.1:.2f}%" y="{top:.1f}" '
        f'width="{width * 0.8:.2f}%" height="{max(height, 1):.1f}"><title>{escape(text)}</title></rect>'
    )


def _axis_maximum(largest: float) -> float:
    """Return the end of an axis, at least ``largest``: 4, or a power of ten times 1, 2, 4, 5 or 10."""
    if largest <= 4:
        return 4
    power = 10 ** math.floor(math.log10(largest))
    return float(next(step * power for step in (1, 2, 4, 5, 10) if step * power >= largest))


def short_number(number: float) -> str:
    """Return a number with an SI prefix: 1.2k for 1,200."""
    for limit, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:g}{letter}"
    return f"{number:g}"


def _plot(title: str, bars: Sequence[str], top: float, days: Sequence[date]) -> Markup:
    """Return a chart with bars, grid lines and labels; ``top`` is the number at the end of the vertical axis."""
    parts = 4 if top % 4 == 0 else 5
    shares = [part / parts for part in range(parts + 1)]
    heights = [(share, PLOT_HEIGHT - share * PLOT_HEIGHT) for share in shares]
    lines = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{y + TOP_MARGIN:.1f}" y2="{y + TOP_MARGIN:.1f}" stroke="{GRID}"/>'
        for _, y in heights
    )
    numbers = "".join(
        f'<text class="muted" x="40" y="{y + 12:.1f}" text-anchor="end" font-size="{FONT_PIXELS}" '
        f'fill="{MUTED}">{short_number(top * share)}</text>'
        for share, y in heights
    )
    height = PLOT_HEIGHT + AXIS_HEIGHT + TOP_MARGIN
    return Markup(
        f'<div class="plot" role="img" aria-label="{escape(title)}">'
        f'<svg class="scale" width="44" height="{height}">{numbers}</svg>'
        f'<svg class="bars" width="100%" height="{height}">{lines}'
        f'<svg x="0" y="{TOP_MARGIN}" width="100%" height="{PLOT_HEIGHT}">{"".join(bars)}</svg>'
        f"{_day_labels(days)}</svg></div>"
    )


def _day_labels(days: Sequence[date]) -> str:
    """Return labels of at most five days; the last day always has one."""
    step = max(1, math.ceil((len(days) - 1) / 4))
    labels = []
    for back in range(0, len(days), step):
        index = len(days) - 1 - back
        middle = (index + 0.5) * 100 / len(days)
        anchor = "end" if middle > 92 else "start" if middle < 8 else "middle"
        x = 100 if anchor == "end" else 0 if anchor == "start" else middle
        text = f"{days[index]:%d %b}" if len(days) <= 92 else f"{days[index]:%b %Y}"
        labels.append(
            f'<text class="muted" x="{x:.2f}%" y="{PLOT_HEIGHT + AXIS_HEIGHT + 2}" text-anchor="{anchor}" '
            f'font-size="{FONT_PIXELS}" fill="{MUTED}">{text}</text>'
        )
    return "".join(labels)


def last_days(last: date, number: int) -> list[date]:
    """Return the last ``number`` days up to ``last``, in order."""
    return [last - timedelta(days=back) for back in range(number - 1, -1, -1)]


class DurationScale:
    """Draw durations on a logarithmic scale that fits the rows of ``read_durations``."""

    def __init__(self, rows: Sequence[Row]) -> None:
        hours = [row[name] for row in rows for name in ("low", "usual", "high", "median") if row[name]]
        low, high = max(min(hours, default=0.1), 1 / 120), max(max(hours, default=1.0), 1 / 30)
        self._low, self._high = math.log(low * 0.8), math.log(high * 1.25)
        self.ticks = [tick for tick in TICK_HOURS if self._low <= math.log(tick) <= self._high]

    def position(self, hours: float) -> float:
        """Return the position of a duration in hours, in percent of the width."""
        share = (math.log(max(hours, 1 / 3600)) - self._low) / (self._high - self._low)
        return min(max(share * 100, 0), 100)

    def axis(self) -> Markup:
        """Return the labels of the ticks as SVG."""
        labels = []
        for tick in self.ticks:
            x = self.position(tick)
            anchor = "end" if x > 88 else "start" if x < 12 else "middle"
            labels.append(
                f'<text class="muted" x="{x:.1f}%" y="12" text-anchor="{anchor}" font-size="{FONT_PIXELS}" '
                f'fill="{MUTED}">{_tick_label(tick)}</text>'
            )
        return Markup(f'<svg class="duration" width="100%" height="16" aria-hidden="true">{"".join(labels)}</svg>')

    def bar(self, row: Row, text: str) -> Markup:
        """Return the usual range as a bar, its median as a line, and last night's median as a dot.

        ``text`` is the description for screen readers and the tooltip.
        """
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
            tone = "bad" if is_slow(row) else "busy"
            parts.append(
                f'<circle class="{tone}" fill="{TONES[tone]}" cx="{self.position(row["median"]):.1f}%" cy="11" r="5"/>'
            )
        label = escape(text)
        return Markup(
            f'<svg class="duration" width="100%" height="22" role="img" aria-label="{label}"><title>{label}</title>'
            f"{''.join(parts)}</svg>"
        )


def is_slow(row: Row) -> bool:
    """Return True if the median of last night is above the 90th percentile of the weeks before."""
    return row["median"] is not None and row["high"] is not None and row["median"] > row["high"]


def _tick_label(hours: float) -> str:
    return duration_label(hours).replace(".0", "") if hours <= 96 else format_count(round(hours / 24), "day")


def share_bar(number: int, largest: int, tone: str = "busy") -> Markup:
    """Return a bar for a number in a table; its length is the share of ``largest``."""
    width = number / largest * 100 if largest else 0
    return Markup(
        f'<svg class="share" width="100%" height="10" aria-hidden="true"><rect class="{tone}" fill="{TONES[tone]}" '
        f'width="{max(width, 0.5):.1f}%" height="10" rx="2"/></svg>'
    )
