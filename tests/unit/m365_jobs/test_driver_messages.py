"""Test how messages of destinations are told apart."""

import pytest
from m365_jobs.errors.driver_messages import may_concern_rights


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("permission denied for schema m365_jobs", True),
        ("must be owner of view job_summary", True),
        ("Catalog Error: Existing object job_summary is of type Table", True),
        ("IO Error: Could not write all bytes to file: No space left on device", False),
        ("canceling statement due to lock timeout", False),
        ("server closed the connection unexpectedly", False),
    ],
)
def test_only_some_refusals_may_concern_rights(message: str, expected: bool) -> None:
    assert may_concern_rights(message) is expected
