"""Test alerts: each change is sent once, and no secret is shown."""

import json
import sqlite3
import time
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from avepoint_simulator.tenant import FAILED
from standardwebhooks import Webhook

from tests.support.backups import job, serving
from tests.support.cli import Cli, NewUser
from tests.support.receivers import SECRET, HttpReceiver, http_receiver, mail_server


def test_slack_gets_each_change_once(new_user: NewUser) -> None:
    restore = job("onedrive", 5, FAILED, kind="restore")
    late = job("teams", 40)
    with serving(late, restore, job("onedrive", 3)) as simulator, http_receiver() as slack:
        user = new_user(simulator)
        user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.url
        user.run("load")
        user.run("health", "--slack", code=4)
        first = slack.lines()
        assert first[:2] == ["*Microsoft 365 backups: UNHEALTHY*", "New:"]
        assert [line.split(":")[0] for line in first[2:]] == ["• *late* teams", "• *failed restores* onedrive"]
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 1
        simulator.world.change(late.id, finish=simulator.world.now)
        simulator.world.put(job("power_bi", 2, "Stuck <!channel>"))
        user.run("load")
        # Slack is down: the next run sends what this one could not send, and the message hides the address.
        slack.status = 500
        message = user.run("health", "--slack", code=1)
        assert "Slack did not accept the message (it answered 500)" in message.stderr
        assert SECRET not in message.stderr + message.stdout
        slack.status = 200
        user.run("health", "--slack", code=4)
        second = slack.lines()
        assert second[0] == "*Microsoft 365 backups: UNHEALTHY*"
        assert [line.split(" (")[0].split(":")[0] for line in second[1:]] == [
            *("New", "• *never* power_bi", "• *unknown state* state 'Stuck &lt;!channel&gt;'"),
            *("Over", "• *late* teams"),
        ]
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 2


def test_health_of_a_tenant_neither_sends_nor_closes_alerts_of_others(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as slack:
        user = new_user(simulator)
        user.environment["RUNTIME__SLACK_INCOMING_HOOK"] = slack.url
        for tenant in ("contoso", "fabrikam"):
            user.set(tenant=tenant)
            user.run("load")
        user.run("health", "--slack", "--tenant", "contoso", code=4)
        assert "contoso/teams" in slack.messages[-1]
        user.run("health", "--slack", code=4)
        assert "contoso" not in slack.messages[-1]
        assert "fabrikam/teams" in slack.messages[-1]
        user.run("health", "--slack", "--tenant", "contoso", code=4)
        user.run("health", "--slack", code=4)
        assert len(slack.messages) == 2


KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def configure(user: Cli, **channels: dict[str, object]) -> None:
    """Set the settings of channels in the environment."""
    for name, settings in channels.items():
        for key, value in settings.items():
            text = value if isinstance(value, str) else json.dumps(value)
            user.environment[f"ALERTS__CHANNELS__{name.upper()}__{key.upper()}"] = text


def notified(user: Cli, receiver: HttpReceiver, code: int = 4) -> list[dict[str, Any]]:
    """Return the documents that one run of health sends."""
    before = len(receiver.requests)
    user.run("health", "--notify", code=code)
    return [request.document for request in receiver.requests[before:]]


def test_an_alert_opens_once_worsens_and_closes_automatically(new_user: NewUser) -> None:
    failures = [job("teams", hours, FAILED) for hours in (5, 4)]
    with serving(job("teams", 9), *failures) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, noc={"type": "webhook", "url": receiver.url, "secret": KEY})
        user.run("load")
        (opened,) = notified(user, receiver)
        assert (opened["event"], opened["alert"]["kind"]) == ("opened", "failing")
        assert notified(user, receiver) == []
        # A third failure in a row is not sent again; four failures are, because the receiver knows of two.
        simulator.world.put(job("teams", 3, FAILED))
        user.run("load")
        assert notified(user, receiver) == []
        simulator.world.put(job("teams", 2, FAILED))
        user.run("load")
        (worse,) = notified(user, receiver)
        assert (worse["event"], "4 backups in a row" in worse["alert"]["text"]) == ("worse", True)
        simulator.world.put(job("teams", 1))
        user.run("load")
        (closed,) = notified(user, receiver, code=0)
        assert closed["event"] == "closed"
        ids = {document["alert"]["id"] for document in (opened, worse, closed)}
        assert len(ids) == 1
        assert notified(user, receiver, code=0) == []
        assert user.run("alerts").stdout.strip() == "No alert is open."


def test_the_signature_of_a_webhook_is_that_of_standard_webhooks(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        user.run("health", "--notify", code=4)
        (request,) = receiver.requests
        document = Webhook(KEY).verify(request.body, request.headers)
        assert document["delivery_id"] == request.headers["webhook-id"]


def test_a_ticket_is_created_and_resolved_under_one_external_id(new_user: NewUser) -> None:
    late = job("teams", 40)
    with serving(late) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        user.set(tenant="contoso")
        configure(user, psa={"type": "ticket", "url": receiver.url, "secret": "any text"})
        user.run("load")
        (created,) = notified(user, receiver)
        assert (created["action"], created["company"], created["priority"]) == ("create", "contoso", "high")
        simulator.world.put(job("teams", 1))
        user.run("load")
        (resolved,) = notified(user, receiver, code=0)
        assert (resolved["action"], resolved["external_id"]) == ("resolve", created["external_id"])


def test_teams_gets_a_card_in_which_nothing_of_a_text_is_markup(new_user: NewUser) -> None:
    with serving(job("power_bi", 2, "Stuck [here](x)")) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, teams={"url": receiver.url})
        user.run("load")
        user.run("health", "--notify", code=4)
        (attachment,) = receiver.requests[-1].document["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        texts = [block["text"] for block in attachment["content"]["body"]]
        assert texts[0] == "Microsoft 365 backups: UNHEALTHY"
        assert any("\\[here\\](x)" in text for text in texts)


def test_mail_is_sent_over_starttls_with_a_login(new_user: NewUser, tmp_path: Path) -> None:
    with serving(job("teams", 40)) as simulator, mail_server(tmp_path, "pass word") as server:
        user = new_user(simulator)
        configure(user, email=server.channel("pass word"))
        user.run("load")
        # Without the certificate authority of the server, nothing is sent.
        result = user.run("health", "--notify", code=1)
        assert "its certificate is not trusted" in result.stderr
        assert result.stderr.endswith("account and certificate. A later run sends it.\n")
        # No later run sends a report.
        result = user.run("report", "report.html", "--mail", code=1)
        assert result.stderr.endswith(
            "account and certificate. The report is written: report.html. Run the command again to send it.\n"
        )
        configure(user, email={"ca_file": str(server.ca_file)})
        user.run("health", "--notify", code=4)
        (message,) = server.messages
        assert message["Subject"] == "Microsoft 365 backups: UNHEALTHY (1 new)"
        assert server.recipients == [["ada@contoso.com", "noc@contoso.com"]]
        assert "late: teams: " in message.get_content()
        user.run("health", "--notify", code=4)
        assert len(server.messages) == 1


def test_mailbox_names_and_urls_are_sent_only_if_configured(new_user: NewUser) -> None:
    state = "Stuck at ada@contoso.com, see https://contoso.sharepoint.com/sites/x"
    with serving(job("power_bi", 2, state)) as simulator, http_receiver() as outside, http_receiver() as inside:
        user = new_user(simulator)
        configure(
            user,
            slack={"url": outside.url},
            inside={"type": "slack", "url": inside.url, "redact": False},
        )
        user.run("load")
        user.run("health", "--notify", code=4)
        assert "Stuck at [mailbox], see [url]" in outside.messages[0]
        assert "ada@contoso.com" in inside.messages[0]


def test_a_channel_of_a_tenant_gets_nothing_of_others(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as own, http_receiver() as all_of_them:
        user = new_user(simulator)
        configure(user, contoso={"type": "slack", "url": own.url, "tenants": ["contoso", "contso"]})
        configure(user, slack={"url": all_of_them.url})
        for tenant in ("contoso", "fabrikam"):
            user.set(tenant=tenant)
            user.run("load")
        message = user.run("health", "--notify", code=4).stderr
        assert (
            "Channel contoso: Tenant 'contso' is neither in the configuration nor in the warehouse. m365-jobs status "
            "lists all tenants."
        ) in message
        assert [line.split(": ")[0] for line in own.lines()[2:]] == ["• *late* contoso/teams"]
        assert [line.split(": ")[0] for line in all_of_them.lines()[2:]] == [
            *("• *late* contoso/teams", "• *late* fabrikam/teams")
        ]
        # The verdict is that of the channel's tenants as well.
        simulator.world.put(job("teams", 1))
        user.set(tenant="contoso")
        user.run("load")
        user.run("health", "--notify", code=4)
        assert own.lines()[0] == "*Microsoft 365 backups: healthy*"
        assert all_of_them.lines()[0] == "*Microsoft 365 backups: UNHEALTHY*"


def test_reports_of_tenants_are_mailed_to_their_own_recipients(new_user: NewUser, tmp_path: Path) -> None:
    with serving(job("teams", 3)) as simulator, mail_server(tmp_path, "pass word") as server:
        user = new_user(simulator)
        common = {**server.channel("pass word"), "ca_file": str(server.ca_file), "type": "email"}
        configure(
            user,
            # The first by name is not that of everything.
            a_customer={**common, "recipients": ["it@contoso.com"], "tenants": ["contoso"]},
            operators={**common, "recipients": ["noc@msp.example"]},
        )
        for tenant in ("contoso", "fabrikam"):
            user.set(tenant=tenant)
            user.run("load")
        user.run("report", "--each-tenant", "reports", "--mail")
        user.run("report", "all.html", "--mail")
        user.run("report", "both.html", "--tenant", "contoso", "--tenant", "fabrikam", "--mail")
        sent = [(message["Subject"].split(",")[0], message["To"]) for message in server.messages]
        assert sent == [
            ("Microsoft 365 backup report of contoso", "it@contoso.com"),
            ("Microsoft 365 backup report of fabrikam", "noc@msp.example"),
            ("Microsoft 365 backup report", "noc@msp.example"),
            ("Microsoft 365 backup report of contoso", "noc@msp.example"),
        ]
        configure(user, operators={"tenants": []})
        message = user.run("report", "all.html", "--mail", code=2).stderr
        assert "No e-mail channel gets this report: each has other tenants." in message


def test_an_acknowledged_alert_is_silent_and_has_an_owner(new_user: NewUser) -> None:
    failures = [job("teams", hours, FAILED) for hours in (5, 4)]
    with serving(*failures) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        (opened,) = notified(user, receiver)
        alert_id = opened["alert"]["id"]
        user.run("acknowledge", "ffffffff", "--owner", "ada", code=2)
        user.run("acknowledge", alert_id, "--owner", "ada", "--for", "8h")
        (listed,) = json.loads(user.run("alerts", "--format", "json").stdout)["alerts"]
        assert (listed["id"], listed["owner"], listed["acknowledged"]) == (alert_id, "ada", True)
        simulator.world.put(job("teams", 3, FAILED), job("teams", 2, FAILED))
        user.run("load")
        assert notified(user, receiver) == []


def test_an_alert_waits_for_findings_in_a_row_and_for_the_end_of_a_maintenance_window(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.environment["ALERTS__AFTER_RUNS"] = "2"
        user.run("load")
        assert notified(user, receiver) == []
        user.environment["ALERTS__MAINTENANCE"] = json.dumps(["daily 00:00-00:00"])
        assert notified(user, receiver) == []
        del user.environment["ALERTS__MAINTENANCE"]
        (opened,) = notified(user, receiver)
        assert opened["event"] == "opened"


def test_an_alert_does_not_close_because_the_data_is_missing(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        notified(user, receiver)
        user.run("health", "--notify", "--max-age-hours", "0.000001", code=4)
        assert [request.document["event"] for request in receiver.requests] == ["opened", "opened"]
        assert receiver.requests[-1].document["alert"]["kind"] == "stale"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": "http://hooks.example/x", "secret": "x"}, "alerts.channels.webhook.url is not an https URL"),
        ({"url": "https://hooks.example/x"}, "alerts.channels.webhook.secret is missing"),
        ({"url": "https://hooks.example/x", "secrt": "x"}, "Did you mean 'secret'?"),
        ({"type": "webhok", "url": "https://hooks.example/x"}, "Did you mean 'webhook'?"),
    ],
)
def test_a_channel_with_a_wrong_setting_is_named(new_user: NewUser, settings: dict[str, object], problem: str) -> None:
    with serving(job("teams", 3)) as simulator:
        user = new_user(simulator)
        configure(user, webhook=settings)
        assert problem in user.run("health", "--notify", code=2).stderr
        assert "No alert channel is configured" in new_user(simulator).run("health", "--notify", code=2).stderr


def test_open_alerts_are_listed_as_health_lists_findings(new_user: NewUser) -> None:
    failures = [job("teams", hours, FAILED) for hours in (3, 5)]
    restores = [job(service, 5, FAILED, kind="restore") for service in ("exchange_online", "onedrive", "power_bi")]
    with serving(*failures, *restores, job("viva_engage", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, noc={"type": "webhook", "url": receiver.url, "secret": KEY})
        user.run("load")
        notified(user, receiver)
        findings = json.loads(user.run("health", "--format", "json", code=4).stdout)["reasons"]
        alerts = json.loads(user.run("alerts", "--format", "json").stdout)["alerts"]
        table = user.run("alerts").stdout
    assert [(alert["kind"], alert["object_type"]) for alert in alerts] == [
        (finding["kind"], finding["object_type"]) for finding in findings
    ]
    assert len(alerts) == 5
    assert "default" not in table


def test_all_alerts_of_a_tenant_are_acknowledged_together(new_user: NewUser) -> None:
    with serving(job("teams", 40), job("onedrive", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        for tenant in ("contoso", "contoso-north"):
            user.set(tenant=tenant)
            user.run("load")
        assert len(notified(user, receiver)) == 4
        assert "No alert is named" in user.run("acknowledge", "--owner", "ada", code=2).stderr
        for silence in ("0h", "soon"):
            assert "--for" in user.run("acknowledge", "x", "--owner", "ada", "--for", silence, code=2).stderr
        refused = user.run("acknowledge", "--tenant", "contoso", "--tenant", "north", "--owner", "ada", code=2)
        assert "No alert of north is open" in refused.stderr
        lines = user.run("acknowledge", "--tenant", "contoso", "--owner", "ada").stdout.splitlines()
        assert sorted(line.split("(")[1].split(")")[0] for line in lines) == [
            "late of contoso/onedrive",
            "late of contoso/teams",
        ]
        open_alerts = json.loads(user.run("alerts", "--format", "json").stdout)["alerts"]
        assert {(alert["tenant"], alert["acknowledged"]) for alert in open_alerts} == {
            ("contoso", True),
            ("contoso-north", False),
        }


SERVICES = ("exchange_online", "onedrive", "power_bi", "sharepoint_online", "teams")


def test_a_receiver_that_refuses_one_alert_gets_the_others_and_that_one_in_order_later(new_user: NewUser) -> None:
    with serving(*(job(service, 40) for service in SERVICES)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, psa={"type": "ticket", "url": receiver.url, "secret": "any text"})
        user.run("load")
        receiver.refused = {"exchange_online": 410}
        created = notified(user, receiver, code=1)
        assert [document["service"] for document in created] == [*SERVICES[1:]]
        simulator.world.put(job("exchange_online", 1), job("teams", 1))
        user.run("load")
        (resolved,) = notified(user, receiver, code=1)
        assert (resolved["action"], resolved["service"]) == ("resolve", "teams")
        receiver.refused = {}
        user.run("alerts", "--resend")
        make_due(user)
        late = notified(user, receiver)
        assert [(document["action"], document["service"]) for document in late] == [
            ("create", "exchange_online"),
            ("resolve", "exchange_online"),
        ]


def make_due(user: Cli) -> None:
    (file,) = Path(user.environment["DLT_DATA_DIR"]).rglob("*.alerts.sqlite")
    with closing(sqlite3.connect(file)) as store, store:
        store.execute("UPDATE deliveries SET next_attempt_at = created_at")


def test_a_receiver_that_is_down_is_asked_three_times_in_a_run(new_user: NewUser) -> None:
    with serving(*(job(service, 40) for service in SERVICES)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        receiver.status = 500
        message = user.run("health", "--notify", code=1).stderr
        assert message.count("did not accept") == 1
        assert receiver.attempts == 3
        receiver.status = 200
        assert len(notified(user, receiver)) == len(SERVICES)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_receiver_that_asks_to_wait_gets_no_message_until_then(new_user: NewUser, form: str) -> None:
    with serving(*(job(service, 40) for service in SERVICES)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, webhook={"url": receiver.url, "secret": KEY})
        user.run("load")
        receiver.status = 429
        receiver.retry_after = "3600" if form == "seconds" else formatdate(time.time() + 3600, usegmt=True)
        user.run("health", "--notify", code=1)
        user.run("health", "--notify", code=4)
        assert receiver.attempts == 1


def test_a_refused_message_of_a_run_holds_up_no_later_one(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, teams={"url": receiver.url})
        user.run("load")
        receiver.status = 413
        message = user.run("health", "--notify", code=1).stderr
        assert "No later run sends the message of teams. Run: m365-jobs alerts --resend." in " ".join(message.split())
        receiver.status = 200
        simulator.world.put(job("teams", 1))
        user.run("load")
        (card,) = notified(user, receiver, code=0)
        assert "Over" in json.dumps(card)


def test_tickets_of_a_removed_or_renamed_tenant_are_resolved(new_user: NewUser) -> None:
    with serving(job("teams", 40)) as simulator, http_receiver() as receiver:
        user = new_user(simulator)
        configure(user, psa={"type": "ticket", "url": receiver.url, "secret": "any text"})
        user.set(tenant="contoso")
        user.run("load")
        (created,) = notified(user, receiver)
        user.set(tenant="fabrikam")
        user.run("tenant", "rename", "contoso", "fabrikam", "--yes")
        tickets = notified(user, receiver)
        assert [(ticket["action"], ticket["company"]) for ticket in tickets] == [
            ("create", "fabrikam"),
            ("resolve", "contoso"),
        ]
        assert tickets[1]["external_id"] == created["external_id"]
        user.run("load")
        user.set(tenant="northwind")
        user.run("load")
        user.run("tenant", "remove", "fabrikam", "--yes")
        actions = [(ticket["action"], ticket["company"]) for ticket in notified(user, receiver)]
        assert actions == [("create", "northwind"), ("resolve", "fabrikam")]
        assert notified(user, receiver) == []
