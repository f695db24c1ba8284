"""What a load shows while it works."""

import pytest
from avepoint_m365 import Progress
from m365_jobs.cli.progress import progress_of_one


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(), "Starting: 0 jobs, 0 requests"),
        # Between two slices, before the next is asked for.
        (Progress(jobs=100_000), "Starting: 100,000 jobs, 0 requests"),
        (Progress(partitions=12, partitions_done=3, jobs=4_000), "Reading: 3/12 partitions, 4,000 jobs, 0 requests"),
        (Progress(partitions=12, partitions_done=12), "Writing: 12/12 partitions, 0 jobs, 0 requests"),
    ],
)
def test_the_line_says_what_is_being_done(progress: Progress, line: str) -> None:
    assert progress_of_one(progress) == line
