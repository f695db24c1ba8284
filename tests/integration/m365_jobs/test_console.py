"""What a load shows while it works."""

import pytest
from avepoint_m365 import Progress
from m365_jobs.cli.progress import progress_of_one


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(), "Reading: 0 jobs, 0 requests"),
        (Progress(jobs=4_000), "Reading: 4,000 jobs, 0 requests"),
        (Progress(jobs=4_000, reading=False), "Writing: 4,000 jobs, 0 requests"),
    ],
)
def test_the_line_says_what_is_being_done(progress: Progress, line: str) -> None:
    assert progress_of_one(progress) == line
