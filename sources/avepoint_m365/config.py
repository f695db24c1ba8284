"""Define the credentials, and check single settings: URLs, hosts, locations, object types and times."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple
from urllib.parse import urlsplit

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.typing import SecretSentinel, TSecretStrValue

from avepoint_m365.constants import (
    BASE_URLS,
    LOCATIONS,
    TOKEN_URLS,
    TRUSTED_DOMAINS,
    ObjectType,
    environment_of,
)
from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.json_credentials import read_credentials
from avepoint_m365.parse.times import in_utc

if TYPE_CHECKING:
    from avepoint_m365.api.auth import ClientCredential

SECTION = "sources.avepoint_m365"

TrustedHosts = Annotated[list[str], SecretSentinel] | None
"""Hosts that may receive credentials. It has the type of a secret, so that dlt reads it from the environment or from
secrets only: a config.toml is shared with a repository, and must not send the credentials of its users elsewhere."""

DEFAULT_DATA_CENTER = "us"

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""The earliest time that a setting may name; the product has no older jobs."""


@configspec
class AvePointCredentials(CredentialsConfiguration):
    """Hold a client id with its secret or a certificate, as dlt resolves it from ``credentials``.

    Attributes:
        client_id: Client id of the app registration.
        client_secret: Its secret; unset with a certificate.
        certificate_path: Path of a certificate (.pfx or .pem) in place of a secret.
        certificate_password: Password of the certificate, if it has one.
        expires_at: When the secret expires (UTC without a zone); ``check`` warns 30 days before. A certificate
            contains its expiry.
    """

    # The keys that ``dlt init`` writes into secrets.toml for the user to fill in.
    __config_gen_annotations__: ClassVar[list[str]] = ["client_id", "client_secret"]

    client_id: str | None = None
    client_secret: TSecretStrValue | None = None
    certificate_path: str | None = None
    certificate_password: TSecretStrValue | None = None
    expires_at: str | None = None

    def parse_native_representation(self, native_value: object) -> None:
        """Read the credentials from a JSON object, as vaults store them. dlt completes them from single keys.

        Raises:
            ConfigurationError: for any other text, and for unknown keys; without the text, which may be a secret.
        """
        for key, value in read_credentials(
            native_value, f"{SECTION}.credentials", self.get_resolvable_fields()
        ).items():
            setattr(self, key, value)

    def identity(self, section: str = SECTION) -> ClientCredential:
        """Return the client credential; errors name ``section`` as its place in the configuration.

        Raises:
            ConfigurationError: if the client id is missing, not exactly one of secret and certificate is set, or the
                packages for certificates are not installed.
        """
        self._check(section)
        client_id = str(self.client_id)
        if self.certificate_path:
            try:
                from avepoint_m365.api.certificate import load_certificate
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"{section}.credentials.certificate_path: {error.name} is not installed. "
                    "Run: pip install 'avepoint-m365-jobs[certificate]'"
                ) from error
            return load_certificate(client_id, Path(self.certificate_path), self.certificate_password)
        from avepoint_m365.api.auth import Secret

        return Secret(client_id, str(self.client_secret))

    def _check(self, section: str) -> None:
        if not self.client_id:
            raise ConfigurationError(
                f"{section}.credentials.client_id is missing. Set it in .dlt/secrets.toml or as the variable "
                f"{section.replace('.', '__').upper()}__CREDENTIALS__CLIENT_ID, with client_secret or certificate_path "
                "beside it."
            )
        if bool(self.client_secret) == bool(self.certificate_path):
            raise ConfigurationError(
                f"{section}.credentials needs either client_secret or certificate_path: "
                f"{'both are' if self.client_secret else 'neither is'} set."
            )
        if self.certificate_password and not self.certificate_path:
            raise ConfigurationError(
                f"{section}.credentials.certificate_password is set, but no certificate_path that it could open."
            )
        if self.expires_at:
            parse_moment(f"{section}.credentials.expires_at", self.expires_at)

    def ends_at(self) -> datetime | None:
        """Return when the credentials expire (UTC), by the configuration or else by the certificate; None if unknown.

        Raises:
            ConfigurationError: if the credentials cannot work.
        """
        if self.expires_at:
            return parse_moment(f"{SECTION}.credentials.expires_at", self.expires_at)
        self._check(SECTION)
        return self.identity().expires_at if self.certificate_path else None


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
