"""Read the tenants of the configuration: sections that inherit the keys which they lack."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any, TypeAlias

import dlt
from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION, unknown_value_error
from avepoint_m365.credentials import AvePointCredentials
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.configuration import with_config
from dlt.common.configuration.exceptions import ConfigurationException, ConfigValueCannotBeCoercedException
from dlt.common.configuration.providers import EnvironProvider, SettingsTomlProvider
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.utils import deserialize_value
from dlt.common.typing import TSecretStrValue

from m365_jobs.config.default_tenant import DEFAULT_TENANT, configured_tenant
from m365_jobs.config.dlt_defaults import DltDefaults
from m365_jobs.config.environment import variables_below
from m365_jobs.config.program_keys import CALENDAR
from m365_jobs.errors.exceptions import UsageError

TENANTS = f"{SECTION}.tenants"

MANY_TENANTS = 20
"""From this number of tenants on, commands sum up: a line stands for a tenant, or for several that are alike."""

_PARAMETERS = inspect.signature(avepoint_m365).parameters

OF_A_RUN = frozenset({"since", "until", "chunk_jobs", "run_id", "progress", "lookup", "verify_since"})
"""Arguments of the source that belong to one run, not to a tenant."""

_TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (str, list, bool, float, int)}


def _type(annotation: str) -> type:
    """Return the type of a configuration key by its annotation; object for one that allows several."""
    return _TYPES.get(annotation.split(" | ")[0].partition("[")[0], object)


KEYS: Mapping[str, type] = {
    name: _type(parameter.annotation)
    for name, parameter in _PARAMETERS.items()
    if name not in OF_A_RUN and name not in ("tenant", "credentials", "trusted_hosts")
}
"""Keys of a tenant's section and their types, without the secret ones: ``credentials`` and ``trusted_hosts``."""

_CREDENTIALS = {
    **dict.fromkeys(("client_id", "certificate_path", "expires_at"), False),
    **dict.fromkeys(("client_secret", "certificate_password"), True),
}
"""Keys of credentials, and whether each is secret; secret keys are not read from config.toml."""

_VARIABLES = TENANTS.replace(".", "__").upper() + "__"

_ENUMERABLE = (EnvironProvider, SettingsTomlProvider, DltDefaults)
"""Kinds of dlt's providers that can list their keys; a vault returns single values alone."""


SourceSettings: TypeAlias = dict[str, Any]
"""Settings of the source for one tenant, as keyword arguments of ``avepoint_m365``."""


@dataclass(frozen=True)
class Tenant:
    """Describe a tenant: one with a section of its own, or the one that the configuration names."""

    name: str
    has_section: bool = False
    shared: SourceSettings = field(default_factory=dict, compare=False)
    """Settings above the tenants' sections, if they were resolved once for all tenants."""
    is_resolved: bool = field(default=False, compare=False)
    """Whether ``shared`` has a value for each setting of the source."""

    @property
    def settings(self) -> SourceSettings:
        """Return the settings of the source in the tenant's section.

        They are read on demand, so that an invalid section fails its own tenant alone. Credentials are not mixed: all
        their keys are of this section, or all of the section above.

        Raises:
            ConfigurationError: for an unknown key, a label with stray white space, or incomplete credentials.
        """
        refuse_white_space(self.name, f"{TENANTS}.{self.name!r}" if self.has_section else f"{SECTION}.tenant")
        own: dict[str, Any] = {**self.shared, "tenant": self.name}
        if not self.has_section:
            return own
        _refuse_unknown_keys(self.name)
        settings = {key: setting(self.name, key, kind) for key, kind in KEYS.items()}
        settings["trusted_hosts"] = setting(self.name, "trusted_hosts", list, secret=True)
        settings["credentials"] = _credentials(self.name)
        own |= {key: value for key, value in settings.items() if value is not None}
        return own


def resolve_all(tenants: Sequence[Tenant]) -> list[Tenant]:
    """Return the tenants with the settings above their sections, which are resolved once for all tenants.

    If one of these settings is invalid, the tenants are returned unchanged, and the load of each reports it.
    """
    try:
        # The sections in which dlt looks for the source itself.
        shared = dict(resolve_configuration(avepoint_m365.ref.SPEC(), sections=tuple(SECTION.split("."))))
    except (ConfigurationError, ConfigurationException, ValueError):
        return list(tenants)
    shared = {name: value for name, value in shared.items() if value is not None}
    if shared.keys() & OF_A_RUN:
        return list(tenants)
    return [replace(tenant, shared=shared, is_resolved=True) for tenant in tenants]


def complete_settings(tenant: Tenant, overrides: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return every parameter of the source for a tenant; None if its settings were not resolved (``resolve_all``).

    Values in ``overrides`` take the place of all others.

    Raises:
        ConfigurationError: if the section of the tenant is invalid.
    """
    if not tenant.is_resolved:
        return None
    defaults = {name: parameter.default for name, parameter in _PARAMETERS.items()}
    settings = defaults | dict(tenant.settings) | dict(overrides)
    if isinstance(settings["credentials"], Mapping):
        settings["credentials"] = AvePointCredentials(**settings["credentials"])
    return settings


def refuse_white_space(label: str, key: str) -> None:
    """Refuse a label with white space at its ends or twice in a row: two labels would look the same.

    Raises:
        ConfigurationError: with the corrected label.
    """
    plain = " ".join(label.split())
    if label.strip() and plain != label:
        raise ConfigurationError(f"Stray white space: the label {label!r} of {key}. Write {plain!r}.")


def selected(names: Sequence[str], *, every: bool) -> list[Tenant]:
    """Return the tenants of ``--tenant NAME`` or ``--all-tenants``; without either, the one that the section names.

    Raises:
        ConfigurationError: for an unknown tenant.
        UsageError: for both options, without any configured tenant, or if the command must name one.
    """
    if names and every:
        raise UsageError("--tenant and --all-tenants exclude each other.")
    known = configured()
    if not names and not every:
        if only_sections():
            raise UsageError(
                "No tenant selected: each tenant has credentials of its own. Add --tenant NAME or --all-tenants."
            )
        return [Tenant(configured_tenant())]
    missing = [name for name in names if name not in known and name != configured_tenant()]
    named = known or [name for name in (configured_tenant(),) if name != DEFAULT_TENANT]
    if missing and named:
        raise unknown_value_error(TENANTS, missing[0], named)
    if not known and (every or missing):
        raise UsageError(f"No tenants are configured. Add sections [{TENANTS}.<name>] to .dlt/secrets.toml.")
    return [Tenant(name, name in known) for name in dict.fromkeys(names or known)]


def only_sections() -> bool:
    """Return whether tenants have sections of their own and no shared credentials exist."""
    return bool(configured()) and not credentials_above().client_id


@with_config(sections=("sources", "avepoint_m365"))
def credentials_above(credentials: AvePointCredentials = dlt.secrets.value) -> AvePointCredentials:
    """Return the credentials of the section above the tenants'."""
    return credentials


def configured_with(*keys: str) -> list[str]:
    """Return the names of the tenants whose sections may have one of the keys, in alphabetical order.

    To ask dlt for each key of each tenant costs 20 ms for 400 tenants, in each load of one of them.
    """
    endings = tuple(f"__{key}".upper() for key in keys)
    in_variables = any(name.upper().endswith(endings) for name in variables_below(_VARIABLES))
    if in_variables or not all(isinstance(provider, _ENUMERABLE) for provider in dlt.config.config_providers):
        return configured()
    return sorted({name for name, section in _sections() if isinstance(section, Mapping) and section.keys() & {*keys}})


def configured() -> list[str]:
    """Return the names of all tenants that have a section, in alphabetical order.

    Names of variables have upper case and no special characters. If a section in a file matches, its name is used.
    Otherwise the name is the text between SOURCES__AVEPOINT_M365__TENANTS__ and the next two underscores, in lower
    case.
    """
    names = {name for name, _ in _sections()}
    in_files = {name.upper() for name in names}
    for key in variables_below(_VARIABLES):
        parts = key.split("__")
        if not any("__".join(parts[:length]) in in_files for length in range(1, len(parts) + 1)) and parts[0]:
            names.add(parts[0].lower())
    return sorted(names)


def _sections() -> Iterator[tuple[str, object]]:
    """Yield the name and the content of each tenant's section, provider by provider; variables have no sections."""
    for provider in dlt.config.config_providers:
        sections, _ = provider.get_value("tenants", dict, "", *SECTION.split("."))
        if isinstance(sections, Mapping):
            yield from sections.items()


def setting(tenant: str, key: str, kind: Any, *inner: str, secret: bool = False) -> Any:
    """Return the value of a key in the section of a tenant, or in a section within it (``inner``); None without one.

    Secrets are not read from config.toml. ``dlt.config.get`` is not used: it would split a name such as
    contoso.onmicrosoft.com at its dots.

    Raises:
        ConfigValueCannotBeCoercedException: for a value of another type.
    """
    for provider in (dlt.secrets if secret else dlt.config).config_providers:
        value, _ = provider.get_value(key, kind, "", *TENANTS.split("."), tenant, *inner)
        if value is not None:
            if kind is object:
                return value
            # Coercion errors contain the value, which credentials must not be in; their values stay text.
            return as_text(value) if inner else deserialize_value(f"tenants.{tenant}.{key}", value, kind)
    return None


def as_text(value: Any) -> Any:
    """Return dates, numbers and booleans of TOML as text, and other values unchanged."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) else value


def _credentials(tenant: str) -> AvePointCredentials | None:
    """Return the credentials in the section of a tenant, key by key or as one text of JSON; None if it has none."""
    try:
        whole = setting(tenant, "credentials", dict, secret=True) or {}
    except ConfigValueCannotBeCoercedException:
        raise ConfigurationError(
            f"Invalid credentials: {TENANTS}.{tenant}.credentials is neither a section nor JSON."
        ) from None
    own = {key: as_text(whole.get(key)) for key in _CREDENTIALS}
    for key, secret in _CREDENTIALS.items():
        value = setting(tenant, key, TSecretStrValue if secret else str, "credentials", secret=secret)
        own[key] = own[key] if value is None else value
    if all(value is None for value in own.values()) and setting(tenant, "credentials", dict) is None:
        return None
    for key, value in own.items():
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"Invalid credentials: {TENANTS}.{tenant}.credentials.{key} is not a text.")
    credentials = AvePointCredentials(**own)
    credentials.resolve()
    credentials.identity(f"{TENANTS}.{tenant}")
    return credentials


def _refuse_unknown_keys(name: str) -> None:
    known = [*KEYS, *CALENDAR, "trusted_hosts", "credentials"]
    parts: dict[tuple[str, ...], list[str]] = {(): known, ("credentials",): list(_CREDENTIALS)}
    for inner, keys in parts.items():
        path = (*TENANTS.split("."), name, *inner)
        sections = [provider.get_value(path[-1], dict, "", *path[:-1])[0] for provider in dlt.config.config_providers]
        if not inner and any(section is not None and not isinstance(section, Mapping) for section in sections):
            raise ConfigurationError(f"Invalid section: {TENANTS}.{name} is a value, not a section with keys.")
        in_files = [key for section in sections if isinstance(section, Mapping) for key in section]
        prefix = "__".join((name, *inner, "")).upper()
        in_environment = [key.split("__")[0].lower() for key in variables_below(_VARIABLES + prefix)]
        for key in (*in_files, *in_environment):
            if key not in keys:
                raise unknown_value_error(".".join((TENANTS, name, *inner)), key, keys)
