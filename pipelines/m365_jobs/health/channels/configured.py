"""Create the configured channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avepoint_m365.config import unknown_value_error
from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.config import alerts
from m365_jobs.health.alerts.lifecycle import SEVERITY_RANK
from m365_jobs.health.channels import CHANNELS
from m365_jobs.health.channels.base import COMMON_SETTINGS, Channel, ChannelSettings, Setting
from m365_jobs.health.channels.email import Email

SEVERITIES = tuple(SEVERITY_RANK)
"""Values of the setting ``min_severity``."""


def configured_channels() -> list[Channel]:
    """Return a channel for each section ``alerts.channels.<name>``.

    Raises:
        ConfigurationError: for an unknown type or key, and for a value that is missing or invalid.
    """
    return [make_channel(name) for name in alerts.channel_names()]


def make_channel(name: str, type_name: str | None = None) -> Channel:
    """Return the channel of a section. ``type_name`` replaces the section's type.

    Raises:
        ConfigurationError: for an unknown type or key, and for a value that is missing or invalid.
    """
    type_name = type_name or alerts.channel_type(name)
    if type_name not in CHANNELS:
        raise unknown_value_error(f"{alerts.CHANNELS}.{name}.type", type_name, list(CHANNELS))
    channel_type = CHANNELS[type_name]
    settings = {**COMMON_SETTINGS, **channel_type.settings}
    alerts.check_channel_keys(name, list(settings))
    values = {key: _setting_value(name, key, setting) for key, setting in settings.items()}
    if values["min_severity"] not in SEVERITIES:
        raise unknown_value_error(f"{alerts.CHANNELS}.{name}.min_severity", values["min_severity"], list(SEVERITIES))
    return channel_type(ChannelSettings(name, values, alerts.request_timeout()))


def mail_channel(tenants: Sequence[str]) -> Email:
    """Return the e-mail channel for a report of some tenants, or of all if empty; one of these tenants alone first.

    Raises:
        ConfigurationError: if the configuration has none that gets such a report.
    """
    of_type = (make_channel(name) for name in alerts.channel_names() if alerts.channel_type(name) == Email.type)
    channels = [channel for channel in of_type if isinstance(channel, Email)]
    if not channels:
        raise ConfigurationError(f"No channel of the type email is configured. Add [{alerts.CHANNELS}.email].")
    channels = [channel for channel in channels if channel.covers(*tenants)]
    if not channels:
        raise ConfigurationError(
            "No e-mail channel gets this report: each has other tenants. Add a channel, or change the key tenants."
        )
    return min(channels, key=lambda channel: channel.config.values["tenants"] is None)


def _setting_value(name: str, key: str, setting: Setting) -> Any:
    """Return the value of a channel's key, or its default.

    Raises:
        ConfigurationError: if it is required and missing, or has another type.
    """
    value = alerts.channel_value(name, key, setting.kind, secret=setting.secret)
    if value is None and setting.required:
        place = ".dlt/secrets.toml or the environment" if setting.secret else ".dlt/config.toml or the environment"
        raise ConfigurationError(f"{alerts.CHANNELS}.{name}.{key} is missing ({setting.help}). Set it in {place}.")
    return setting.default if value is None else value


def settings_table() -> Mapping[str, Mapping[str, Setting]]:
    """Return the settings of each channel type, for the documentation."""
    return {name: {**channel.settings, **COMMON_SETTINGS} for name, channel in CHANNELS.items()}
