"""Test that a wrong setting or name of one tenant is reported and does no harm to the others."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb

from tests.integration.m365_jobs.test_alerts import configure
from tests.support.backups import job, serving
from tests.support.cli import Cli, NewUser
from tests.support.receivers import http_receiver, mail_server

WRONG_ZONE = "sources.avepoint_m365.tenants.fabrikam.timezone: time zone 'Mars/Phobos' is unknown"


def load_three_tenants(user: Cli) -> None:
    """Load three tenants, then misspell the time zone of the second."""
    for tenant in ("contoso", "fabrikam", "northwind"):
        user.set(tenant=tenant)
        user.run("load")
    user.set(tenants__fabrikam__timezone="Mars/Phobos")


def test_a_wrong_time_zone_of_one_tenant_stops_no_alert(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as slack:
        user = new_user(simulator)
        load_three_tenants(user)
        user.environment["ALERTS__MAINTENANCE"] = '["2020-01-01T00:00/2020-01-02T00:00"]'
        user.environment["ALERTS__CHANNELS__SLACK__URL"] = slack.url
        user.run("health", "--notify", code=4)
        for tenant in ("contoso", "fabrikam", "northwind"):
            assert f"{tenant}/teams" in slack.messages[-1]


def test_a_wrong_time_zone_of_one_tenant_stops_no_report_of_others(new_user: NewUser, tmp_path: Path) -> None:
    with serving(job("teams", 3)) as simulator:
        user = new_user(simulator)
        load_three_tenants(user)
        user.run("report", "all.html")
        with mail_server(tmp_path, "pass word") as server:
            configure(user, email={**server.channel("pass word"), "ca_file": str(server.ca_file)})
            done = user.run("report", "--each-tenant", "out", "--format", "html", "--mail", code=2)
            user.run("report", "one.html", "--tenant", "contoso", "--mail")
            user.run("report", "some.html", "--tenant", "contoso", "--tenant", "northwind", "--mail")
            user.run("report", "all.html", "--mail")
        assert f"No report of fabrikam: Unknown time zone: {WRONG_ZONE}" in " ".join(done.stderr.split())
        files = ["contoso.html", "northwind.html"]
        assert sorted(file.name for file in (user.folder / "out").iterdir()) == files
        assert [Path(line).name for line in done.stdout.split()] == files
        attached = [part.get_filename() for message in server.messages for part in message.iter_attachments()]
        assert attached == [*files, "one.html", "some.html", "all.html"]
        named = [" of contoso", " of northwind", " of contoso", " of contoso, northwind", ""]
        subjects = [message["Subject"].rpartition(", ")[0] for message in server.messages]
        assert subjects == [f"Microsoft 365 backup report{name}" for name in named]
        bodies = [message.get_body() for message in server.messages]
        assert [body and body.get_content().strip() for body in bodies] == [
            f"The report{name} is attached." for name in named
        ]


def test_alerts_of_an_unknown_tenant_are_refused(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator:
        user = new_user(simulator)
        user.set(tenant="contoso")
        user.run("load")
        user.run("alerts", "--tenant", "contoso")
        message = user.run("alerts", "--tenant", "contsoo", code=2)
        assert "Tenant 'contsoo' is neither in the configuration nor in the warehouse" in message.stderr
        assert message.stdout == ""


def test_a_service_of_a_multi_geo_tenant_is_expected_in_its_locations_alone(new_user: NewUser) -> None:
    jobs = [replace(job("onedrive", hours), location=place) for place, hours in (("NAM", 3), ("EUR", 5))]
    with serving(*jobs) as simulator:
        user = new_user(simulator)
        user.set(locations='["NAM", "EUR"]', expected_object_types='["onedrive", "teams"]')
        user.run("load")
        status = set(user.query("SELECT location, object_type, status FROM protection_status"))
        assert status == {
            ("EUR", "onedrive", "protected"),
            ("NAM", "onedrive", "protected"),
            ("EUR", "teams", "never"),
            ("NAM", "teams", "never"),
        }


def test_status_of_a_multi_geo_tenant_has_no_services_of_all_locations_without_jobs(new_user: NewUser) -> None:
    jobs = [replace(job("onedrive", hours), location=place) for place, hours in (("NAM", 3), ("EUR", 5))]
    with serving(*jobs) as simulator:
        user = new_user(simulator)
        user.set(locations='["NAM", "EUR"]')
        user.run("load")
        shown = json.loads(user.run("status", "--format", "json").stdout)["partitions"]
        assert {(row["location"], row["object_type"]): row["rows_held"] for row in shown if row["object_type"]} == {
            ("EUR", "onedrive"): 1,
            ("NAM", "onedrive"): 1,
        }
        # Jobs that an earlier load read without a location stay in the list.
        with duckdb.connect(str(user.folder / "m365_warehouse.duckdb")) as connection:
            connection.execute("UPDATE m365_jobs.jobs SET location = NULL WHERE location = 'EUR'")
        shown = json.loads(user.run("status", "--format", "json").stdout)["partitions"]
        assert (None, "onedrive", 1) in {(row["location"], row["object_type"], row["rows_held"]) for row in shown}


def test_the_allowed_age_of_a_service_is_read_from_a_variable_of_its_own(new_user: NewUser) -> None:
    with serving(job("teams", 3), job("onedrive", 3)) as simulator:
        user = new_user(simulator)
        user.set(allowed_age_hours_of__teams="2")
        user.run("load")
        assert user.query("SELECT object_type, status FROM protection_status ORDER BY 1") == [
            ("onedrive", "protected"),
            ("teams", "late"),
        ]
        user.set(allowed_age_hours_of__mail="2")
        assert "allowed_age_hours_of = 'mail'" in user.run("health", code=2).stderr
