"""Test how network and server faults affect a client."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
from avepoint_simulator import (
    FAULTS,
    JOBS_SCOPE,
    Answer,
    Asked,
    Dialect,
    Simulator,
    bomb,
    every,
    make_world,
    throttled_until,
)

from tests.support.hostile import tls_of
from tests.unit.avepoint_simulator.conftest import Api


def test_connections_break_at_once_or_within_the_body() -> None:
    with Simulator(make_world(30), fault=every(drop=2, **{"break": 3})) as simulator:
        api = Api(simulator)
        assert api.get().status_code == 200
        with pytest.raises(requests.exceptions.ConnectionError):
            api.get()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            api.get()


def test_a_body_may_be_truncated_slow_or_invalid_json(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("avepoint_simulator.http.time.sleep", waits.append)
    with Simulator(make_world(30)) as simulator:
        api = Api(simulator)
        whole = api.get().content
        simulator.fault = every(cut=1)
        assert api.get().content == whole[: len(whole) // 2]
        simulator.fault = lambda asked: FAULTS["drip"]
        assert api.get().content == whole
        assert len(waits) > 1
        assert sum(waits) == pytest.approx(1.0)
        simulator.fault = every(maintenance=1)
        page = api.get()
        assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html")
        assert page.text.startswith("<!DOCTYPE html>")
        simulator.fault = every(redirect=1)
        away = api.get()
        assert (away.status_code, away.headers["Location"][:26]) == (302, "https://elsewhere.example/")


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_error_bodies_come_in_the_form_that_the_dialect_names(status: int) -> None:
    names = {401: "unauthorized", 403: "forbidden", 500: "error"}
    fault = every(**{names[status]: 1}) if status in names else None
    message = {}
    for form in ("envelope", "object", "html", "empty"):
        with Simulator(make_world(3), Dialect(error_body=form), fault=fault) as simulator:
            api = Api(simulator)
            url = f"{simulator.base_url}/backup/m365/jobs"
            answer = api.session.post(url) if status == 405 else api.get("nothing" if status == 404 else "jobs")
            assert answer.status_code == status
            message[form] = answer
    envelope = message["envelope"].json()
    assert (envelope["statusCode"], envelope["data"]) == (status, None)
    assert envelope["message"] == envelope["errors"][0]["message"] == message["object"].json()["error"]["message"]
    assert envelope["message"] in message["html"].text
    assert message["html"].headers["Content-Type"] == "text/html"
    assert message["empty"].content == b""


@pytest.mark.parametrize("form", ["seconds", "date", None])
def test_too_many_requests_a_second_are_throttled(form: str | None) -> None:
    with Simulator(make_world(3), per_second=2, retry_after=form) as simulator:
        api = Api(simulator)
        refused = next(answer for answer in (api.get() for _ in range(1000)) if answer.status_code != 200)
        message = refused.headers.get("Retry-After")
    assert refused.status_code == 429
    if form == "date":
        assert message is not None
        assert abs((parsedate_to_datetime(message) - datetime.now(UTC)).total_seconds()) < 60
    else:
        assert message == ("1" if form else None)


def test_answers_are_compressed_for_clients_that_accept_it_where_switched_on() -> None:
    with Simulator(make_world(30)) as simulator:
        api = Api(simulator)
        plain = api.get()
        simulator.gzip = True
        packed = api.get()
        api.session.headers["Accept-Encoding"] = "identity"
        refused = api.get()
    assert "Content-Encoding" not in {**plain.headers, **refused.headers}
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json() == plain.json() == refused.json()


def test_a_stopped_server_ends_the_connections_that_clients_keep_open() -> None:
    with Simulator(make_world(3)) as simulator:
        api = Api(simulator)
        assert api.get().status_code == 200
    with pytest.raises(requests.exceptions.ConnectionError):
        api.get()


def test_requests_are_recorded_with_parameters_in_lower_case() -> None:
    with Simulator(make_world(3)) as simulator:
        Api(simulator).get(ObjectType=3, startTime="2026-01-01")
        assert [(request.number, request.path, request.params) for request in simulator.asked] == [
            (1, "/backup/m365/jobs", {"objecttype": "3", "starttime": "2026-01-01"})
        ]


BROKEN = {
    "reset": requests.exceptions.ConnectionError,
    "reset_in_headers": requests.exceptions.ConnectionError,
    "reset_in_body": requests.exceptions.RequestException,
    "overlong": requests.exceptions.ConnectionError,
}


@pytest.mark.parametrize("name", BROKEN)
def test_connections_are_reset_and_bodies_end_early(name: str) -> None:
    with Simulator(make_world(30)) as simulator:
        api = Api(simulator, timeout=0.2 if name == "overlong" else 30.0)
        simulator.fault = lambda asked: FAULTS[name]
        with pytest.raises(BROKEN[name]) as caught:
            api.get()
    if name != "overlong":
        assert "Connection reset" in str(caught.value)


def test_bodies_end_before_their_end_and_within_their_compression() -> None:
    with Simulator(make_world(30)) as simulator:
        api = Api(simulator)
        whole = api.get().content
        simulator.fault = lambda asked: FAULTS["underlong"]
        assert api.get().content == whole[:-10]
        simulator.fault = lambda asked: FAULTS["cut_gzip"]
        cut = api.get()
    assert cut.headers["Content-Encoding"] == "gzip"
    assert cut.content
    assert whole.startswith(cut.content)
    assert len(cut.content) < len(whole)


def test_a_small_body_decompresses_to_a_large_one() -> None:
    with Simulator(make_world(3)) as simulator:
        simulator.fault = lambda asked: bomb(2)
        answer = Api(simulator).get()
    assert int(answer.headers["Content-Length"]) < 10_000
    assert len(answer.content) > 2_000_000


def test_a_gateway_sees_each_request_those_for_tokens_too() -> None:
    seen: list[Asked] = []

    def gateway(asked: Asked) -> Answer | None:
        seen.append(asked)
        return Answer(502) if asked.number == 3 else None

    with Simulator(make_world(3), gateway=gateway) as simulator:
        api = Api(simulator)
        assert [api.get(objectType=1).status_code for _ in range(3)] == [200, 502, 200]
    assert [(item.number, item.path) for item in seen] == [
        (1, "/connect/token"),
        *((number, "/backup/m365/jobs") for number in (2, 3, 4)),
    ]
    assert (seen[0].params, seen[1].params["objecttype"]) == ({"scope": JOBS_SCOPE}, "1")
    assert len(simulator.asked) == 2, "what a gateway answers does not reach the API"


def test_a_throttled_client_gets_a_retry_time() -> None:
    moment = datetime(2026, 1, 15, 6, tzinfo=UTC)
    header = throttled_until(moment).headers["Retry-After"]
    assert parsedate_to_datetime(header) == moment


def test_a_simulator_speaks_tls(tmp_path: Path) -> None:
    with Simulator(make_world(3), tls=tls_of(tmp_path, "tls")) as simulator:
        assert simulator.base_url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(simulator.base_url, timeout=10)
        answer = requests.get(simulator.base_url, timeout=10, verify=str(tmp_path / "tls" / "mail.pem"))
    assert answer.status_code == 401
