"""Test values of the companion endpoints in each form that the vendor's tables and samples show."""

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from avepoint_m365.companions.base import unwrap
from avepoint_m365.companions.service_types import SERVICES, service_of
from avepoint_m365.companions.values import parse_any_time, parse_minute_of_day, parse_number, parse_period
from avepoint_m365.constants import ObjectType
from m365_jobs import marts

NINE = datetime(2026, 1, 15, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-15T09:00:00Z",
        "2026-01-15T10:00:00+01:00",
        "2026-01-15T09:00:00.0000000",
        int(NINE.timestamp()),
        int(NINE.timestamp()) * 1000,
        str(int(NINE.timestamp())),
        621_355_968_000_000_000 + int(NINE.timestamp()) * 10_000_000,
    ],
)
def test_a_time_is_read_from_iso_epoch_seconds_milliseconds_and_ticks(value: Any) -> None:
    assert parse_any_time(value) == NINE
    assert parse_minute_of_day(value) == 540


@pytest.mark.parametrize("value", [0, "0", "", None, "0001-01-01T00:00:00Z"])
def test_no_time_is_no_time_in_each_of_its_forms(value: Any) -> None:
    assert parse_any_time(value) is None


@pytest.mark.parametrize(
    ("value", "minute"),
    [
        ("9:00 AM", 540), ("09:00", 540), ("9:30 pm", 1290), ("12:00 AM", 0), ("12:15 PM", 735),
        ("21:05:59", 1265), ("1/15/2026 9:00:00 AM", 540), ("9:00 a.m.", 540),
    ],
)  # fmt: skip
def test_a_start_time_is_read_from_each_form(value: str, minute: int) -> None:
    assert parse_minute_of_day(value) == minute


@pytest.mark.parametrize("value", ["25:00", "9:75", "soon", "", None, True])
def test_invalid_start_times_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_minute_of_day(value)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1 years", 365), ("7 Year", 2555), ("12 months", 365), ("6 months", 182), ("90 days", 90), ("2 weeks", 14),
        ("1 year 6 months", 548), ("Unlimited", None), ("unlimited", None), ("30", 30),
    ],
)  # fmt: skip
def test_a_retention_period_is_read_in_days_and_unlimited_has_none(text: str, days: int | None) -> None:
    assert parse_period(text) == days


def test_the_view_of_changes_knows_each_word_for_unlimited() -> None:
    """Test that the words in SQL are those of ``parse_period``, or a period shortened from them raises no alert."""
    view = (files(marts) / "models" / "settings_changes.sql").read_text(encoding="utf-8")
    words = ["unlimited", "forever", "indefinite", "indefinitely", "never", "never expire", "never expires"]
    assert re.findall(r"'([a-z ]+)'", view.split("lower(trim(r.retention_period)) IN (")[1].split(")")[0]) == words
    assert [parse_period(f" {word.title()} ") for word in words] == [None] * len(words)


@pytest.mark.parametrize("text", ["some time", "3 blue moons", "-1 days", "1." + "9" * 1_000_000])
def test_a_period_in_no_known_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a period"):
        parse_period(text)


def test_every_object_type_has_one_service_and_three_services_have_no_counterpart() -> None:
    counterparts = [service.object_type for service in SERVICES if service.object_type]
    assert sorted(counterparts) == sorted(object_type.name for object_type in ObjectType)
    assert [service.service_type for service in SERVICES if service.object_type is None] == [7, 8, 13]
    assert [service.service_type for service in SERVICES] == list(range(15))


@pytest.mark.parametrize("value", [10, "10", "Personal Chat", "personalChat", "PersonalChat"])
def test_a_service_is_known_by_code_and_by_name(value: Any) -> None:
    assert service_of(value).object_type == "teams_chat"


def test_an_unknown_service_is_stored_as_its_number_or_text() -> None:
    assert service_of(42).columns == {"service_type": 42, "service": "42", "object_type": None}
    assert service_of(None).columns == {"service_type": None, "service": "", "object_type": None}
    assert service_of("Copilot").columns == {"service_type": None, "service": "Copilot", "object_type": None}


def test_rows_are_read_from_the_body_from_data_and_from_data_data() -> None:
    rows = [{"serviceType": 1}]
    assert unwrap(rows) == unwrap({"data": rows}) == unwrap({"data": {"data": rows}, "statusCode": 200}) == rows


def test_numbers_are_read_from_texts_with_thousands_separators() -> None:
    assert [parse_number(value) for value in ("1,024.5", 3, "", None)] == [1024.5, 3.0, None, None]
    assert [parse_number(value) for value in ("1,234,567", "-1,024", " 12,345 ")] == [1234567.0, -1024.0, 12345.0]


@pytest.mark.parametrize("text", ["many", "1,5", "12,34", "1,2345", ",123", "1.234,5", "1.2 GB"])
def test_a_text_that_is_no_number_or_has_a_decimal_comma_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_number(text)


@pytest.mark.parametrize("value", [-62_135_596_800, "-62135596800000", -1])
def test_a_time_before_the_epoch_stands_for_no_time(value: Any) -> None:
    assert parse_any_time(value) is None
