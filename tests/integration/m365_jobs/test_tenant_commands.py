"""Test that `tenant rename` and `tenant remove` leave no row behind, and lose no cursor."""

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import NewUser
from tests.support.warehouse import administer, database, database_for


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_renamed_tenant_keeps_its_rows_and_cursors(simulator: Simulator, new_user: NewUser, kind: str) -> None:
    user = new_user(simulator)
    with database_for(kind) as address:
        if kind == "postgres":
            user.environment |= {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": address}
        user.set(tenant="contoso")
        user.run("load")
        rows = user.run("query", "SELECT count(*) FROM jobs", "--format", "csv").stdout
        shown = user.run("tenant", "rename", "contoso", "fabrikam").stdout
        assert "Nothing was changed" in shown
        # The label of `init` stands in the main section, and not in one of the tenant's own.
        hint = "The configuration still names contoso: change or delete it before the next load.\n"
        assert shown.endswith(hint)
        user.run("tenant", "rename", "contoso", "fabrikam", "--yes")
        counted = "SELECT tenant, count(*) FROM jobs GROUP BY 1"
        assert user.run("query", counted, "--format", "csv").stdout.splitlines()[1:] == [
            f"fabrikam,{rows.splitlines()[1]}"
        ]
        user.set(tenant="fabrikam")
        # A first load would report how many jobs are new.
        message = user.run("load").stderr
        assert "0 new, 0 changed" in message
        assert "Another load" not in message


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("two  blanks", "Stray white space: the label 'two  blanks'"),
        (" contoso", "Stray white space: the label ' contoso'"),
        (" ", "Empty label"),
        ("contoso", "Tenant exists: contoso. Choose a name that the warehouse does not have."),
        ("fabrikam", "Tenant exists: fabrikam."),
    ],
)
@pytest.mark.usual(1)
def test_a_name_that_no_load_could_use_is_refused_by_the_preview_as_well(
    simulator: Simulator, new_user: NewUser, new: str, message: str
) -> None:
    user = new_user(simulator)
    for name in ("contoso", "fabrikam"):
        user.set(tenant=name)
        user.run("load")
    for options in ((), ("--yes",)):
        result = user.run("tenant", "rename", "contoso", new, *options, code=2)
        assert (message in result.stderr, result.stdout) == (True, "")
    assert user.query("SELECT DISTINCT tenant FROM jobs ORDER BY 1") == [("contoso",), ("fabrikam",)]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_removed_tenant_has_no_rows_and_others_stay(simulator: Simulator, new_user: NewUser, kind: str) -> None:
    user = new_user(simulator)
    with database_for(kind) as address:
        if kind == "postgres":
            user.environment |= {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": address}
        for name in ("contoso", "fabrikam"):
            user.set(tenant=name)
            user.run("load")
        user.run("tenant", "remove", "contoso")
        distinct = "SELECT count(DISTINCT tenant) AS n FROM jobs"
        assert user.run("query", distinct, "--format", "csv").stdout.split() == ["n", "2"]
        done = user.run("tenant", "remove", "contoso", "--yes").stdout
        assert "The configuration still names" not in done
        for table in ("jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "load_runs"):
            answer = user.run("query", f"SELECT DISTINCT tenant FROM {table}", "--format", "csv").stdout.split()
            assert answer[1:] == ["fabrikam"]
        assert "Tenant not found: contoso" in user.run("tenant", "remove", "contoso", code=2).stderr
        user.run("tenant", "remove", "fabrikam", "--yes")
        assert "Nothing is loaded yet. Run: m365-jobs load" in user.run("status").stdout
        assert " new, 0 changed, 0 as before" in user.run("load").stderr


@pytest.mark.parametrize("change", [("remove", "contoso"), ("rename", "contoso", "fabrikam")])
@pytest.mark.usual(1)
def test_a_change_that_the_server_refuses_is_not_reported_as_made(
    simulator: Simulator, new_user: NewUser, change: tuple[str, ...]
) -> None:
    user = new_user(simulator)
    with database() as address:
        user.environment |= {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": address}
        user.set(tenant="contoso")
        user.run("load")
        name = address.rsplit("/", 1)[1]
        administer(f"ALTER DATABASE {name} SET default_transaction_read_only = on", address=address)
        refused = user.run("tenant", *change, "--yes", code=1)
        assert refused.stdout == ""
        assert "The destination can only be read" in refused.stderr


def test_a_lake_names_what_can_be_done_instead(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    user.environment |= {"DESTINATION_TYPE": "filesystem", "DESTINATION__FILESYSTEM__BUCKET_URL": "lake"}
    user.set(tenant="contoso")
    user.run("load")
    message = " ".join(user.run("tenant", "remove", "contoso", code=2).stderr.split())
    assert f"this destination is filesystem file://{user.folder}/lake. Load the tenants that stay, each " in message
