"""What the client sends and what it makes of the answers, over a mocked network."""

import codecs
import json
import uuid
from typing import Any

import pytest
import responses
from avepoint_m365.auth import Secret
from avepoint_m365.client import JobsClient
from avepoint_m365.config import Addresses, resolve_addresses
from avepoint_m365.errors import ApiError, AuthenticationError, ConfigurationError, MissingPermissionError
from avepoint_m365.paging import Page
from avepoint_m365.settings import BASE_URLS, TOKEN_URLS, Endpoint

ADDRESSES = Addresses(BASE_URLS["us"], TOKEN_URLS["commercial"])
FIRST = ADDRESSES.base_url + Endpoint.jobs.path
SECOND = ADDRESSES.base_url + Endpoint.cloudbackupjobs.path
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
    answer = client().ask({"objectType": "1"})
    assert (answer.page, answer.endpoint) == (Page(["1"], 1, ""), Endpoint.jobs)


@pytest.mark.parametrize("job", [{"id": "1"}, {"id": 1}])
def test_a_byte_order_mark_before_the_answer_is_passed_over(api: responses.RequestsMock, job: dict[str, Any]) -> None:
    grant(api)
    body = codecs.BOM_UTF8 + json.dumps({"jobs": [job], "totalCount": 1, "nextLink": ""}).encode()
    api.get(FIRST, body=body, content_type="application/json; charset=utf-8")
    assert client().ask({}).page == Page(["1"], 1, "")


@pytest.mark.parametrize("status", [404, 405, 410, 401, 403])
def test_auto_takes_the_second_generation_where_the_first_is_refused(api: responses.RequestsMock, status: int) -> None:
    grant(api)
    api.get(FIRST, status=status)
    api.get(SECOND, json={"data": [{"id": "1"}], "metadata": {"totalNumber": 1, "nextLink": ""}})
    jobs = client()
    answer = jobs.ask({})
    assert (answer.page, answer.endpoint) == (Page(["1"], 1, ""), Endpoint.cloudbackupjobs)
    asked = len(api.calls)
    jobs.page({})
    assert len(api.calls) == asked + 1, "the answer is remembered"


def test_a_token_is_renewed_once_on_a_401(api: responses.RequestsMock) -> None:
    grant(api, "stale")
    grant(api, "fresh")
    api.get(FIRST, status=401)
    api.get(FIRST, json={"jobs": [], "totalNumber": 0, "nextLink": ""})
    client("jobs").page({})
    sent = [call.request.headers["Authorization"] for call in api.calls if call.request.method == "GET"]
    assert sent == ["Bearer stale", "Bearer fresh"]


def test_a_403_names_the_permission_to_grant(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, status=403, body="<html>no</html>", headers={"x-request-id": "abc-1"})
    with pytest.raises(MissingPermissionError, match=r"abc-1.*microsoft365backup\.jobInfo\.read\.all"):
        client("jobs").page({})


@pytest.mark.parametrize(
    ("error", "expected", "cure"),
    [
        ("invalid_client", AuthenticationError, "secret or certificate is wrong or has expired"),
        ("invalid_scope", MissingPermissionError, "permission is not granted"),
    ],
)
def test_a_refused_token_names_its_cure_and_no_secret(
    api: responses.RequestsMock, error: str, expected: type[Exception], cure: str
) -> None:
    api.post(ADDRESSES.token_url, status=400, json={"error": error, "error_description": SECRET})
    with pytest.raises(expected, match=cure) as caught:
        client("jobs").page({})
    assert SECRET not in str(caught.value)


def test_a_redirect_is_not_followed(api: responses.RequestsMock) -> None:
    grant(api)
    api.get(FIRST, status=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(ApiError, match="Redirects are not followed"):
        client("jobs").page({})
    assert {call.request.url.split("?")[0] for call in api.calls} == {ADDRESSES.token_url, FIRST}


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
        resolve_addresses("us", None, given["base_url"], given["token_url"], None)


def test_each_data_center_has_its_identity_service() -> None:
    for data_center, host in BASE_URLS.items():
        found = resolve_addresses(data_center, None, None, None, None)
        expected = data_center if data_center in ("gov", "aos2", "fedramp") else "commercial"
        assert found == Addresses(host, TOKEN_URLS[expected])
    with pytest.raises(ConfigurationError, match="contradicts"):
        resolve_addresses("us", "gov", None, None, None)
