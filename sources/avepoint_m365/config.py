"""Check single settings: URLs, hosts, locations, object types and times."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from dlt.common.typing import SecretSentinel

from avepoint_m365.constants import (
    BASE_URLS,
    LOCATIONS,
    TOKEN_URLS,
    TRUSTED_DOMAINS,
    ObjectType,
    environment_of,
)
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.parse.times import in_utc

SECTION = "sources.avepoint_m365"

TrustedHosts = Annotated[list[str], SecretSentinel] | None
"""Hosts that may receive credentials. It has the type of a secret, so that dlt reads it from the environment or from
secrets only: a config.toml is shared with a repository, and must not send the credentials of its users elsewhere."""

DEFAULT_DATA_CENTER = "us"

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""The earliest time that a setting may name; the product has no older jobs."""


class ServiceUrls(NamedTuple):
    """Hold the URLs that requests go to."""

    base_url: str
    token_url: str


def unknown_value_error(key: str, value: object, known: Sequence[str]) -> ConfigurationError:
    """Return the error for an unknown value of a key; it suggests the most similar known one and lists the known."""
    return ConfigurationError(
        f"Unknown value: {key} = {value!r}.{suggestion(str(value), known)} Known are: {listed(known)}."
    )


def listed(names: Sequence[str]) -> str:
    """Return names as a list; of more than 50, such as hundreds of tenants, the first 20."""
    return ", ".join(names) if len(names) <= 50 else f"{', '.join(names[:20])} and {len(names) - 20:,} more"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a question with the known word most similar to ``word``, after a blank; "" if none is similar."""
    similar = get_close_matches(word, list(known), n=1)
    return f" Did you mean {similar[0]!r}?" if similar else ""


def resolve_service_urls(
    data_center: str,
    environment: str | None,
    base_url: str | None,
    token_url: str | None,
    trusted_hosts: Sequence[str] | None,
) -> ServiceUrls:
    """Return the URLs of the API and of the identity service.

    Raises:
        ConfigurationError: for unknown values, and for URLs to which credentials must not be sent.
    """
    if data_center not in BASE_URLS:
        raise unknown_value_error(f"{SECTION}.data_center", data_center, list(BASE_URLS))
    implied = environment_of(data_center)
    if environment is not None and environment not in TOKEN_URLS:
        raise unknown_value_error(f"{SECTION}.environment", environment, list(TOKEN_URLS))
    # With base_url and the default data centre, the user has not chosen a data centre.
    data_center_is_unset = base_url is not None and data_center == DEFAULT_DATA_CENTER
    if environment is not None and environment != implied and not data_center_is_unset:
        raise ConfigurationError(
            f"Contradicting settings: {SECTION}.environment = {environment!r} contradicts data_center = "
            f"{data_center!r}, which belongs to {implied!r}. Remove one of the two."
        )
    for host in trusted_hosts or ():
        if not isinstance(host, str):
            raise ConfigurationError(f"Invalid host: {SECTION}.trusted_hosts contains {host!r}. Set names of hosts.")
    return ServiceUrls(
        _checked_url("base_url", base_url or BASE_URLS[data_center], trusted_hosts or ()),
        _checked_url("token_url", token_url or TOKEN_URLS[environment or implied], trusted_hosts or ()),
    )


def _checked_url(key: str, url: str, trusted_hosts: Sequence[str]) -> str:
    """Return a URL without a slash at its end.

    Raises:
        ConfigurationError: if it is invalid, unencrypted beyond loopback, or of an untrusted host.
    """
    setting = f"{SECTION}.{key}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(f"Invalid URL: {setting} is not an address ({error}).") from error
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"Invalid URL: {setting} for host {host!r} must not contain a user, password, query or fragment."
        )
    if parts.scheme not in ("https", "http") or not host:
        raise ConfigurationError(f"Invalid URL: {setting} = {url!r} must start with https:// and name a host.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"Unencrypted URL: {setting} = {url!r}; plain http is allowed for loopback only. Use https://."
        )
    in_domain = any(host == domain or host.endswith("." + domain) for domain in TRUSTED_DOMAINS)
    if not (in_domain or is_loopback(host) or host in {trusted.lower() for trusted in trusted_hosts}):
        raise ConfigurationError(
            f"Untrusted host: {setting} = {url!r}; credentials are not sent to {host}. Trusted are loopback, "
            f"{' and '.join(TRUSTED_DOMAINS)}. Add the host to {SECTION}.trusted_hosts if it is yours."
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_locations(locations: Sequence[str] | None) -> tuple[list[str | None], list[str]]:
    """Return the locations of requests, each once, and warnings for unknown codes.

    ``[None]`` means requests without a location.

    Raises:
        ConfigurationError: for a value that does not look like a location, and for a text in place of a list.
    """
    _refuse_text("locations", locations)
    if not locations:
        return [None], []
    warnings = []
    for location in locations:
        if location in LOCATIONS:
            continue
        if not isinstance(location, str) or not re.fullmatch("[A-Z]{3}", location):
            raise unknown_value_error(f"{SECTION}.locations", location, LOCATIONS)
        warnings.append(f"Unknown location: {SECTION}.locations = {location!r}. It is requested nevertheless.")
    unique: list[str | None] = list(dict.fromkeys(locations))
    if LOCATIONS[0] in unique and len(unique) > 1:
        warnings.append(
            f"Overlapping locations: {SECTION}.locations contains {LOCATIONS[0]}, presumably an alias of another one. "
            "Jobs that both return get the other location."
        )
    return unique, warnings


def check_object_types(names: Sequence[str] | None, key: str = "object_types") -> list[ObjectType]:
    """Return the services with these names, in the order of their codes; all without names.

    Raises:
        ConfigurationError: for an unknown name, and for a text in place of a list.
    """
    _refuse_text(key, names)
    known = [kind.name for kind in ObjectType]
    for name in names or ():
        if name not in known:
            raise unknown_value_error(f"{SECTION}.{key}", name, known)
    return [kind for kind in ObjectType if not names or kind.name in names]


def _refuse_text(key: str, values: object) -> None:
    """Refuse a text in place of a list: its letters would count as the values.

    Raises:
        ConfigurationError: with the list that was probably meant.
    """
    if isinstance(values, str):
        raise ConfigurationError(f"Invalid value: {SECTION}.{key} = {values!r} is not a list. Write [{values!r}].")


def parse_moment(key: str, value: str | date) -> datetime:
    """Return a date or time of the configuration in UTC; without a zone it counts as UTC, and a date as its midnight.

    Raises:
        ConfigurationError: with key and value, if it is no time or before ``EARLIEST``.
    """
    try:
        day = datetime.fromisoformat(value) if isinstance(value, str) else value
        moment = in_utc(day if isinstance(day, datetime) else datetime.combine(day, time.min))
    except (ValueError, OverflowError, TypeError) as error:
        raise ConfigurationError(
            f"Invalid time: {key} = {value!r} is not a date or time. Write 2026-01-31 or 2026-01-31T06:00:00Z; "
            "without a zone it is UTC."
        ) from error
    if moment < EARLIEST:
        raise ConfigurationError(f"Invalid time: {key} = {value!r} lies before the year 2000, and so before any job.")
    return moment
