"""Test what the client sends and how it reads the responses, over a mocked network."""

import codecs
import json
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
import responses
from avepoint_m365.api.auth import Secret
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import PageInfo, parse_pages
from avepoint_m365.api.stats import CancelToken
from avepoint_m365.config import ServiceUrls, resolve_service_urls
from avepoint_m365.constants import BASE_URLS, JOBS_SCOPE, TOKEN_URLS
from avepoint_m365.endpoints import CLOUD_BACKUP_JOBS, JOBS, Params
from avepoint_m365.exceptions import (
    ApiError,
    AuthenticationError,
    BadResponseError,
    ConfigurationError,
    EndpointMissingError,
    GatewayTimeoutError,
    MissingPermissionError,
    PageTooLargeError,
    RefusedParametersError,
    ThrottledError,
)

ADDRESSES = ServiceUrls(BASE_URLS["us"], TOKEN_URLS["commercial"])
FIRST = ADDRESSES.base_url + JOBS.path
SECOND = ADDRESSES.base_url + CLOUD_BACKUP_JOBS.path
SECRET = uuid.uuid4().hex


@pytest.fixture
def api() -> Any:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def grant(api: responses.RequestsMock, token: str = "first") -> None:
    api.post(ADDRESSES.token_url, json={"access_token": token, "expires_in": 3600})


def client(endpoint: str = "auto") -> JobsClient:
    return JobsClient(ADDRESSES, Secret("client", SECRET), endpoint, 2)


def test_the_first_generation_is_asked_first(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, json={"jobs": [{"id": "1"}], "totalCount": 1, "nextLink": ""})
    answer = client().request_page({"objectType": "1"})
    assert (answer.info, answer.endpoint) == (PageInfo(["1"], 1, ""), JOBS)


@pytest.mark.parametrize("job", [{"id": "1"}, {"id": 1}])
def test_a_byte_order_mark_before_the_answer_is_passed_over(api: responses.RequestsMock, job: dict[str, Any]) -> None:
    grant(api)
    body = codecs.BOM_UTF8 + json.dumps({"jobs": [job], "totalCount": 1, "nextLink": ""}).encode()
    api.get(FIRST, body=body, content_type="application/json; charset=utf-8")
    assert client().request_page({}).info == PageInfo(["1"], 1, "")


@pytest.mark.parametrize("status", [404, 405, 410, 401, 403, 301, 308])
def test_auto_uses_the_second_generation_if_the_first_is_refused(api: responses.RequestsMock, status: int) -> None:
    grant(api)
    api.get(FIRST, status=status)
    api.get(SECOND, json={"data": [{"id": "1"}], "metadata": {"totalNumber": 1, "nextLink": ""}})
    jobs = client()
    answer = jobs.request_page({})
    assert (answer.info, answer.endpoint) == (PageInfo(["1"], 1, ""), CLOUD_BACKUP_JOBS)
    asked = len(api.calls)
    jobs.request_page({})
    assert len(api.calls) == asked + 1, "the answer is remembered"


def test_a_token_is_renewed_once_on_a_401(api: responses.RequestsMock) -> None:
    grant(api, "stale")
    grant(api, "fresh")
    api.get(FIRST, status=401)
    api.get(FIRST, json={"jobs": [], "totalNumber": 0, "nextLink": ""})
    client("jobs").request_page({})
    sent = [call.request.headers["Authorization"] for call in api.calls if call.request.method == "GET"]
    assert sent == ["Bearer stale", "Bearer fresh"]


def test_a_403_names_the_permission_to_grant(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, status=403, body="<html>no</html>", headers={"x-request-id": "abc-1"})
    with pytest.raises(MissingPermissionError, match=r"abc-1.*microsoft365backup\.jobInfo\.read\.all"):
        client("jobs").request_page({})


@pytest.mark.parametrize(
    ("error", "expected", "cure"),
    [
        ("invalid_client", AuthenticationError, "secret or certificate is wrong or has expired"),
        ("invalid_scope", MissingPermissionError, "Permission not granted"),
    ],
)
def test_a_refused_token_names_its_cure_and_no_secret(
    api: responses.RequestsMock, error: str, expected: type[Exception], cure: str
) -> None:
    api.post(ADDRESSES.token_url, status=400, json={"error": error, "error_description": SECRET})
    with pytest.raises(expected, match=cure) as caught:
        client("jobs").request_page({})
    assert SECRET not in str(caught.value)


def envelope(status: object, **more: Any) -> dict[str, Any]:
    """Return an error response of the second generation, whose HTTP status may be an error or 200."""
    return {"statusCode": status, "message": "It is busy.", "errors": [], "data": None} | more


def test_a_repeated_part_of_an_error_message_is_reported_once(api: responses.RequestsMock) -> None:
    grant(api)
    message = "The resource does not exist."
    for path in (FIRST, SECOND):
        api.get(path, status=404, json={"statusCode": 404, "message": message, "errors": [{"message": message}]})
    with pytest.raises(EndpointMissingError, match=r"answered 404: The resource does not exist\. This host"):
        client().request_page({})


@pytest.mark.parametrize(
    ("params", "cure"),
    [
        ({}, "This host lacks the endpoint: check endpoint and base_url."),
        (
            {"location": "EUR"},
            "Other requests succeed: the API refuses this location. Check locations, which are for Multi-Geo tenants "
            "only.",
        ),
        ({"objectType": "5"}, "Other requests succeed: the API refuses this objectType. Check object_types."),
    ],
)
def test_a_404_for_one_filter_names_that_filter(api: responses.RequestsMock, params: Params, cure: str) -> None:
    grant(api)
    api.get(FIRST, json={"jobs": [], "nextLink": "", "totalNumber": 0})
    asking = client()
    asking.request_page({})
    api.replace("GET", FIRST, status=404, json={"message": "Not found."})
    with pytest.raises(EndpointMissingError) as caught:
        asking.request_page(params)
    assert str(caught.value).endswith(f" answered 404: Not found. {cure}")


@pytest.mark.parametrize("lists", [{}, {"jobs": None}, {"jobs": None, "totalNumber": None, "nextLink": None}])
@pytest.mark.parametrize("errors", [{"message": "It broke."}, {"error": {"code": "Broken", "message": "It broke."}}])
def test_a_message_where_jobs_should_be_is_no_empty_list(
    api: responses.RequestsMock, lists: dict[str, Any], errors: dict[str, Any]
) -> None:
    grant(api)
    api.get(FIRST, json=lists | errors)
    with pytest.raises(ApiError, match=r"holds no list of jobs and says: .*It broke"):
        client("jobs").request_page({})


@pytest.mark.parametrize("lists", [{"jobs": None}, {"jobs": None, "totalNumber": 0, "message": "There are none."}])
def test_no_list_without_a_message_is_an_empty_one(api: responses.RequestsMock, lists: dict[str, Any]) -> None:
    grant(api)
    api.get(FIRST, json=lists)
    assert client("jobs").request_page({}).info.ids == []


@pytest.mark.parametrize("status", [429, 503, "500"])
def test_a_200_with_a_transient_error_is_retried(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, status: object
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(SECOND, json=envelope(status))
    api.get(SECOND, json=envelope(status))
    api.get(SECOND, json={"statusCode": 200, "data": [{"id": "1"}], "metadata": {"totalNumber": 1}})
    answer = client("cloudbackupjobs").request_page({})
    assert (answer.info.ids, answer.attempts) == (["1"], 3)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 408},
        {"body": requests.exceptions.ConnectionError("reset")},
        {"body": requests.exceptions.ChunkedEncodingError("cut")},
        {"body": requests.exceptions.ContentDecodingError("no gzip")},
        {"body": "<html>"},
        {"body": '{"jobs": [{"id": "1"}'},
        {"status": 429, "headers": {"Retry-After": "0.001"}},
    ],
    ids=["503", "408", "reset", "cut", "no gzip", "html", "cut after a job", "429"],
)
def test_transient_errors_are_retried_and_each_attempt_is_counted(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(FIRST, **fault)
    api.get(FIRST, json={"jobs": [{"id": "1"}], "totalCount": 1, "nextLink": ""})
    answer = client("jobs").request_page({})
    assert (answer.info.ids, answer.attempts) == (["1"], 2)


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("2", [2.0]),
        ("3600", [300.0]),
        ("1.5", [2.0]),
        ("9" * 5000, [300.0]),
        ("Fri, 31 Dec 99999 23:59:59 GMT", [0.25]),
        ("soon", [0.25]),
        ("-5", [0.25]),
        ("nan", [0.25]),
    ],
)
@pytest.mark.parametrize("status", [503, 200])
def test_the_wait_for_a_retry_is_bounded_for_each_retry_after(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, header: str, waits: list[float], status: int
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.25")
    waited: list[float] = []
    monkeypatch.setattr(CancelToken, "pause", lambda token, seconds: waited.append(seconds))
    grant(api)
    api.get(SECOND, status=status, json=envelope(503), headers={"Retry-After": header})
    api.get(SECOND, json={"statusCode": 200, "data": [{"id": "1"}], "metadata": {"totalNumber": 1}})
    assert client("cloudbackupjobs").request_page({}).info.ids == ["1"]
    assert waited == waits


def test_a_200_with_a_refused_token_is_retried_with_a_new_token(api: responses.RequestsMock) -> None:
    grant(api, "stale")
    grant(api, "fresh")
    api.get(SECOND, json=envelope(401))
    api.get(SECOND, json={"statusCode": 200, "data": [{"id": "1"}], "metadata": {"totalNumber": 1}})
    assert client("cloudbackupjobs").request_page({}).info.ids == ["1"]
    sent = [call.request.headers["Authorization"] for call in api.calls if call.request.method == "GET"]
    assert sent == ["Bearer stale", "Bearer fresh"]


@pytest.mark.parametrize(
    ("status", "expected", "cure"),
    [
        (400, RefusedParametersError, "refuses a parameter: check .*locations"),
        (401, AuthenticationError, "environment and data_center"),
        (403, MissingPermissionError, "Grant the permission"),
        (410, EndpointMissingError, "lacks the endpoint"),
        (429, ThrottledError, "lower concurrency"),
        (503, ApiError, "Try again later"),
    ],
)
def test_a_200_with_a_lasting_error_has_the_cure_of_that_status(
    api: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: type[Exception],
    cure: str,
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(SECOND, json=envelope(status))
    with pytest.raises(expected, match=f"answered 200, but says {status}: It is busy.*{cure}"):
        client("cloudbackupjobs").request_page({})


@pytest.mark.parametrize(
    ("errors", "message"),
    [([], ""), (None, ""), ([{"message": "EUR is down"}], "EUR is down"), (["EUR is down"], "EUR is down")],
)
@pytest.mark.parametrize("ids", [["1"], []], ids=["a job", "no job"])
def test_errors_beside_a_list_of_jobs_are_kept_with_the_page(
    api: responses.RequestsMock, ids: list[str], errors: object, message: str
) -> None:
    grant(api)
    jobs = [{"id": job_id} for job_id in ids]
    api.get(SECOND, json={"statusCode": 200, "data": jobs, "metadata": {"totalNumber": 1}, "errors": errors})
    assert client("cloudbackupjobs").request_page({}).info == PageInfo(ids, 1, None, message)


def test_errors_without_a_list_of_jobs_are_an_error(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(SECOND, json={"statusCode": 200, "data": None, "errors": [{"message": "EUR is down"}]})
    with pytest.raises(ApiError, match="the response contains errors: EUR is down"):
        client("cloudbackupjobs").request_page({})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"title": "Not valid", "errors": {"startTime": ["is no time"]}}, "Not valid.*is no time"),
        ({"error": {"code": "BadRequest", "message": "No such location"}}, "No such location"),
        ({"message": "Not valid", "errors": 5}, "Not valid"),
        ({"message": "Not valid", "errors": ["no location"]}, "Not valid"),
        ({"message": "Not valid", "errors": [{"message": "no location"}]}, "Not valid no location"),
        ([1, 2], "refuses a parameter"),
    ],
)
def test_an_error_message_of_the_api_is_reported_from_each_form(
    api: responses.RequestsMock, body: object, message: str
) -> None:
    grant(api)
    api.get(FIRST, status=400, json=body)
    with pytest.raises(RefusedParametersError, match=message):
        client("jobs").request_page({})


@pytest.mark.parametrize("content_type", ["application/json; charset=iso-8859-1", "text/plain"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("job_id", ["1", 1])
def test_texts_are_decoded_correctly_despite_a_wrong_header(
    api: responses.RequestsMock, content_type: str, encoding: str, job_id: object
) -> None:
    grant(api)
    body = json.dumps({"jobs": [{"id": job_id, "state": "Läuft"}], "totalCount": 1}, ensure_ascii=False)
    api.get(FIRST, body=body.encode(encoding), content_type=content_type)
    assert parse_pages([client("jobs").request_page({})]).jobs["state"].to_pylist() == ["Läuft"]


def test_a_line_break_that_is_not_escaped_in_a_text_is_read(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, body=b'{"jobs": [{"id": "1", "state": "Fini\n\tshed"}], "totalCount": 1}')
    assert parse_pages([client("jobs").request_page({})]).jobs["state"].to_pylist() == ["Fini\n\tshed"]


@pytest.mark.parametrize("lifetime", ["9" * 400, "-5", "null", '"soon"'], ids=["huge", "negative", "null", "text"])
def test_a_token_of_any_lifetime_is_used(api: responses.RequestsMock, lifetime: str) -> None:
    api.post(ADDRESSES.token_url, body=f'{{"access_token": "fresh", "expires_in": {lifetime}}}')
    api.get(FIRST, json={"jobs": [{"id": "1"}], "totalCount": 1, "nextLink": ""})
    assert client("jobs").request_page({}).info.ids == ["1"]


@pytest.mark.parametrize("body", ["<html>", "[]", "[" * 100_000], ids=["html", "list", "deep"])
def test_an_identity_service_that_answers_with_something_else_is_named(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    api.post(ADDRESSES.token_url, body=body)
    with pytest.raises(AuthenticationError, match="answered without an access token"):
        client("jobs").authenticate()


@pytest.mark.parametrize("levels", [450, 20_000])
@pytest.mark.parametrize("form", ['{{"jobs": [], "new": {}}}', '{{"new": {}, "jobs": [{{"id": "1"}}]}}'])
def test_json_that_is_nested_without_end_is_an_error_like_any_other(
    api: responses.RequestsMock, levels: int, form: str
) -> None:
    grant(api)
    api.get(FIRST, body=form.format('[ {"a":' * levels + "1" + "} ]" * levels))
    with pytest.raises(BadResponseError, match="cut, damaged or nested too deep"):
        client("jobs").request_page({})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"jobs": [{"id": "1"}, {"id": "2', "is JSON that is cut"),
        ("<html>", "Is base_url the API's host"),
        ("", "host"),
    ],
)
def test_a_cut_answer_is_distinguished_from_that_of_another_host(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, body: str, problem: str
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(FIRST, body=body)
    with pytest.raises(BadResponseError, match=problem):
        client("jobs").request_page({})


@pytest.mark.parametrize("levels", [450, 20_000])
def test_a_page_with_a_job_that_is_nested_without_end_is_unreadable(api: responses.RequestsMock, levels: int) -> None:
    grant(api)
    deep = '[ {"a":' * levels + "1" + "} ]" * levels
    api.get(FIRST, body=f'{{"jobs": [{{"id": "1", "new": {deep}}}, {{"id": "2"}}], "totalCount": 2}}')
    page = client("jobs").request_page({})
    parsed = parse_pages([page])
    assert (page.info.ids, parsed.jobs["id"].to_pylist()) == (["1", "2"], [])
    assert [(problem.job_id, problem.field) for problem in parsed.unreadable] == [("", "id")]


@pytest.mark.parametrize("more", [{}, {"new": 1}])
def test_brackets_in_texts_are_not_taken_for_levels(api: responses.RequestsMock, more: dict[str, Any]) -> None:
    grant(api)
    error = {"isErrorCode": False, "value": 'Failed: \\"[{ ... "[[', "url": "", "number": 1}
    jobs = [{"id": str(number), "state": "Failed", "jobErrors": [error], **more} for number in range(300)]
    api.get(FIRST, json={"jobs": jobs, "totalCount": 300, "nextLink": ""})
    answer = client("jobs").request_page({})
    assert {item["value"] for errors in parse_pages([answer]).jobs["errors"].to_pylist() for item in errors} == {
        error["value"]
    }
    assert answer.info.ids == [str(number) for number in range(300)]


def test_a_status_of_more_digits_than_python_reads_is_an_error_like_any_other(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(FIRST, json=envelope("4" * 5000))
    with pytest.raises(ApiError, match="but says 444444444: It is busy"):
        client("jobs").request_page({})


def test_a_text_with_braces_is_not_taken_for_a_body_that_was_cut(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, json={"jobs": [{"id": "1", "state": "{{{"}], "totalCount": 1, "nextLink": ""})
    assert client("jobs").request_page({}).attempts == 1


def test_a_redirect_is_not_followed(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, status=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(ApiError, match="Redirects are not followed"):
        client("jobs").request_page({})
    assert {str(call.request.url).split("?")[0] for call in api.calls} == {ADDRESSES.token_url, FIRST}


@pytest.mark.parametrize(
    "url",
    [
        "http://graph-us.avepointonlineservices.com",
        "https://evil.example",
        "https://avepointonlineservices.com.evil.example",
        "https://evilavepointonlineservices.com",
        "https://user:pass@graph-us.avepointonlineservices.com",
        "ftp://127.0.0.1",
        "graph-us.avepointonlineservices.com",
    ],
)
@pytest.mark.parametrize("key", ["base_url", "token_url"])
def test_addresses_that_credentials_must_not_reach_are_refused(key: str, url: str) -> None:
    given = {"base_url": None, "token_url": None} | {key: url}
    with pytest.raises(ConfigurationError, match=key):
        resolve_service_urls("us", None, given["base_url"], given["token_url"], None)


def test_each_data_center_has_its_identity_service() -> None:
    for data_center, host in BASE_URLS.items():
        result = resolve_service_urls(data_center, None, None, None, None)
        expected = data_center if data_center in ("gov", "aos2", "fedramp") else "commercial"
        assert result == ServiceUrls(host, TOKEN_URLS[expected])
    with pytest.raises(ConfigurationError, match="contradicts"):
        resolve_service_urls("us", "gov", None, None, None)


LICENCES, LICENCE_SCOPE = "/backup/m365/cloudbackuplicenseconsumption", "microsoft365backup.subscriptionInfo.read.all"


def token_by_scope(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
    """Permit only the scope of jobs."""
    scope = dict(parse_qsl(str(request.body)))["scope"]
    if scope == JOBS_SCOPE:
        return 200, {}, json.dumps({"access_token": "for jobs", "expires_in": 3600})
    return 400, {}, json.dumps({"error": "invalid_scope"})


def test_a_scope_that_is_not_granted_does_not_affect_the_others(api: responses.RequestsMock) -> None:
    api.add_callback("POST", ADDRESSES.token_url, token_by_scope)
    api.get(FIRST, json={"jobs": [{"id": "1"}], "totalCount": 1, "nextLink": ""})
    jobs = client("jobs")
    for _ in range(2):
        with pytest.raises(MissingPermissionError, match=LICENCE_SCOPE):
            jobs.get(LICENCES, {}, LICENCE_SCOPE)
        assert jobs.request_page({}).info.ids == ["1"]
    scopes = [parse_qsl(str(call.request.body))[1][1] for call in api.calls if call.request.method == "POST"]
    assert scopes == [LICENCE_SCOPE, JOBS_SCOPE, LICENCE_SCOPE]


def test_each_resource_is_read_with_the_token_of_its_scope(api: responses.RequestsMock) -> None:
    grant(api, "first")
    grant(api, "second")
    api.get(FIRST, json={"jobs": [], "totalCount": 0, "nextLink": ""})
    api.get(ADDRESSES.base_url + LICENCES, json={"statusCode": 200, "data": {"purchasedUserSeats": 5}})
    jobs = client("jobs")
    jobs.request_page({})
    assert jobs.get(LICENCES, {"location": "EUR"}, LICENCE_SCOPE) == {
        "statusCode": 200,
        "data": {"purchasedUserSeats": 5},
    }
    sent = [call.request.headers["Authorization"] for call in api.calls if call.request.method == "GET"]
    assert sent == ["Bearer first", "Bearer second"]
    assert "location=EUR" in str(api.calls[-1].request.url)


@pytest.mark.parametrize("status", [403, 200])
def test_a_403_of_a_companion_names_its_own_permission(api: responses.RequestsMock, status: int) -> None:
    grant(api)
    api.get(ADDRESSES.base_url + LICENCES, status=status, json={"statusCode": 403, "message": "No."})
    with pytest.raises(MissingPermissionError, match=rf"No\. Grant the permission {LICENCE_SCOPE}"):
        client("jobs").get(LICENCES, {}, LICENCE_SCOPE)


def test_a_resource_without_content_is_none(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(ADDRESSES.base_url + LICENCES, status=204)
    assert client("jobs").get(LICENCES, {}, LICENCE_SCOPE) is None


@pytest.mark.parametrize(
    ("body", "parameter", "setting"),
    [
        ({"errors": [{"code": "x", "field": "StartTime", "message": "too old"}]}, "startTime", "start_date"),
        ({"errors": {"location": ["is unknown"]}, "title": "Not valid"}, "location", "locations"),
        ({"message": "The value of pageSize is invalid."}, "pageSize", "page_size"),
        ({"message": "objectType 12 is unknown"}, "objectType", "object_types"),
        ({"message": "startTime must lie before finishTime"}, None, "start_date, page_size"),
        ({"message": "Bad request"}, None, "start_date, page_size"),
        ({"errors": [{"field": 5}, {"field": "else"}]}, None, "start_date, page_size"),
    ],
)
def test_a_refused_parameter_is_named_with_the_setting_it_comes_from(
    api: responses.RequestsMock, body: dict[str, Any], parameter: str | None, setting: str
) -> None:
    grant(api)
    api.get(FIRST, status=400, json=body, headers={"Date": "Mon, 02 Mar 2026 09:00:00 GMT"})
    with pytest.raises(RefusedParametersError, match=f"check {setting}") as caught:
        client("jobs").request_page({})
    assert caught.value.parameter == parameter
    assert caught.value.server_time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert caught.value.message in str(caught.value)


def test_a_504_is_retried_only_once(api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    grant(api)
    api.get(FIRST, status=504)
    jobs = client("jobs")
    jobs.authenticate()
    with pytest.raises(GatewayTimeoutError, match="lower page_size"):
        jobs.request_page({})
    assert jobs.stats.attempts == 3, "the token, and two attempts"


def test_what_requests_wait_for_is_shown_until_a_response_arrives(
    api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    shown: list[str] = []
    jobs = client("jobs")

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        shown.append(str(jobs.stats.waiting))
        if len(shown) == 1:
            raise requests.exceptions.ConnectionError("reset")
        return (503, {}, "") if len(shown) == 2 else (200, {}, '{"jobs": [], "totalCount": 0}')

    grant(api)
    api.add_callback("GET", FIRST, answer)
    jobs.request_page({})
    assert shown == ["None", "host unreachable, attempt 2 of 5", "server error 503, attempt 3 of 5"]
    assert jobs.stats.waiting is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Sat, 10 Jan 2026 12:00:00 GMT", datetime(2026, 1, 10, 12, tzinfo=UTC)),
        ("Sat, 10 Jan 2026 14:00:00 +0200", datetime(2026, 1, 10, 12, tzinfo=UTC)),
        ("soon", None),
        ("", None),
    ],
)
def test_the_clock_of_the_server_is_read(api: responses.RequestsMock, header: str, expected: datetime | None) -> None:
    grant(api)
    api.get(FIRST, json={"jobs": [], "totalCount": 0}, headers={"Date": header})
    assert client("jobs").request_page({}).server_time == expected


@pytest.mark.parametrize("jobs", [0, 20_000])
def test_a_page_larger_than_allowed_is_refused_in_one_paragraph(api: responses.RequestsMock, jobs: int) -> None:
    grant(api)
    rows = [{"id": str(number), "state": "Finished" * 10} for number in range(jobs)]
    api.get(FIRST, json={"jobs": rows, "totalCount": jobs, "nextLink": ""})
    small = JobsClient(ADDRESSES, Secret("client", SECRET), "jobs", 2, max_page_mb=1)
    if not jobs:
        assert small.request_page({}).info.ids == []
        return
    with pytest.raises(PageTooLargeError, match=r"page of more than 1 MB.* Lower page_size, or raise max_page_mb\.$"):
        small.request_page({})
    assert len(client("jobs").request_page({}).info.ids) == jobs


@pytest.mark.parametrize(
    ("body", "page"),
    [
        ({"Jobs": [{"Id": "1"}], "TotalCount": 1, "NextLink": ""}, PageInfo(["1"], 1, "")),
        ({"data": [{"id": "1"}], "metadata": {"totalNumber": 7, "nextLink": "?a=1"}}, PageInfo(["1"], 7, "?a=1")),
        ({"jobs": [{"id": "1"}], "totalCount": "1", "nextLink": None}, PageInfo(["1"], 1, None)),
        (
            {"jobs": [{"id": "1"}], "totalCount": "many"},
            PageInfo(["1"], None, None, "the total is 'many', which is not a whole number."),
        ),
    ],
)
@pytest.mark.parametrize("endpoint", ["jobs", "cloudbackupjobs"])
def test_names_around_the_jobs_are_matched_in_any_case_and_of_either_generation(
    api: responses.RequestsMock, endpoint: str, body: dict[str, Any], page: PageInfo
) -> None:
    grant(api)
    for url in (FIRST, SECOND):
        api.get(url, json=body)
    assert client(endpoint).request_page({}).info == page


def test_a_value_in_an_unknown_form_keeps_its_page_and_is_named(api: responses.RequestsMock) -> None:
    grant(api)
    jobs = [{"id": "1", "state": "Finished", "duration": "0,011"}, {"id": "2", "state": "Finished"}, {"state": "lost"}]
    api.get(FIRST, json={"jobs": jobs, "totalCount": 3, "nextLink": ""})
    answer = client("jobs").request_page({})
    assert parse_pages([answer]).jobs["id"].to_pylist() == answer.info.ids == ["1", "2"]
    assert [(problem.job_id, problem.field) for problem in parse_pages([answer]).unreadable] == [
        ("", "id"),
        ("1", "duration"),
    ]
