"""Test the failures that `make fuzz` found, and its properties on a few random inputs."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from avepoint_m365.api.pagination import Pager
from avepoint_m365.api.responses import read_page
from avepoint_m365.companions.base import Answers, Ask, Context
from avepoint_m365.companions.registry import COMPANIONS
from avepoint_m365.companions.values import parse_any_time, parse_number, parse_period, parse_whole
from avepoint_m365.endpoints import CLOUD_BACKUP_JOBS, JOBS
from avepoint_m365.exceptions import BadResponseError

from tests.support.fuzzing import PROPERTIES, THIRD

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def answer(body: Any) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = 200, json.dumps(body).encode()
    return response


class Client:
    def __init__(self, body: Any) -> None:
        self.body = body

    def get(self, path: str, params: Any, scope: str) -> Any:
        return self.body


def companion_rows(name: str, body: Any) -> Answers:
    answers = Answers()
    companion = next(each for each in COMPANIONS if each.name == name)
    companion.read(Ask(Context(Client(body), "t", (None,), NOW, True), companion), None, {}, answers)
    return answers


@pytest.mark.parametrize("name", PROPERTIES)
def test_any_bytes_end_in_rows_or_an_error_of_ours(name: str) -> None:
    inputs = random.Random(name)
    for size in (0, 3, *[20, 100, 300] * 12):
        PROPERTIES[name](inputs.randbytes(size))


def test_a_link_that_was_cut_within_an_emoji_can_be_followed() -> None:
    body = {"jobs": [{"id": "a"}], "nextLink": "/jobs?pageIndex=2\ud83d"}
    pager = Pager({"objectType": "0"}, 500)
    pager.first()
    pager.add(read_page(JOBS, "GET /jobs", answer(body)).info, 1)
    (following,) = pager.next()
    assert requests.Request("GET", "https://host/jobs", params=following).prepare().url
    assert following["pageIndex"] == "2\ufffd"


def test_a_cursor_that_was_cut_within_an_emoji_becomes_a_link() -> None:
    body = {"items": [], "page": {"token": "next\ud83d"}}
    assert read_page(THIRD, "GET /jobs", answer(body)).info.next_link == "?cursor=next%EF%BF%BD"


def test_a_list_under_the_name_of_another_generation_is_not_taken_for_the_jobs() -> None:
    with pytest.raises(BadResponseError, match="no list of jobs"):
        read_page(THIRD, "GET /jobs", answer({"jobs": [{"id": "a"}], "items": 7}))
    page = read_page(JOBS, "GET /jobs", answer({"Jobs": [{"id": "a"}], "data": [{"id": "b"}]})).info
    assert page.ids == ["a"]
    assert read_page(CLOUD_BACKUP_JOBS, "GET /jobs", answer({"jobs": [{"id": "a"}]})).info.ids == ["a"]


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (parse_number, 10**400),
        (parse_number, "9" * 400),
        (parse_number, float("inf")),
        (parse_number, float("nan")),
        (parse_whole, 2**63),
        (parse_whole, 10**400),
        (parse_whole, 1e300),
        (parse_any_time, 10**400),
        (parse_any_time, 10**18 * 9),
        (parse_period, "9" * 400),
        (parse_period, "99999999 years"),
        (parse_period, "9" * 400 + " years"),
    ],
)
def test_a_number_that_no_column_holds_is_refused(parse: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse(value)


def test_numbers_at_the_edge_are_read() -> None:
    assert parse_whole(2**63 - 1) == 2**63 - 1
    assert parse_whole("-5") == -5
    assert parse_number("1,024.5") == 1024.5


def test_a_service_whose_code_fits_into_no_column_is_kept_as_text() -> None:
    answers = companion_rows("schedule", [{"serviceType": 10**30, "frequency": 1}])
    (row,) = answers.rows["backup_schedules"]
    assert (row["service_type"], row["service"]) == (None, str(10**30))


def test_texts_of_companions_are_storable_and_examples_short() -> None:
    answers = companion_rows(
        "unusual_activity", [{"serviceType": "x\ud83d" * 5000, "tenantOwner": "a\0b", "tenantId": "\ud83d"}]
    )
    row = answers.rows["unusual_activity"][0]
    assert (row["tenant_owner"], row["m365_tenant_id"]) == ("a\ufffdb", "\ufffd")
    assert answers.findings[0].example == ("x\ufffd" * 100)
