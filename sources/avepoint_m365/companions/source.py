"""Read the companions of the jobs: licences, unusual activity, the backup schedule and the retention policy.

Jobs show what ran; the companions show what should have run. Each needs a permission of its own and may lack it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import dlt
from dlt.extract import DltResource

from avepoint_m365.api.stats import RequestStats
from avepoint_m365.companions.base import STATE_KEY, Attempt, Context, Versions
from avepoint_m365.companions.columns import keeps_history, resource_hints
from avepoint_m365.companions.registry import COMPANIONS, included
from avepoint_m365.companions.resources import no_rows, resources
from avepoint_m365.companions.schema import COMPANION_LOADS, SERVICE_TYPES, TABLES
from avepoint_m365.companions.service_types import service_rows
from avepoint_m365.companions.timing import request_time
from avepoint_m365.config import TrustedHosts, check_locations
from avepoint_m365.created import created_tables, is_created
from avepoint_m365.credentials import AvePointCredentials
from avepoint_m365.schema import Table

if TYPE_CHECKING:
    from avepoint_m365.api.client import JobsClient

__all__ = ["COMPANIONS", "STATE_KEY", "TABLES", "Attempt", "companions_source", "included"]

SOURCE = "avepoint_m365"

MAX_IDLE_TURNS = 20
"""Turns without a companion at work after which no further one is expected. dlt waits 0.01 s after such a turn."""


@dlt.source(name=SOURCE, section=SOURCE)
def companions_source(  # noqa: PLR0913 - a parameter for each configuration key
    credentials: AvePointCredentials = dlt.secrets.value,
    data_center: str = "us",
    environment: str | None = None,
    base_url: str | None = None,
    token_url: str | None = None,
    tenant: str = "default",
    locations: list[str] | None = None,
    include: str | list[str] | None = "auto",
    concurrency: int = 8,
    trusted_hosts: TrustedHosts = None,
    stats: RequestStats | None = None,
    attempts: list[Attempt] | None = None,
    versions: Versions | None = None,
) -> Iterator[DltResource]:
    """Return the companion resources of one tenant; each is requested at most once a UTC day, even after a failure.

    A failure skips its resource only. It is appended to ``attempts`` and kept in the source state.

    Args:
        credentials: Client id with secret or certificate.
        data_center: Data centre of the tenant; it determines the host and the identity service.
        environment: commercial, gov, aos2 or fedramp; from ``data_center`` if unset.
        base_url: URL of the API in place of the data centre's.
        token_url: URL for tokens in place of the environment's.
        tenant: Label of the tenant in every row.
        locations: Locations of a Multi-Geo tenant; each has a request of its own.
        include: auto, none, context (all), or names of companions.
        concurrency: The most requests in flight.
        trusted_hosts: Hosts that ``base_url`` and ``token_url`` may name beside the vendor's.
        stats: Counts requests together with those of the jobs.
        attempts: Receives the result of each companion.
        versions: Turns current settings into rows with ``valid_from`` and ``valid_to``, for a destination whose
            merges keep no history (scd2).

    Raises:
        ConfigurationError: before any request, with the key, the value and the known values.
    """
    companions, explicit = included(include)
    checked_locations, _ = check_locations(locations)
    if companions:
        # Readers of the warehouse import this package as well, and need no client.
        from avepoint_m365.api.connection import connect

        connection = connect(
            credentials,
            data_center,
            environment,
            base_url,
            token_url,
            concurrency=concurrency,
            trusted_hosts=trusted_hosts,
            stats=stats,
        )
        recorded = [] if attempts is None else attempts
        context = Context(
            connection.client,
            tenant,
            tuple(checked_locations),
            request_time(),
            explicit,
            concurrency,
            recorded,
            versions=versions,
        )
        for companion in companions:
            yield from resources(companion, context)
        yield _loads(context, len(companions), connection.client)
    yield from _empty(
        {table.name for companion in companions for table in companion.tables}, bool(companions), versions is not None
    )
    yield dlt.resource(service_rows, **resource_hints(SERVICE_TYPES))


def _loads(context: Context, companions: int, client: JobsClient) -> DltResource:
    """Return the resource of ``companion_loads``, which waits for all companions, and then closes their connections.

    It does not wait for companions that ``with_resources`` left out: dlt gives each resource its turn.
    """

    def rows() -> Iterator[object]:
        idle_turns = 0
        while len(context.done) < companions and idle_turns < MAX_IDLE_TURNS:
            # In threads (`parallelize`), a companion may be at work for many turns.
            idle_turns = idle_turns + 1 if len(context.begun) == len(context.done) else 0
            yield None
        client.close()
        yield context.loads or no_rows(COMPANION_LOADS, context.versions is not None)

    return dlt.resource(rows, **resource_hints(COMPANION_LOADS))


def _empty(filled: set[str], logged: bool, by_key_alone: bool) -> Iterator[DltResource]:
    """Yield resources that only create the other tables, so that marts find them with any ``include``."""
    done = {*filled, SERVICE_TYPES.name, *([COMPANION_LOADS.name] if logged else [])}
    for table in TABLES:
        if table.name not in done:
            hints = resource_hints(table)
            if not keeps_history(table):
                # A merge of no rows needs a staging table and three more statements.
                hints["write_disposition"] = "append"
            yield dlt.resource(_no_rows(table, by_key_alone), **hints)


def _no_rows(table: Table, by_key_alone: bool) -> Callable[[], Iterator[object]]:
    def rows() -> Iterator[object]:
        if not is_created(table, created_tables()):
            yield no_rows(table, by_key_alone)

    return rows
