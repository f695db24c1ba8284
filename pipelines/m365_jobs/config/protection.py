"""Read the settings of protection: the services that must be protected, and the allowed ages of backups and data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from avepoint_m365.config import SECTION, check_object_types
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration import with_config
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from m365_jobs.config.calendar import tenant_zones
from m365_jobs.config.environment import variables_below
from m365_jobs.config.tenants import configured_with, setting

ALLOWED_AGE_HOURS = 26.0
MAX_DATA_AGE_HOURS = 6.0
TOLERATED_FAILED_RATIO = 0.05

SERVICES = ("expected_object_types", "ignored_object_types")
"""Keys of ``Services``, which the section of a tenant may have as well."""


class Services(NamedTuple):
    """Hold the object types that are evaluated even without a job, and those that are not evaluated."""

    expected: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


class Protection(NamedTuple):
    """Hold the settings of views: the rules of ``protection_status``, and the time zones of days.

    The defaults are those of the configuration.
    """

    services: Services = Services()
    of_tenant: Mapping[str, Services] = MappingProxyType({})
    """Services of tenants with settings of their own, by the tenant's label."""
    tolerated_failed_ratio: float = TOLERATED_FAILED_RATIO
    """The ratio of failed to all objects, 0 to 1, up to which a warning counts as a success."""
    allowed_age_hours: float = ALLOWED_AGE_HOURS
    """Hours after which the last success is too old."""
    allowed_age_of: Mapping[str, float] = MappingProxyType({})
    """The same hours for single object types."""
    time_zones: Mapping[str, str] = MappingProxyType({"": "UTC"})
    """IANA names of time zones, by the labels of tenants with their own zone; '' is for all others."""

    def allowed_age(self, object_type: str) -> float:
        """Return the hours after which the last success of an object type is too old."""
        return self.allowed_age_of.get(object_type, self.allowed_age_hours)


@with_config(sections=("sources", "avepoint_m365", "protection"))
def protection(
    expected_object_types: list[str] | None = None,
    ignored_object_types: list[str] | None = None,
    tolerated_failed_ratio: float = TOLERATED_FAILED_RATIO,
    allowed_age_hours: float = ALLOWED_AGE_HOURS,
    allowed_age_hours_of: dict[str, float] | None = None,
) -> Protection:
    """Return the configured rules; each key belongs to ``sources.avepoint_m365`` or its section ``protection``.

    Args:
        expected_object_types: Services that must be protected; one without any backup is reported.
        ignored_object_types: Services that ``protection_status`` does not evaluate.
        tolerated_failed_ratio: Ratio of failed objects, 0 to 1, up to which a backup with a warning counts as good.
        allowed_age_hours: Hours after which a service's last good backup is too old, if its schedule is unknown.
        allowed_age_hours_of: The same for single services: ``{ exchange_online = 8 }``.

    Raises:
        ConfigurationError: with the key, the value and the allowed values.
    """
    if not 0 <= tolerated_failed_ratio <= 1:
        raise ConfigurationError(
            f"Out of range: {SECTION}.protection.tolerated_failed_ratio = {tolerated_failed_ratio} must be between 0 "
            "and 1."
        )
    ages = {"allowed_age_hours": allowed_age_hours}
    ages_of = {**(allowed_age_hours_of or {}), **_ages_of_variables()}
    for object_type, hours in ages_of.items():
        check_object_types([object_type], "protection.allowed_age_hours_of")
        ages[f"allowed_age_hours_of.{object_type}"] = hours
    for key, hours in ages.items():
        if not isinstance(hours, int | float) or not 0 < hours < 100_000:
            raise ConfigurationError(
                f"Out of range: {SECTION}.protection.{key} = {hours!r} must be a number of hours above 0."
            )
    given = (expected_object_types, ignored_object_types)
    shared = Services(*(_names(key, names) for key, names in zip(SERVICES, given, strict=True)))
    tenants = {name: _services_of(name, shared) for name in configured_with(*SERVICES)}
    return Protection(
        shared,
        {name: services for name, services in tenants.items() if services != shared},
        tolerated_failed_ratio,
        allowed_age_hours,
        ages_of,
        tenant_zones(),
    )


def _ages_of_variables() -> dict[str, float]:
    """Return the hours of variables such as ``..._ALLOWED_AGE_HOURS_OF__TEAMS``, which dlt reads for no dictionary.

    Raises:
        ConfigurationError: for a value that is not a number.
    """
    ages = {}
    for section in (SECTION, f"{SECTION}.protection"):
        prefix = f"{section}.allowed_age_hours_of.".replace(".", "__").upper()
        for name, value in variables_below(prefix).items():
            if value.strip():
                try:
                    ages[name.lower()] = float(value)
                except ValueError:
                    raise ConfigurationError(f"Invalid value: {prefix}{name} = {value!r} is not a number.") from None
    return ages


@with_config(sections=("sources", "avepoint_m365", "protection"))
def max_data_age(max_data_age_hours: float = MAX_DATA_AGE_HOURS) -> float:
    """Return the hours after which data is too old to evaluate.

    The key belongs to ``sources.avepoint_m365`` or its section ``protection``.

    Args:
        max_data_age_hours: Hours after which data is too old and ``health`` reports ``unknown``; ``--max-age-hours``
            overrides it.

    Raises:
        ConfigurationError: for a number that is not above 0.
    """
    if not max_data_age_hours > 0:
        raise ConfigurationError(f"Out of range: {SECTION}.max_data_age_hours = {max_data_age_hours} must be above 0.")
    return max_data_age_hours


@with_config(sections=("sources", "avepoint_m365", "protection"))
def restore_test_days(restore_test_days: float | None = None) -> float | None:
    """Return the days within which a restore of each service must succeed; None if that is not checked.

    The key belongs to ``sources.avepoint_m365`` or its section ``protection``.

    Args:
        restore_test_days: Days within which a restore of each service must have succeeded; not checked if unset.

    Raises:
        ConfigurationError: for a number that is not above 0.
    """
    if restore_test_days is not None and not restore_test_days > 0:
        raise ConfigurationError(f"Out of range: {SECTION}.restore_test_days = {restore_test_days} must be above 0.")
    return restore_test_days


def _services_of(tenant: str, inherited: Services) -> Services:
    """Return the services of a tenant's section, with those of the section above for keys that it lacks."""

    def names(key: str, default: frozenset[str]) -> frozenset[str]:
        try:
            own = setting(tenant, key, list)
            return default if own is None else _names(f"tenants.{tenant}.{key}", own)
        except (ConfigurationError, ConfigValueCannotBeCoercedException):
            # The load of the tenant reports this and fails. The other tenants are still evaluated.
            return default

    return Services(
        *(names(key, default) for key, default in zip(SERVICES, (inherited.expected, inherited.ignored), strict=True))
    )


def _names(key: str, names: list[str] | None) -> frozenset[str]:
    return frozenset(kind.name for kind in check_object_types(names, key)) if names else frozenset()
