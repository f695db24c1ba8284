"""Test how messages of destinations are told apart."""

import pytest
from m365_jobs.errors.driver_messages import explain_driver_message, may_concern_rights
from m365_jobs.errors.explain import explain


def test_an_error_that_a_library_handled_and_that_has_no_text_is_not_named_as_the_cause() -> None:
    try:
        try:
            next(iter(()))
        except StopIteration:
            raise ValueError("the cause")  # noqa: B904 - the context of the error is what is tested
    except ValueError as error:
        failure = explain(error)
    assert failure.text == "ValueError: the cause. Run again with --verbose."


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


@pytest.mark.parametrize(
    ("message", "problem", "action"),
    [
        (
            "canceling statement due to conflict with recovery DETAIL: User query might have needed to see rows",
            "A standby ended a statement that held up its changes",
            "max_standby_streaming_delay",
        ),
        (
            "terminating connection due to conflict with recovery",
            "A standby ended a statement that held up its changes",
            "hot_standby_feedback",
        ),
        ("canceling statement due to user request", "A request cancelled the statement", "pg_cancel_backend"),
        ("canceling statement due to statement timeout", "The destination cancelled a statement", "statement_timeout"),
        ("cannot execute LOCK TABLE during recovery", "The destination can only be read", "primary server"),
        ("server closed the connection unexpectedly", "The connection to the destination was lost", "run this again"),
        ("SSL SYSCALL error: EOF detected", "The connection to the destination was lost", "run this again"),
        ("SSL connection has been closed unexpectedly", "The connection to the destination was lost", "again"),
        ("connection already closed", "The connection to the destination was lost", "run this again"),
        ("terminating connection due to administrator command", "The connection to the destination was lost", "again"),
        (
            'connection to server at "db", port 5432 failed: server closed the connection unexpectedly',
            "The destination cannot be reached",
            "host and port",
        ),
    ],
)
def test_each_cure_fits_what_the_server_did(message: str, problem: str, action: str) -> None:
    text = explain_driver_message(message)
    assert text.startswith(problem)
    assert action in text
