"""Test generations of the endpoint: an invented third generation needs no change of the package."""

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses
from avepoint_m365.api.auth import Secret
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.connection import connect
from avepoint_m365.api.page import parse_pages
from avepoint_m365.api.pagination import Pager
from avepoint_m365.config import ServiceUrls
from avepoint_m365.endpoints import (
    CLOUD_BACKUP_JOBS,
    JOBS,
    EndpointVersion,
    ParameterSpelling,
    register,
    unregister,
    versions,
)
from avepoint_m365.exceptions import ConfigurationError, RefusedParametersError

ADDRESSES = ServiceUrls("http://127.0.0.1:9", "http://127.0.0.1:9/token")
THIRD = EndpointVersion(
    "activities",
    "/backup/v3/activities",
    rows=("items",),
    paging=("page",),
    totals=("matches",),
    links=(),
    cursors=("continuation",),
    parameters=MappingProxyType(
        {"startTime": "from", "finishTime": "to", "pageSize": "$top", "cursor": "$skipToken", "objectType": "service"}
    ),
    job_path="/backup/v3/activities/{job_id}",
)
IDS = [f"A{number}" for number in range(23)]


@pytest.fixture
def third() -> Iterator[EndpointVersion]:
    register(THIRD)
    yield THIRD
    unregister(THIRD.name)


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(ADDRESSES.token_url, json={"access_token": "token", "expires_in": 3600})
        yield mock


def client(endpoint: str = "auto") -> JobsClient:
    return JobsClient(ADDRESSES, Secret("client", "secret"), endpoint, 2)


def query(request: requests.PreparedRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(str(request.url)).query))


def serve(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
    """Page by an opaque token, and refuse parameters of other generations."""
    asked = query(request)
    if not {"from", "to", "$top"} <= asked.keys() or asked.keys() & {"startTime", "pageSize", "pageIndex"}:
        return 400, {}, json.dumps({"errors": [{"field": "$top", "message": "required"}]})
    begin = int(asked.get("$skipToken", "t0").removeprefix("t"))
    end = begin + int(asked["$top"])
    page: dict[str, Any] = {"matches": len(IDS), "continuation": f"t{end}" if end < len(IDS) else ""}
    return 200, {}, json.dumps({"items": [{"id": job_id} for job_id in IDS[begin:end]], "page": page})


def test_a_third_generation_is_paged_by_its_opaque_cursor(api: responses.RequestsMock, third: EndpointVersion) -> None:
    for version in (JOBS, CLOUD_BACKUP_JOBS):
        api.get(ADDRESSES.base_url + version.path, status=404)
    api.add_callback("GET", ADDRESSES.base_url + third.path, serve)
    jobs = client()
    pager = Pager({"startTime": "2026-01-01", "finishTime": "2026-02-01", "objectType": "7"}, 5)
    seen, requests_to_send = list[str](), pager.first()
    while requests_to_send:
        for params in requests_to_send:
            answer = jobs.request_page(params)
            pager.seen_ids |= set(answer.info.ids)
            pager.add(answer.info, len(answer.info.ids))
            seen += answer.info.ids
            assert answer.endpoint is third
            assert parse_pages([answer]).jobs["id"].to_pylist() == answer.info.ids
        requests_to_send = pager.next()
    assert seen == IDS
    assert pager.ended
    assert query(api.calls[-1].request)["service"] == "7"


def test_a_refused_parameter_of_a_third_generation_is_named_as_in_the_documentation(
    api: responses.RequestsMock, third: EndpointVersion
) -> None:
    api.add_callback("GET", ADDRESSES.base_url + third.path, serve)
    with pytest.raises(RefusedParametersError) as caught:
        client(third.name).request_page({})
    assert caught.value.parameter == "pageSize"
    assert "check page_size" in str(caught.value)


def test_a_third_generation_can_be_configured_by_its_name(third: EndpointVersion) -> None:
    credentials = {"client_id": "c", "client_secret": "s"}
    assert connect(credentials, endpoint=third.name).client is not None  # type: ignore[arg-type]
    unregister(third.name)
    with pytest.raises(ConfigurationError, match="Known are: auto, jobs, cloudbackupjobs"):
        connect(credentials, endpoint=third.name)  # type: ignore[arg-type]
    assert versions() == (JOBS, CLOUD_BACKUP_JOBS)


@pytest.mark.parametrize(
    ("spelling", "sent"),
    [
        (ParameterSpelling.camel, {"startTime": "a", "pageSize": "5", "skipToken": "x"}),
        (ParameterSpelling.pascal, {"StartTime": "a", "PageSize": "5", "skipToken": "x"}),
    ],
)
def test_parameters_have_the_spelling_that_the_server_reads(
    api: responses.RequestsMock, spelling: ParameterSpelling, sent: dict[str, str]
) -> None:
    api.get(ADDRESSES.base_url + JOBS.path, json={"jobs": [], "totalCount": 0})
    jobs = client("jobs")
    jobs.spelling = spelling
    jobs.request_page({"startTime": "a", "pageSize": "5", "skipToken": "x"})
    assert query(api.calls[-1].request) == sent


@pytest.mark.parametrize("body", [{"data": {"id": "FB/1", "state": "Finished"}}, {"data": [{"id": "FB/1"}]}])
def test_a_single_job_is_requested_by_its_id(api: responses.RequestsMock, body: dict[str, Any]) -> None:
    api.get(ADDRESSES.base_url + "/backup/m365/cloudbackupjobs/FB%2F1", json={"statusCode": 200, **body})
    page = client("cloudbackupjobs").job_by_id("FB/1", "EUR")
    assert page is not None
    assert parse_pages([page]).jobs["id"].to_pylist() == page.info.ids == ["FB/1"]
    assert query(api.calls[-1].request) == {"location": "EUR"}


@pytest.mark.parametrize("answer", [{"status": 404}, {"json": {"data": None}}, {"status": 204}])
def test_a_job_that_the_api_does_not_have_is_none(api: responses.RequestsMock, answer: dict[str, Any]) -> None:
    api.get(ADDRESSES.base_url + CLOUD_BACKUP_JOBS.path + "/FB1", **answer)
    assert client("cloudbackupjobs").job_by_id("FB1", None) is None


def test_the_first_generation_has_no_single_jobs(api: responses.RequestsMock) -> None:
    assert client("jobs").job_by_id("FB1", None) is None
    assert len(api.calls) == 0


OPAQUE = "b2gh=="


@pytest.mark.parametrize(
    ("version", "link", "cursor", "expected"),
    [
        (JOBS, "?pageIndex=2&pageSize=5", None, "?pageIndex=2&pageSize=5"),
        (JOBS, OPAQUE, None, OPAQUE),
        (JOBS, None, None, None),
        (JOBS, "", None, ""),
        (JOBS, None, "", ""),
        (JOBS, "?pageIndex=2", "", "?pageIndex=2"),
        (JOBS, "?pageIndex=2", "a b", "?cursor=a+b"),
        (THIRD, "https://host/x?$TOP=5&from=a&other=1", None, "?pageSize=5&startTime=a&other=1"),
        (THIRD, OPAQUE, None, OPAQUE),
        (THIRD, "https://[host?$top=5", None, "https://[host?$top=5"),
        (THIRD, None, None, None),
    ],
)
def test_a_link_to_the_next_page_has_the_names_of_the_vendors_table(
    version: EndpointVersion, link: str | None, cursor: str | None, expected: str | None
) -> None:
    assert version.link(link, cursor) == expected


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [
        (JOBS, "PAGESIZE", "pageSize"),
        (JOBS, "$top", None),
        (THIRD, "$TOP", "pageSize"),
        (THIRD, "joBtype", "jobType"),
        (THIRD, "nothing", None),
    ],
)
def test_a_parameter_is_known_in_any_case(version: EndpointVersion, name: str, expected: str | None) -> None:
    assert version.parameter(name) == expected
