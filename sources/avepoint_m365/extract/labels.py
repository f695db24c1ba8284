"""Define the labels of jobs: location, object type and job type."""

from __future__ import annotations

from typing import TypeAlias

from avepoint_m365.constants import LABELS

Labels: TypeAlias = dict[str, dict[str, str]]
"""The labels of jobs: for each name of ``LABELS``, the label of each job that has one, by job id.

A load of 100,000 jobs then fills and reads them a hundred thousand at a time.
"""


def no_labels() -> Labels:
    """Return labels of no job."""
    return {name: {} for name in LABELS}
