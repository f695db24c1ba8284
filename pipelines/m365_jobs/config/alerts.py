"""Read section ``alerts`` of the configuration: rules, maintenance windows and channels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dlt
from avepoint_m365.config import unknown_value_error
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration import with_config
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.utils import deserialize_value

from m365_jobs.config.environment import variables_below

ALERTS = "alerts"
CHANNELS = f"{ALERTS}.channels"

_VARIABLES = CHANNELS.replace(".", "__").upper() + "__"


@dataclass(frozen=True)
class AlertRules:
    """Hold the conditions under which an alert opens; it needs ``after_runs`` and ``after``."""

    after_runs: int = 1
    """Number of evaluations in a row that must have the finding."""
    after: timedelta = timedelta(0)
    """Time for which evaluations must have the finding."""
    maintenance: Sequence[str] = ()
    """Maintenance windows of all tenants."""
    maintenance_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Maintenance windows of single tenants, by the tenant's label."""


@with_config(sections=(ALERTS,))
def alert_rules(
    after_runs: int = 1,
    after_minutes: float = 0.0,
    maintenance: list[str] | None = None,
    maintenance_of: dict[str, list[str]] | None = None,
) -> AlertRules:
    """Return the rules that the configuration sets.

    Raises:
        ConfigurationError: naming the key, the value and the allowed range.
    """
    if after_runs < 1:
        raise ConfigurationError(f"Out of range: {ALERTS}.after_runs = {after_runs} must be 1 or more.")
    if after_minutes < 0:
        raise ConfigurationError(f"Out of range: {ALERTS}.after_minutes = {after_minutes} must be 0 or more.")
    return AlertRules(after_runs, timedelta(minutes=after_minutes), maintenance or (), maintenance_of or {})


def channel_names() -> list[str]:
    """Return the names of all sections ``alerts.channels.<name>``, in alphabetical order."""
    names: set[str] = set()
    for provider in dlt.config.config_providers:
        value, _ = provider.get_value("channels", dict, "", ALERTS)
        names.update(value if isinstance(value, Mapping) else ())
    names.update(key.removeprefix(_VARIABLES).split("__")[0].lower() for key in os.environ if _is_variable(key))
    return sorted(names)


def channel_type(name: str) -> str:
    """Return the type of a channel; without a key ``type``, the name of its section."""
    return str(channel_value(name, "type", str) or name)


def channel_keys(name: str) -> Iterator[str]:
    """Yield the keys that are set for a channel, in files and in the environment."""
    for provider in dlt.config.config_providers:
        value, _ = provider.get_value(name, dict, "", *CHANNELS.split("."))
        yield from value if isinstance(value, Mapping) else ()
    prefix = f"{_VARIABLES}{name.upper()}__"
    yield from map(str.lower, variables_below(prefix))


def channel_value(name: str, key: str, kind: type, *, secret: bool = False) -> Any:
    """Return a setting of a channel; None if it is not set. Secrets are not read from config.toml.

    Raises:
        ConfigurationError: for a value of another type.
    """
    for provider in (dlt.secrets if secret else dlt.config).config_providers:
        value, _ = provider.get_value(key, kind, "", *CHANNELS.split("."), name)
        if value is not None:
            try:
                return deserialize_value(f"{CHANNELS}.{name}.{key}", value, kind)
            except ConfigValueCannotBeCoercedException:
                raise ConfigurationError(
                    f"Invalid value: {CHANNELS}.{name}.{key} is not of the type {kind.__name__}."
                ) from None
    return None


def check_channel_keys(name: str, known: Sequence[str]) -> None:
    """Refuse a key that a channel does not have.

    Raises:
        ConfigurationError: naming the key and the known ones.
    """
    for key in channel_keys(name):
        if key not in known:
            raise unknown_value_error(f"{CHANNELS}.{name}", key, known)


def request_timeout() -> float:
    """Return the seconds to wait for a response: dlt's setting ``runtime.request_timeout``."""
    from avepoint_m365.api.retry import configured_policy

    return configured_policy().timeout


def _is_variable(key: str) -> bool:
    return key.startswith(_VARIABLES) and "__" in key.removeprefix(_VARIABLES)
