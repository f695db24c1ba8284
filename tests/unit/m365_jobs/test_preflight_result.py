"""Test the lines of ``check`` for many tenants."""

from collections.abc import Iterator

from m365_jobs.health.preflight_result import PreflightResult, sum_up_tenants

FINE = PreflightResult("token", True, "granted")
SKIPPED = PreflightResult("companion schedule", True, "skipped by loads: denied", skipped=True)
REFUSED = PreflightResult("token", False, "Credentials refused", 1)
ENDING = PreflightResult("credentials", True, "end on 2026-12-24", warning=True)


def test_only_what_is_not_fine_has_a_line_for_each_tenant() -> None:
    results = [(f"cust{number:03}", [FINE, SKIPPED]) for number in range(200)]
    results += [("bad", [REFUSED]), ("old", [ENDING, FINE])]
    lines = [result.line for result in sum_up_tenants(results)]
    assert lines == [
        "FAIL  bad, token: Credentials refused",
        "warn  old, credentials: end on 2026-12-24",
        "ok    companion schedule: skipped by loads of 200 tenants; check --tenant NAME gives the cause",
        "ok    tenants: 201 of 202 passed all checks",
    ]
    assert max(result.exit_code for result in sum_up_tenants(results)) == 1


def test_few_tenants_without_a_companion_are_named() -> None:
    lines = [result.line for result in sum_up_tenants([("b", [SKIPPED]), ("a", [SKIPPED])])]
    assert lines[0] == "ok    companion schedule: skipped by loads of a, b; check --tenant NAME gives the cause"


def test_a_failure_is_given_before_the_other_tenants_are_checked() -> None:
    def checked() -> Iterator[tuple[str, list[PreflightResult]]]:
        yield "bad", [REFUSED]
        raise AssertionError("The next tenant was waited for.")

    assert next(sum_up_tenants(checked())).what == "bad, token"
