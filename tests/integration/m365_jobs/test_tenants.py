"""Test several tenants: sections of the configuration, separate cursors, and no tenant blocks another."""

import json
import re
import threading

import pytest
from avepoint_simulator import Answer, Asked, Simulator, make_world

from tests.support.cli import NOW, Cli, NewUser
from tests.support.truth import in_warehouse, on_server


class Once:
    """Pause the first request of a tenant until that of the other tenant arrives."""

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


def configure(user: Cli, text: str) -> None:
    (user.folder / ".dlt").mkdir(exist_ok=True)
    (user.folder / ".dlt" / "secrets.toml").write_text(text)
    for name in [name for name in user.environment if name.startswith("SOURCES__")]:
        del user.environment[name]
    user.set(include="none")


def test_each_tenant_holds_what_its_own_server_holds_even_with_the_same_ids(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    # The same jobs, so the same ids, but with other states and counts.
    other = make_world(120, seed=7, now=NOW, error_share=0.9)
    with Simulator(other) as second:
        configure(user, section("contoso", simulator) + section("fabrikam", second))
        message = user.run("load", "--all-tenants").stderr
        assert "2 of 2 tenants loaded" in message
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


def test_a_broken_tenant_is_named_and_the_others_load(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    with Simulator(make_world(50, seed=8, now=NOW), fault=lambda asked: Answer(403)) as broken:
        configure(user, section("contoso", simulator) + section("fabrikam", broken) + section("northwind", simulator))
        message = user.run("load", "--all-tenants", code=1).stderr
        assert "fabrikam: failed (permission)" in message
        assert "2 of 3 tenants loaded" in message
        for tenant in ("contoso", "northwind"):
            assert in_warehouse(user.folder / "m365_warehouse.duckdb", tenant) == on_server(simulator.world, False)
        assert user.query("SELECT tenant, status, error_kind FROM load_runs ORDER BY tenant") == [
            ("contoso", "complete", None),
            ("fabrikam", "failed", "permission"),
            ("northwind", "complete", None),
        ]


@pytest.mark.usual(1)
@pytest.mark.parametrize("fault", [None, Answer(403)])
def test_all_tenants_with_a_single_tenant_prints_a_single_summary(
    simulator: Simulator, new_user: NewUser, fault: Answer | None
) -> None:
    user = new_user(simulator)
    configure(user, section("contoso", simulator))
    simulator.fault = lambda asked: fault
    message = []
    for which in (["--all-tenants"], ["--tenant", "contoso"]):
        (user.folder / "m365_warehouse.duckdb").unlink(missing_ok=True)
        lines = user.run("load", *which, code=1 if fault else 0).stderr.splitlines(keepends=True)
        # On a busy machine, a load prints its progress.
        text = "".join(line for line in lines if " requests, " not in line)
        assert text.startswith("Error (permission): " if fault else f"Read {len(simulator.world.visible())} jobs in ")
        # Seconds, times and request ids differ between loads.
        message.append(re.sub(r"[\da-f]*\d[\da-f.:TZ-]*", "#", text))
    assert message[0] == message[1]


def test_parallel_tenants_limits_concurrent_loads(new_user: NewUser) -> None:
    worlds = [make_world(20, seed=seed, now=NOW) for seed in (1, 2)]
    with Simulator(worlds[0]) as first, Simulator(worlds[1]) as second:
        user = new_user(first)
        configure(user, section("contoso", first) + section("fabrikam", second))
        # The number of requests of the first tenant, at each request of the second.
        seen: list[int] = []

        def look(asked: Asked) -> None:
            seen.append(len(first.asked))

        second.fault = look
        user.run("load", "--all-tenants", "--parallel-tenants", "1")
        assert seen[0] == len(first.asked)
        # Neither load continues before both have begun.
        both = threading.Barrier(2)
        for item in (first, second):
            item.fault = Once(both)
        user.run("load", "--all-tenants", "--parallel-tenants", "2")
        assert not both.broken


def test_tenants_inherit_what_they_do_not_set_but_not_half_of_their_credentials(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
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


def test_a_tenant_can_be_configured_by_environment_variables_alone(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    for name in [name for name in user.environment if name.startswith("SOURCES__")]:
        value = user.environment.pop(name)
        user.environment[name.replace("AVEPOINT_M365__", "AVEPOINT_M365__TENANTS__CONTOSO__")] = value
    user.environment["SOURCES__AVEPOINT_M365__TENANTS__CONTOSO__OBJECT_TYPES"] = '["teams"]'
    user.run("load", "--all-tenants")
    assert user.query("SELECT DISTINCT tenant, object_type FROM jobs") == [("contoso", "teams")]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (None, ("--all-tenants",), "No tenants are configured"),
        ("lag_hours = 1", ("--tenant", "kontoso"), "Did you mean 'contoso'"),
        ('data_centre = "we"', ("--all-tenants",), "Did you mean 'data_center'"),
        ("lag_hours = 1", ("--tenant", "contoso", "--all-tenants"), "exclude"),
    ],
)
def test_tenants_that_cannot_be_are_wrong_usage(
    simulator: Simulator, new_user: NewUser, text: str | None, arguments: tuple[str, ...], message: str
) -> None:
    user = new_user(simulator)
    configure(user, f"[sources.avepoint_m365.tenants.contoso]\n{text}\n" if text else "")
    assert message in user.run("load", *arguments, code=2).stderr


def test_tenants_of_one_host_share_its_limit_of_requests(new_user: NewUser, simulator: Simulator) -> None:
    user = new_user(simulator)
    simulator.latency = 0.01
    names = [f"tenant{number}" for number in range(4)]
    configure(user, "".join(section(name, simulator, concurrency="3") for name in names))
    user.run("load", "--all-tenants")
    assert simulator.most_in_flight == 3
    assert json.loads(user.run("status", "--format", "json").stdout)["tables"]["jobs"] == 4 * len(
        simulator.world.visible()
    )


def test_a_load_without_a_tenant_explains_how_to_name_tenants(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    configure(user, section("contoso", simulator))
    assert "Add --tenant NAME or --all-tenants" in user.run("load", code=2).stderr
    # Credentials above the sections still load the tenant `default`.
    shared = section("x", simulator).replace(".tenants.x", "")
    configure(user, shared + section("contoso", simulator))
    user.run("load")
    assert user.query("SELECT DISTINCT tenant FROM jobs") == [("default",)]


def shared(simulator: Simulator) -> str:
    """Return the provider's own settings, which tenants inherit."""
    lines = ["[sources.avepoint_m365]", f'base_url = "{simulator.base_url}"', f'token_url = "{simulator.token_url}"']
    lines += ["[sources.avepoint_m365.credentials]", f'client_id = "{simulator.client_id}"']
    return "\n".join([*lines, f'client_secret = "{simulator.client_secret}"', ""])


def test_long_names_that_differ_at_their_ends_have_separate_cursors(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    names = [f"contoso_international_holding_{'of_many_parts_' * 20}{end}" for end in ("one", "two")]
    names += ["contoso-international-holding.onmicrosoft.com"]
    configure(user, "".join(section(json.dumps(name), simulator) for name in names))
    for _ in range(2):
        user.run("load", "--all-tenants")
    for name in names:
        assert in_warehouse(user.folder / "m365_warehouse.duckdb", name) == on_server(simulator.world, False)
    assert user.query("SELECT count(DISTINCT pipeline_name) FROM _dlt_pipeline_state") == [(3,)]


@pytest.mark.usual(1)
@pytest.mark.parametrize("name", ["contoso.onmicrosoft.com", "Con Toso", "日本", "../x", "a'b|c%", "__"])
def test_a_tenant_with_any_name_uses_its_own_section(simulator: Simulator, new_user: NewUser, name: str) -> None:
    user = new_user(simulator)
    with Simulator(make_world(30, seed=9, now=NOW)) as own:
        configure(user, shared(simulator) + section(json.dumps(name, ensure_ascii=False), own, page_size="50"))
        user.run("load", "--all-tenants")
        assert in_warehouse(user.folder / "m365_warehouse.duckdb", name) == on_server(own.world, False)
        assert user.query("SELECT DISTINCT tenant, page_size FROM load_audit") == [(name, 50)]
        assert not simulator.asked


def test_environment_variables_match_sections_case_insensitively(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    configure(user, "")
    settings = section("Contoso__EU", simulator).replace(f'client_secret = "{simulator.client_secret}"', "")
    (user.folder / ".dlt" / "config.toml").write_text(settings)
    user.set(tenants__contoso__eu__credentials__client_secret=simulator.client_secret, tenants__solo__page_size="50")
    assert "solo: failed (config)" in user.run("load", "--all-tenants", code=1).stderr
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "Contoso__EU") == on_server(simulator.world, False)
    assert user.query("SELECT DISTINCT tenant FROM jobs") == [("Contoso__EU",)]


@pytest.mark.parametrize(
    "own",
    [
        'credentials = { client_id = "own", certificate_path = "none.pem" }',
        'credentials = \'{"client_id": "own", "client_secret": "no"}\'',
    ],
)
def test_credentials_of_a_tenant_are_never_replaced_by_those_above(
    simulator: Simulator, new_user: NewUser, own: str
) -> None:
    user = new_user(simulator)
    configure(user, shared(simulator))
    (user.folder / ".dlt" / "config.toml").write_text(f"[sources.avepoint_m365.tenants.contoso]\n{own}\n")
    message = user.run("load", "--all-tenants", code=2).stderr
    assert "none.pem" in message or "tenants.contoso.credentials" in message
    assert not simulator.asked


WRONG = {
    'data_centre = "we"': "Did you mean 'data_center'",
    'page_size = "many"': "sources.avepoint_m365.tenants.typo.page_size = 'many' is not a whole number",
    'expected_object_types = ["tims"]': "Did you mean 'teams'",
    'locations = "NAM"': "sources.avepoint_m365.tenants.typo.locations = 'NAM' is not a list",
    'credentials.client_sercet = "x"': "Did you mean 'client_secret'",
    'start_date = "soon"': "soon",
}


@pytest.mark.usual(1)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_section_that_cannot_be_is_the_failure_of_its_tenant_alone(
    simulator: Simulator, new_user: NewUser, wrong: str
) -> None:
    user = new_user(simulator)
    configure(user, section("contoso", simulator) + f"[sources.avepoint_m365.tenants.typo]\n{wrong}\n")
    message = user.run("load", "--all-tenants", code=1).stderr
    assert re.search(rf"typo: failed \(config\): .*{re.escape(WRONG[wrong])}", message)
    assert "contoso" not in message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb", "contoso") == on_server(simulator.world, False)
    assert WRONG[wrong] in user.run("load", "--tenant", "typo", code=2).stderr
    user.run("load", "--tenant", "contoso")
    user.run("schedule", "cron")
    reasons = json.loads(user.run("health", "--format", "json", code=4).stdout)["reasons"]
    assert [reason["kind"] for reason in reasons if reason["tenant"] == "typo"] == ["nothing_to_judge", "failed_load"]
    assert "Never loaded: typo\n" in user.run("status").stdout
    assert json.loads(user.run("status", "--format", "json").stdout)["never_loaded"] == ["typo"]
    assert "typo" not in user.run("status", "--tenant", "contoso").stdout


@pytest.mark.parametrize("way", ["file", "environment"])
def test_an_unknown_section_or_key_is_refused(simulator: Simulator, new_user: NewUser, way: str) -> None:
    user = new_user(simulator)
    configure(user, shared(simulator) + ('[sources.avepoint_m365.tenants]\ncontoso = "we"\n' if way == "file" else ""))
    if way == "environment":
        user.set(tenants__contoso__data_centre="we")
    assert "tenants.contoso" in user.run("load", "--all-tenants", code=2).stderr
    assert not simulator.asked


def test_check_tries_each_tenant(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    with Simulator(make_world(50, seed=8, now=NOW), fault=lambda asked: Answer(403)) as broken:
        text = section("contoso", simulator) + section("fabrikam", broken)
        configure(user, text + '[sources.avepoint_m365.tenants.typo]\nobject_types = ["tims"]\n')
        lines = user.run("check", "--all-tenants", code=2).stdout.splitlines()
        assert [re.split(r": (?!FAIL|ok)", line)[0] for line in lines if "destination" not in line] == [
            "ok    contoso, configuration",
            "ok    contoso, token",
            "ok    contoso, permission and API",
            "ok    fabrikam, configuration",
            "ok    fabrikam, token",
            "FAIL  fabrikam, permission and API",
            "FAIL  typo, configuration",
        ]
        assert sum("destination" in line for line in lines) == 1
        # No credentials exist outside the sections, so `check` tests each tenant.
        again = user.run("check", code=2).stdout
        assert [re.sub("request id [0-9a-f]+", "", line) for line in again.splitlines()] == [
            re.sub("request id [0-9a-f]+", "", line) for line in lines
        ]
        assert "fabrikam" not in user.run("check", "--tenant", "contoso").stdout
        assert "Did you mean 'contoso'" in user.run("check", "--tenant", "kontoso", code=2).stderr


@pytest.mark.usual(1)
@pytest.mark.parametrize("option", [True, False])
def test_the_lowest_limit_of_a_host_holds(simulator: Simulator, new_user: NewUser, option: bool) -> None:
    user = new_user(simulator)
    simulator.latency = 0.01
    limits = ("9", "9") if option else ("9", "2")
    configure(user, "".join(section(f"t{limit}{n}", simulator, concurrency=limit) for n, limit in enumerate(limits)))
    user.run("load", "--all-tenants", *(("--concurrency", "2") if option else ()))
    assert simulator.most_in_flight == 2


def test_the_lowest_limit_of_a_host_holds_before_the_tenant_that_sets_it_is_read(
    simulator: Simulator, new_user: NewUser
) -> None:
    user = new_user(simulator)
    simulator.latency = 0.01
    configure(user, section("a", simulator, concurrency="9") + section("b", simulator, concurrency="2"))
    user.run("load", "--all-tenants", "--parallel-tenants", "1")
    assert simulator.most_in_flight == 2


@pytest.mark.usual(1)
@pytest.mark.parametrize(("locations", "warned"), [(("NAM", "NAM"), True), (("NAM", "EUR"), False), (None, True)])
def test_credentials_that_two_tenants_share_are_warned_of(
    simulator: Simulator, new_user: NewUser, locations: tuple[str, str] | None, warned: bool
) -> None:
    user = new_user(simulator)
    own = [{"locations": f'["{location}"]'} for location in locations] if locations else [{}, {}]
    configure(user, section("contoso", simulator, **own[0]) + section("fabrikam", simulator, **own[1]))
    message = (
        "Shared credentials: the tenants contoso, fabrikam use the same client ID, so each job is loaded once for "
        "each of them. Give each section of sources.avepoint_m365.tenants credentials or locations of its own."
    )
    loaded = user.run("load", "--all-tenants").stderr.splitlines()
    checked = user.run("check", "--all-tenants").stdout.splitlines()
    assert (f"Warning: {message}" in loaded, f"warn  settings: {message}" in checked) == (warned, warned)


def test_check_sums_up_many_tenants_and_names_the_one_that_fails(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    names = [f"cust{number:03}" for number in range(60)]
    with Simulator(make_world(1, now=NOW), fault=lambda asked: Answer(403)) as broken:
        configure(user, "".join(section(name, broken if name == "cust007" else simulator) for name in names))
        lines = user.run("check", "--all-tenants", code=1).stdout.splitlines()
    (failed,) = (line for line in lines if line.startswith("FAIL"))
    assert failed.startswith("FAIL  cust007, permission and API: ")
    assert "ok    tenants: 59 of 60 passed all checks" in lines
    assert len(lines) < 8
    assert len(simulator.asked) == 59
    message = user.run("load", "--tenant", "Cust001", code=2).stderr
    assert "Did you mean 'cust001'?" in message
    assert "and 40 more" in message
