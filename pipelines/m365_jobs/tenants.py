"""Tenants of a managed service provider: sections of the configuration, each inheriting what it does not set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dlt
from avepoint_m365.config import SECTION, AvePointCredentials, unknown
from dlt.common.configuration import with_config

from m365_jobs.errors import UsageError
from m365_jobs.warehouse import configured_tenant

TENANTS = f"{SECTION}.tenants"

KEYS: Mapping[str, type] = {
    **dict.fromkeys(("data_center", "environment", "base_url", "token_url", "endpoint", "start_date"), str),
    **dict.fromkeys(("locations", "object_types", "expected_object_types", "ignored_object_types"), list),
    **dict.fromkeys(("split_job_types", "keep_unknown_fields"), bool),
    **dict.fromkeys(("lag_hours", "max_open_days"), float),
    **dict.fromkeys(("page_size", "concurrency"), int),
}
"""What a tenant may set for itself, beside ``credentials`` and ``trusted_hosts``, which are secret."""

_CREDENTIALS = ("client_id", "client_secret", "certificate_path", "certificate_password", "expires_at")


@dataclass(frozen=True)
class Tenant:
    """A tenant and the settings of the source that are its own."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict, repr=False)


def selected(names: Sequence[str], *, every: bool) -> list[Tenant]:
    """The tenants of ``--tenant NAME`` or ``--all-tenants``; without either the one that the section itself names.

    Raises:
        UsageError: for a name that is not configured, where none is, or where one has to be named.
    """
    if names and every:
        raise UsageError("--tenant and --all-tenants exclude each other.")
    known = configured()
    if not names and not every:
        if known and not _shared_credentials().client_id:
            raise UsageError(
                "Each tenant has credentials of its own. Say which is meant with --tenant NAME, or all of them with "
                "--all-tenants."
            )
        return [Tenant(configured_tenant())]
    missing = [name for name in names if name not in known and name != configured_tenant()]
    if not known and (every or missing):
        raise UsageError(f"No tenants are configured. Add sections [{TENANTS}.<name>] to .dlt/secrets.toml.")
    for name in missing:
        raise unknown("tenants", name, known)
    return [tenant(name) if name in known else Tenant(name) for name in dict.fromkeys(names or known)]


@with_config(sections=("sources", "avepoint_m365"))
def _shared_credentials(credentials: AvePointCredentials = dlt.secrets.value) -> AvePointCredentials:
    """Those of the section above the tenants'."""
    return credentials


def configured() -> list[str]:
    """The names of all tenants that the configuration has a section for, in alphabetical order.

    In the environment a name is what stands between SOURCES__AVEPOINT_M365__TENANTS__ and the next two underscores,
    in lower case.
    """
    names: set[str] = set()
    for provider in dlt.config.config_providers:
        found, _ = provider.get_value("tenants", dict, "", *SECTION.split("."))
        names.update(found if isinstance(found, Mapping) else ())
    prefix = TENANTS.replace(".", "__").upper() + "__"
    names.update(key.removeprefix(prefix).split("__")[0].lower() for key in os.environ if key.startswith(prefix))
    return sorted(names)


def tenant(name: str) -> Tenant:
    """A configured tenant. Its credentials are its own as a whole, or those of the section above as a whole.

    Raises:
        ConfigurationError: for a key that no source has.
    """
    section = f"{TENANTS}.{name}"
    _refuse_unknown_keys(name)
    settings: dict[str, Any] = {"tenant": name}
    for key, kind in KEYS.items():
        settings[key] = dlt.config.get(f"{section}.{key}", kind)
    settings["trusted_hosts"] = dlt.secrets.get(f"{section}.trusted_hosts", list)
    own: dict[str, Any] = {key: dlt.secrets.get(f"{section}.credentials.{key}") for key in _CREDENTIALS}
    if any(value is not None for value in own.values()):
        credentials = AvePointCredentials(**own)
        credentials.resolve()
        settings["credentials"] = credentials
    return Tenant(name, {key: value for key, value in settings.items() if value is not None})


def _refuse_unknown_keys(name: str) -> None:
    known = [*KEYS, "trusted_hosts", "credentials"]
    for provider in dlt.config.config_providers:
        found, _ = provider.get_value(name, dict, "", *TENANTS.split("."))
        for key in found if isinstance(found, Mapping) else ():
            if key not in known:
                raise unknown(f"tenants.{name}", key, known)
