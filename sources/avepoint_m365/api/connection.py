"""Make a client from the settings, for the source and for the checks of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import dlt
from dlt.common.configuration import with_config

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.config import SECTION, ServiceUrls, TrustedHosts, resolve_service_urls, unknown_value_error
from avepoint_m365.constants import MAX_PAGE_MB
from avepoint_m365.credentials import AvePointCredentials
from avepoint_m365.endpoints import versions
from avepoint_m365.exceptions import ConfigurationError

MAX_CONCURRENCY = 256

URL_SETTINGS = ("data_center", "environment", "base_url", "token_url", "trusted_hosts")
"""Settings that determine the URLs, in the order of the parameters of ``resolve_service_urls``."""


class Connection(NamedTuple):
    """Hold a client, its URLs and its credentials."""

    client: JobsClient
    urls: ServiceUrls
    credentials: AvePointCredentials


@with_config(sections=("sources", "avepoint_m365"))
def connect(  # noqa: PLR0913 - a parameter for each configuration key
    credentials: AvePointCredentials = dlt.secrets.value,
    data_center: str = "us",
    environment: str | None = None,
    base_url: str | None = None,
    token_url: str | None = None,
    endpoint: str = "auto",
    concurrency: int = 8,
    trusted_hosts: TrustedHosts = None,
    max_page_mb: int = MAX_PAGE_MB,
    stats: RequestStats | None = None,
) -> Connection:
    """Return a client for the settings of ``sources.avepoint_m365``; no request is sent yet.

    Raises:
        ConfigurationError: naming the key, the value and the known values.
    """
    return client_of(locals(), stats)


def client_of(settings: Mapping[str, object], stats: RequestStats | None) -> Connection:
    """Return a client for resolved settings by name; no request is sent yet.

    Raises:
        ConfigurationError: naming the key, the value and the known values.
    """
    values: dict[str, Any] = dict(settings)
    credentials, endpoint, concurrency = values["credentials"], values["endpoint"], values["concurrency"]
    max_page_mb = values["max_page_mb"]
    known = ("auto", *(version.name for version in versions()))
    if endpoint not in known:
        raise unknown_value_error(f"{SECTION}.endpoint", endpoint, known)
    if not 1 <= concurrency <= MAX_CONCURRENCY:
        raise ConfigurationError(
            f"Out of range: {SECTION}.concurrency = {concurrency} must lie between 1 and {MAX_CONCURRENCY}."
        )
    if max_page_mb < 1:
        raise ConfigurationError(f"Out of range: {SECTION}.max_page_mb = {max_page_mb} must be 1 or more.")
    urls = resolve_service_urls(*(values[name] for name in URL_SETTINGS))
    client = JobsClient(urls, credentials.identity(), endpoint, concurrency, stats, max_page_mb)
    return Connection(client, urls, credentials)
