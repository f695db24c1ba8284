"""Check what a load needs, one line per check, with the cure for each failure.

Write permissions at the destination are not checked; a load reports them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from avepoint_m365 import avepoint_m365
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.connection import connect
from avepoint_m365.api.page import JobsPage
from avepoint_m365.companions.base import get_any
from avepoint_m365.companions.source import included
from avepoint_m365.exceptions import RefusedParametersError
from avepoint_m365.futures import results_as_completed, results_in_order
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.shared_credentials import shared_credentials
from m365_jobs.config.tenants import MANY_TENANTS, Tenant
from m365_jobs.config.unknown_settings import unknown_settings
from m365_jobs.errors.exceptions import FAILED, FINE, WRONG_USAGE
from m365_jobs.errors.explain import Failure, explain
from m365_jobs.health import run_checks
from m365_jobs.health.expiry import expiry_of
from m365_jobs.health.file_permissions import open_files
from m365_jobs.health.preflight_result import PreflightResult, sum_up_tenants
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.target import Target, address_of, open_warehouse
from m365_jobs.warehouse.tenant_scope import open_scope

PARALLEL_TENANTS = 8

CONNECTION_SETTINGS = frozenset(inspect.signature(connect).parameters)
"""Settings of the source that apply to a connection."""


def _failed(what: str, why: Failure) -> PreflightResult:
    return PreflightResult(what, False, why.text, why.exit_code)


def run_preflight(
    destination: str | None = None,
    dataset: str | None = None,
    asked: Sequence[Tenant] = (),
    names: Sequence[str] = (),
    *,
    strict: bool = False,
) -> Iterator[PreflightResult]:
    """Yield the results for configuration, token, permission with API, and destination, in this order.

    A check runs only if the one before it allows it. The first three run for each requested tenant, several tenants in
    parallel, since a host that is down costs a timeout. ``names`` limits what loads found to these tenants.
    """
    warehouse.telemetry_off()
    for text in (*unknown_settings(), *shared_credentials()):
        yield PreflightResult("settings", not strict, text, WRONG_USAGE if strict else 0, warning=True)
    context = dlt.current.run_context()
    yield from _files(
        [Path(folder).absolute() / "secrets.toml" for folder in (context.settings_dir, context.global_dir)]
    )
    yield from _of_tenants(asked or [Tenant(configured_tenant())])
    try:
        pipeline = open_warehouse(destination, dataset)
        ready = _has_dataset(pipeline)
        where = address_of(pipeline)
    except Exception as error:
        yield _failed("destination", explain(error))
    else:
        state = "has the dataset" if ready else "can be reached; the dataset comes with the first load"
        yield PreflightResult("destination", True, f"{where}: {state}")
        yield from _files([], kind_of(pipeline).local_path(pipeline))
        yield from _findings_of_loads(pipeline, names)


def _of_tenants(asked: Sequence[Tenant]) -> Iterator[PreflightResult]:
    """Yield the results of each tenant in order. Of many, yield failures and warnings at once, then the numbers."""
    with ThreadPoolExecutor(PARALLEL_TENANTS) as pool:
        running = [pool.submit(_of_api, tenant) for tenant in asked]
        if len(asked) >= MANY_TENANTS:
            yield from sum_up_tenants(results_as_completed(running))
            return
        several = len(asked) > 1
        for name, checks in results_in_order(running):
            yield from (check._replace(what=f"{name}, {check.what}") if several else check for check in checks)


def _has_dataset(pipeline: Target) -> bool:
    """Return whether the destination has the dataset; connect only if that leaves a new file to the first load."""
    kind = kind_of(pipeline)
    if kind.can_create(pipeline):
        return False
    kind.before_writing(pipeline)
    with pipeline.destination_client() as target:
        return bool(target.is_storage_initialized())


def _files(secrets: Sequence[Path], warehouse: Path | None = None) -> Iterator[PreflightResult]:
    return (PreflightResult("files", True, text, warning=True) for text in open_files(secrets, warehouse))


def _of_api(tenant: Tenant) -> tuple[str, list[PreflightResult]]:
    return tenant.name, list(_check_tenant(tenant))


def _check_tenant(tenant: Tenant) -> Iterator[PreflightResult]:
    try:
        own: dict[str, Any] = dict(tenant.settings)
        # The source validates all settings, and sends no request.
        avepoint_m365(**own)
        connection = connect(**{key: own[key] for key in CONNECTION_SETTINGS & own.keys()})
    except Exception as error:
        yield _failed("configuration", explain(error))
        return
    urls = connection.urls
    yield PreflightResult("configuration", True, f"{urls.base_url}, tokens from {urls.token_url}")
    if certificate := connection.credentials.certificate_path:
        yield from _files([Path(certificate).absolute()])
    if expiry := expiry_of(connection.credentials):
        yield PreflightResult(
            "credentials", expiry.is_ahead, f"they {expiry.text}", FINE if expiry.is_ahead else FAILED
        )
    try:
        connection.client.authenticate()
    except Exception as error:
        yield _failed("token", explain(error))
        return
    yield PreflightResult("token", True, "granted")
    try:
        endpoint = _first_page(connection.client).endpoint
    except Exception as error:
        yield _failed("permission and API", explain(error))
        return
    yield PreflightResult("permission and API", True, f"{endpoint.path} answers")
    yield from _companions(connection.client, own)


def _companions(client: JobsClient, own: Mapping[str, Any]) -> Iterator[PreflightResult]:
    """Check the permission of each included companion; a missing one fails only if the configuration names it."""
    include = own.get("include") or dlt.config.get("sources.avepoint_m365.include")
    try:
        companions, explicit = included(include)
    except Exception as error:
        yield _failed("include", explain(error))
        return
    failures: dict[str, Failure] = {}
    today = datetime.now(UTC).date()
    for companion in companions:
        try:
            get_any(client, companion, companion.day_parameters(today))
        except Exception as error:
            failures[companion.name] = explain(error)
        else:
            yield PreflightResult(f"companion {companion.name}", True, "granted")
    # One permission may cover several companions; each is named once.
    for text in dict.fromkeys(why.text for why in failures.values()):
        names = [name for name, why in failures.items() if why.text == text]
        what = f"companion{'s' * (len(names) > 1)} {', '.join(names)}"
        why = failures[names[0]]
        yield _failed(what, why) if explicit else PreflightResult(what, True, f"skipped by loads: {text}", skipped=True)


def _first_page(client: JobsClient) -> JobsPage:
    try:
        return client.request_page({"pageSize": "10"})
    except RefusedParametersError:
        # Some servers require the number of the page; loads detect that too.
        return client.request_page({"pageSize": "10", "pageIndex": "1"})


def _findings_of_loads(pipeline: Target, names: Sequence[str]) -> Iterator[PreflightResult]:
    """Yield a result for each unknown state, and for each finding of each tenant's newest load."""
    try:
        with open_scope(pipeline, names) as scope:
            for what, rows in (
                ("states", run_checks.unknown_states(scope)),
                ("findings", run_checks.check_failures(scope)),
            ):
                for row in rows:
                    tenant = "" if row["tenant"] in warehouse.DEFAULT_LABELS else f"{row['tenant']}: "
                    yield PreflightResult(what, True, f"{tenant}{row['text']}", warning=True)
    except DestinationUndefinedEntity:
        return
    except Exception as error:
        yield _failed("findings", explain(error))
