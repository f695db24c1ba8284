"""Test the text of a row of ``load_check_failures``, in the source's log and in the summary of a load."""

from datetime import UTC, datetime

import pytest
from avepoint_m365.extract.source_finding import SourceFinding
from m365_jobs.load.data_checks import CheckFailure


@pytest.mark.parametrize(
    ("jobs", "example", "text"),
    [
        (0, None, "Some jobs have no teams (rule)"),
        (1, "a", "1 job has no teams (rule), for instance a"),
        (2000, None, "2,000 jobs have no teams (rule)"),
    ],
)
def test_a_finding_has_the_same_text_in_the_source_and_in_the_warehouse(
    jobs: int, example: str | None, text: str
) -> None:
    assert str(SourceFinding("rule", "no teams", jobs, example)) == f"{text}."
    failure = CheckFailure("run", "contoso", "rule", "no teams", jobs, example, datetime.now(UTC))
    assert str(failure) == text
