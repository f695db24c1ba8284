"""Whether everything a load needs is in place, one line each, with the cure for what is not."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dlt
from avepoint_m365 import avepoint_m365
from avepoint_m365.config import AvePointCredentials
from avepoint_m365.connection import connect
from avepoint_m365.errors import SourceError
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs import health_checks, tenants, warehouse
from m365_jobs.errors import Failure, explain
from m365_jobs.scope import open_scope


@dataclass(frozen=True)
class Finding:
    """One line of ``check``."""

    what: str
    fine: bool
    text: str
    exit_code: int = 0


def _failed(what: str, why: Failure) -> Finding:
    return Finding(what, False, why.text, why.exit_code)


def findings(
    destination: str | None = None, dataset: str | None = None, names: Sequence[str] = ()
) -> Iterator[Finding]:
    """Tries configuration, token and permission with API of the tenants named, or else of all that have a section of
    their own, or of the one that the configuration names; then the destination. Later ones only where they can be."""
    warehouse.telemetry_off()
    from m365_jobs.unheeded import unheeded  # which looks at settings of health, and that imports this

    for text in unheeded():
        yield Finding("settings", True, text)
    try:
        every = not names and bool(tenants.configured())
        chosen = tenants.selected(names, every=every)
    except Exception as error:
        yield _failed("configuration", explain(error))
    else:
        for one in chosen:
            for found in _of_tenant(one):
                yield replace(found, what=f"{one.name}: {found.what}") if names or every else found
    yield from _of_destination(destination, dataset)


def _of_tenant(tenant: tenants.Tenant) -> Iterator[Finding]:
    try:
        own = {key: value for key, value in tenant.settings.items() if key in inspect.signature(connect).parameters}
        connection = connect(**own)
        avepoint_m365(**tenant.settings)  # for the settings that need no connection
    except Exception as error:
        yield _failed("configuration", explain(error))
        return
    yield Finding(
        "configuration", True, f"{connection.addresses.base_url}, tokens from {connection.addresses.token_url}"
    )
    if ending := expiry(connection.credentials):
        yield ending
    try:
        connection.client.authenticate()
    except Exception as error:
        yield _failed("token", explain(error))
        return
    yield Finding("token", True, "granted")
    try:
        endpoint = connection.client.ask({"pageSize": "10"}).endpoint
    except Exception as error:
        yield _failed("permission and API", explain(error))
    else:
        yield Finding("permission and API", True, f"{endpoint.path} answers")


def _of_destination(destination: str | None, dataset: str | None) -> Iterator[Finding]:
    try:
        pipeline = warehouse.open_pipeline(warehouse.configured_tenant(), destination, dataset)
        with pipeline.destination_client() as target:
            ready = target.is_storage_initialized()
        where = warehouse.location(pipeline)
    except Exception as error:
        yield _failed("destination", explain(error))
    else:
        state = "has the dataset" if ready else "can be reached; the dataset comes with the first load"
        yield Finding("destination", True, f"{where}: {state}")
        yield from _states(pipeline)


def _states(pipeline: dlt.Pipeline) -> Iterator[Finding]:
    """A line for each state of the API that nobody knows."""
    try:
        with open_scope(pipeline) as scope:
            for text in health_checks.unknown_states(scope):
                yield Finding("states", True, text)
    except DestinationUndefinedEntity:
        return
    except Exception as error:
        yield _failed("states", explain(error))


def expiry(credentials: AvePointCredentials) -> Finding | None:
    """A line on credentials that have ended or end within 30 days."""
    ends = credentials.ends_at()
    left = ends - datetime.now(UTC) if ends else timedelta.max
    if left < timedelta(0):
        return Finding("credentials", False, f"they ended on {ends:%Y-%m-%d} UTC; renew them.", 1)
    if left < timedelta(days=30):
        return Finding("credentials", True, f"they end on {ends:%Y-%m-%d} UTC, in {left.days} days; renew them soon.")
    return None


def expiries(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Of the tenants named, each whose credentials are configured and have ended or end soon, with a line on them."""
    sections, shared = tenants.configured(), warehouse.configured_tenant()
    for name in names:
        if name not in sections and name != shared:
            continue
        own = tenants.tenant(name).settings.get("credentials") if name in sections else None
        try:
            ending = expiry(own or connect().credentials)
        except SourceError:
            # Who looks at the warehouse needs no credentials of the API.
            continue
        if ending:
            yield name, ending.text
