"""Test the time zone and the backup window of a tenant."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tomlkit
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration.providers import DictionaryProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from m365_jobs.config.calendar import common_calendar, parse_backup_window, tenant_calendar, tenant_zones

BERLIN = ZoneInfo("Europe/Berlin")
KEY = "SOURCES__AVEPOINT_M365__"


def at(hour: int, minute: int = 0, day: int = 10) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=BERLIN)


def test_last_night_is_the_last_window_of_which_at_least_half_has_passed() -> None:
    window = parse_backup_window("22:00-06:00", "backup_window")
    night = (at(22, day=9), at(6))
    assert window.last(at(8), BERLIN) == night
    assert window.last(at(4), BERLIN) == night
    assert window.last(at(23), BERLIN) == night
    assert window.last(at(1, day=11), BERLIN) == night
    assert window.last(at(2, day=11), BERLIN) == (at(22), at(6, day=11))


def test_a_window_keeps_its_clock_times_when_the_clocks_change() -> None:
    window = parse_backup_window("22:00-06:00", "backup_window")
    since, until = window.last(datetime(2026, 10, 25, 8, tzinfo=BERLIN), BERLIN)
    assert since == datetime(2026, 10, 24, 20, tzinfo=UTC)
    assert until == datetime(2026, 10, 25, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["22-6", "25:00-06:00", "nightly", ""])
def test_a_window_that_cannot_be_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="22:00-06:00"):
        parse_backup_window(text, "backup_window")


def test_a_tenant_inherits_the_calendar_that_it_does_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{KEY}TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv(f"{KEY}TENANTS__CONTOSO__BACKUP_WINDOW", "20:00-04:00")
    monkeypatch.setenv(f"{KEY}TENANTS__FABRIKAM__TIMEZONE", "America/New_York")
    assert tenant_calendar("contoso").zone_name == "Europe/Berlin"
    assert str(tenant_calendar("contoso").window) == "20:00–04:00"
    assert tenant_calendar("fabrikam").zone_name == "America/New_York"
    assert common_calendar(["contoso", "fabrikam"]).zone_name == "UTC"


def test_an_unknown_time_zone_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{KEY}TIMEZONE", "Mars/Olympus")
    with pytest.raises(ConfigurationError, match=r"sources\.avepoint_m365\.timezone: time zone 'Mars/Olympus'"):
        tenant_calendar("contoso")


@pytest.mark.parametrize("name", ["localtime", "posix/Europe/Berlin"])
def test_a_time_zone_that_only_this_machine_knows_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"{KEY}TIMEZONE", name)
    with pytest.raises(ConfigurationError, match=f"time zone '{name}' is unknown"):
        tenant_calendar("contoso")


def test_views_get_the_zones_that_differ_from_the_rest_and_no_unknown_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tenant_zones() == {"": "UTC"}
    monkeypatch.setenv(f"{KEY}TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv(f"{KEY}TENANTS__ADATUM__TIMEZONE", "Mars/Olympus")
    monkeypatch.setenv(f"{KEY}TENANTS__CONTOSO__TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv(f"{KEY}TENANTS__FABRIKAM__TIMEZONE", "America/New_York")
    monkeypatch.setenv(f"{KEY}TENANTS__NORTHWIND__TIMEZONE", "utc")
    assert tenant_zones() == {"": "Europe/Berlin", "fabrikam": "America/New_York", "northwind": "UTC"}


@pytest.mark.parametrize("place", ["config.toml", "secrets.toml", "variables", "another provider"])
def test_time_zones_of_tenants_are_found_wherever_they_are_configured(
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configuration_of: Callable[[Path], PluggableRunContext],
) -> None:
    settings = {"contoso": {"timezone": "Europe/Berlin"}, "fabrikam": {"timezone": "UTC"}, "wingtip": {"lag_hours": 5}}
    with ExitStack() as stack:
        if place == "variables":
            monkeypatch.setenv(f"{KEY}TENANTS__CONTOSO__TIMEZONE", "Europe/Berlin")
            monkeypatch.setenv(f"{KEY}TENANTS__FABRIKAM__LAG_HOURS", "5")
        elif place == "another provider":
            provider = DictionaryProvider()
            configuration_of(tmp_path).providers.add_provider(provider)
            stack.enter_context(provider.values({"sources": {"avepoint_m365": {"tenants": settings}}}))
        else:
            (tmp_path / ".dlt").mkdir()
            sections = {"sources": {"avepoint_m365": {"tenants": settings}}}
            (tmp_path / ".dlt" / place).write_text(tomlkit.dumps(sections), encoding="utf-8")
            configuration_of(tmp_path)
        assert tenant_zones() == {"": "UTC", "contoso": "Europe/Berlin"}
