"""Many tenants: sections of the configuration, cursors of their own, and none held up by another."""

import json
import re
import threading
from collections.abc import Callable

import pytest
from avepoint_simulator import Answer, Asked, Simulator, make_world

from ..truth import in_warehouse, on_server
from .conftest import NOW, Desk

Sit = Callable[[Simulator], Desk]


class Once:
    """A fault that keeps the first request until that of the other tenant is there."""

    def __init__(self, both: threading.Barrier) -> None:
        self._both, self._waits = both, iter([True])

    def __call__(self, asked: Asked) -> None:
        if next(self._waits, False):
            self._both.wait(60)


def section(name: str, simulator: Simulator, **more: str) -> str:
    lines = [f"[sources.avepoint_m365.tenants.{name}]"]
    lines += [f'base_url = "{simulator.base_url}"', f'token_url = "{simulator.token_url}"']
    lines += [f"{key} = {value}" for key, value in more.items()]
    lines += [f"[sources.avepoint_m365.tenants.{name}.credentials]"]
    lines += [f'client_id = "{simulator.client_id}"', f'client_secret = "{simulator.client_secret}"', ""]
    return "\n".join(lines)


def configure(user: Desk, text: str) -> None:
    (user.folder / ".dlt").mkdir(exist_ok=True)
    (user.folder / ".dlt" / "secrets.toml").write_text(text)
    for name in [name for name in user.environment if name.startswith("SOURCES__")]:
        del user.environment[name]


def test_each_tenant_holds_what_its_own_server_holds_even_with_the_same_ids(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    # The same jobs, so the same ids, in other states and with other counts.
    other = make_world(120, seed=7, now=NOW, error_share=0.9)
    with Simulator(other) as second:
        configure(user, section("contoso", simulator) + section("fabrikam", second))
        said = user.run("load", "--all-tenants").stderr
        assert "2 of 2 tenants loaded" in said
        file = user.folder / "m365_warehouse.duckdb"
        assert in_warehouse(file, "contoso") == on_server(simulator.world, False)
        assert in_warehouse(file, "fabrikam") == on_server(other, False)
        before = len(second.asked)
        user.run("load", "--tenant", "contoso")
        assert len(second.asked) == before
        assert user.query("SELECT tenant, status, count(*) FROM load_runs GROUP BY ALL ORDER BY ALL") == [
            ("contoso", "complete", 2),
            ("fabrikam", "complete", 1),
        ]


def test_a_broken_tenant_is_named_and_the_others_load(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    with Simulator(make_world(50, seed=8, now=NOW), fault=lambda asked: Answer(403)) as broken:
        configure(user, section("contoso", simulator) + section("fabrikam", broken) + section("northwind", simulator))
        said = user.run("load", "--all-tenants", code=1).stderr
        assert "fabrikam: failed (permission)" in said
        assert "2 of 3 tenants loaded" in said
        for tenant in ("contoso", "northwind"):
            assert in_warehouse(user.folder / "m365_warehouse.duckdb", tenant) == on_server(simulator.world, False)
        assert user.query("SELECT tenant, status, error_kind FROM load_runs ORDER BY tenant") == [
            ("contoso", "complete", None),
            ("fabrikam", "failed", "permission"),
            ("northwind", "complete", None),
        ]


@pytest.mark.parametrize("fault", [None, Answer(403)])
def test_one_tenant_of_all_tenants_reads_like_one(simulator: Simulator, desk: Sit, fault: Answer | None) -> None:
    user = desk(simulator)
    configure(user, section("contoso", simulator))
    simulator.fault = lambda asked: fault
    said = []
    for which in (["--all-tenants"], ["--tenant", "contoso"]):
        (user.folder / "m365_warehouse.duckdb").unlink(missing_ok=True)
        lines = user.run("load", *which, code=1 if fault else 0).stderr.splitlines(keepends=True)
        # On a machine that is busy a load tells how far it is.
        text = "".join(line for line in lines if " partitions, " not in line)
        assert text.startswith("Error (permission): " if fault else f"Read {len(simulator.world.visible())} jobs in ")
        # Seconds, times and ids of requests are those of each load.
        said.append(re.sub(r"[\da-f]*\d[\da-f.:TZ-]*", "#", text))
    assert said[0] == said[1]


def test_as_many_tenants_are_loaded_at_once_as_one_says(desk: Sit) -> None:
    worlds = [make_world(20, seed=seed, now=NOW) for seed in (1, 2)]
    with Simulator(worlds[0]) as first, Simulator(worlds[1]) as second:
        user = desk(first)
        configure(user, section("contoso", first) + section("fabrikam", second))
        # What the other tenant had asked when the later one of the two began.
        seen: list[int] = []

        def look(asked: Asked) -> None:
            seen.append(len(first.asked))

        second.fault = look
        user.run("load", "--all-tenants", "--side-by-side", "1")
        assert seen[0] == len(first.asked)
        # Neither goes on before both have begun.
        both = threading.Barrier(2)
        for one in (first, second):
            one.fault = Once(both)
        user.run("load", "--all-tenants", "--side-by-side", "2")
        assert not both.broken


def test_tenants_inherit_what_they_do_not_set_but_not_half_of_their_credentials(
    simulator: Simulator, desk: Sit
) -> None:
    user = desk(simulator)
    shared = f'[sources.avepoint_m365]\nobject_types = ["teams"]\nbase_url = "{simulator.base_url}"\n'
    shared += f'token_url = "{simulator.token_url}"\n[sources.avepoint_m365.credentials]\nclient_id = "nobody"\n'
    shared += 'certificate_path = "of-the-provider.pfx"\n'
    own = section("fabrikam", simulator, object_types='["onedrive"]', page_size="50")
    configure(user, shared + section("contoso", simulator) + own)
    user.run("load", "--tenant", "contoso", "--tenant", "fabrikam")
    assert user.query("SELECT DISTINCT tenant, object_type FROM jobs ORDER BY 1") == [
        ("contoso", "teams"),
        ("fabrikam", "onedrive"),
    ]
    assert dict(user.query("SELECT DISTINCT tenant, page_size FROM load_audit")) == {"contoso": 500, "fabrikam": 50}


def test_a_tenant_can_be_configured_by_environment_variables_alone(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    for name in [name for name in user.environment if name.startswith("SOURCES__")]:
        value = user.environment.pop(name)
        user.environment[name.replace("AVEPOINT_M365__", "AVEPOINT_M365__TENANTS__CONTOSO__")] = value
    user.environment["SOURCES__AVEPOINT_M365__TENANTS__CONTOSO__OBJECT_TYPES"] = '["teams"]'
    user.run("load", "--all-tenants")
    assert user.query("SELECT DISTINCT tenant, object_type FROM jobs") == [("contoso", "teams")]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (None, ("--all-tenants",), "No tenants are configured"),
        ("lag_hours = 1", ("--tenant", "kontoso"), "Did you mean 'contoso'"),
        ('data_centre = "we"', ("--all-tenants",), "Did you mean 'data_center'"),
        ("lag_hours = 1", ("--tenant", "contoso", "--all-tenants"), "exclude"),
    ],
)
def test_tenants_that_cannot_be_are_wrong_usage(
    simulator: Simulator, desk: Sit, text: str | None, arguments: tuple[str, ...], said: str
) -> None:
    user = desk(simulator)
    configure(user, f"[sources.avepoint_m365.tenants.contoso]\n{text}\n" if text else "")
    assert said in user.run("load", *arguments, code=2).stderr


def test_tenants_of_one_host_share_its_limit_of_requests(desk: Sit, simulator: Simulator) -> None:
    user = desk(simulator)
    simulator.latency = 0.01
    names = [f"tenant{number}" for number in range(6)]
    configure(user, "".join(section(name, simulator, concurrency="3") for name in names))
    user.run("load", "--all-tenants")
    assert simulator.most_in_flight == 3
    assert json.loads(user.run("status", "--format", "json").stdout)["tables"]["jobs"] == 6 * len(
        simulator.world.visible()
    )


def test_check_tries_each_tenant_with_what_is_its_own(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    with Simulator(make_world(10, seed=3, now=NOW)) as second:
        configure(user, section("contoso", simulator) + section("fabrikam", second, object_types='["mail"]'))
        lines = user.run("check", code=2).stdout.splitlines()
        assert [line.split(": ")[:2] for line in lines] == [
            ["ok    contoso", "configuration"],
            ["ok    contoso", "token"],
            ["ok    contoso", "permission and API"],
            ["FAIL  fabrikam", "configuration"],
            ["ok    destination", str(user.folder / "m365_warehouse.duckdb")],
        ]
        assert "object_types = 'mail' is not known" in lines[3]
        second.fault = lambda asked: Answer(403)
        configure(user, section("contoso", simulator) + section("fabrikam", second))
        (said,) = [line for line in user.run("check", code=1).stdout.splitlines() if line.startswith("FAIL")]
        assert said.startswith("FAIL  fabrikam: permission and API: ")
        user.run("check", "--tenant", "contoso")
        assert "'nobody' is not known" in user.run("check", "--tenant", "nobody", code=2).stdout


def test_a_load_of_nobody_in_particular_says_how_tenants_are_named(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    configure(user, section("contoso", simulator))
    assert "--tenant NAME, or all of them with --all-tenants" in user.run("load", code=2).stderr
    # What the section above has of its own is still loaded by itself.
    shared = section("x", simulator).replace(".tenants.x", "")
    configure(user, shared + section("contoso", simulator))
    user.run("load")
    assert user.query("SELECT DISTINCT tenant FROM jobs") == [("default",)]
