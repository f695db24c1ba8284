"""Load several tenants in parallel; a failing tenant does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from avepoint_m365 import Progress
from avepoint_m365.api.connection import URL_SETTINGS
from avepoint_m365.api.rate_limit import RateLimiter, limiter_of
from avepoint_m365.config import resolve_service_urls
from avepoint_m365.exceptions import ConfigurationError, InterruptedLoadError
from avepoint_m365.futures import results_of
from dlt.common.configuration.exceptions import ConfigurationException

from m365_jobs.config.tenants import Tenant, complete_settings, resolve_all
from m365_jobs.errors.exceptions import FAILED, FINE, INTERRUPTED
from m365_jobs.errors.explain import Failure, explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.load.unchanged import LogRowBuffer
from m365_jobs.locks.base import TenantLockedError, refuse_min_age
from m365_jobs.terminal import Notify
from m365_jobs.waiting import unless
from m365_jobs.warehouse.factory import destination_type
from m365_jobs.warehouse.pipeline import clear_config_traces, telemetry_off

THREAD_PREFIX = "tenant"
"""Prefix of the names of the threads that load tenants."""


SHOWN_AT_ONCE = 3
"""A line that more tenants share is printed for these at once, and for all others together at the end."""


class TenantNotes:
    """Print lines of tenants, without repeating for hundreds of tenants what they share. Safe to share."""

    def __init__(self, notify: Notify) -> None:
        self._notify, self._lock = notify, threading.Lock()
        self._tenants: dict[str, dict[str, None]] = {}

    def add(self, tenant: str, text: str) -> None:
        """Print a line of a tenant, or keep it for the end."""
        with self._lock:
            tenants = self._tenants.setdefault(text, {})
            shown = tenant in tenants or len(tenants) < SHOWN_AT_ONCE
            tenants[tenant] = None
        if shown:
            self._notify(f"{tenant}: {text}")

    def flush(self) -> None:
        """Print the lines that were kept, with the names of their tenants."""
        for text, tenants in self._tenants.items():
            if names := list(tenants)[SHOWN_AT_ONCE:]:
                self._notify(f"{', '.join(names)}: {text}")


@dataclass
class TenantResult:
    """Hold the result of the load of one tenant: a summary, a failure, or neither if another worker loads it."""

    tenant: str
    summary: Summary | None = None
    failure: Failure | None = None

    @property
    def exit_code(self) -> int:
        """Return the exit code of a load of this tenant alone."""
        if self.failure:
            return self.failure.exit_code
        return self.summary.exit_code if self.summary else FINE

    @property
    def interrupted(self) -> bool:
        """Return whether a signal ended the load."""
        return self.exit_code == INTERRUPTED


@dataclass
class TenantLoads:
    """Hold the loads of several tenants that run in parallel; any thread may read it meanwhile."""

    progress: dict[str, Progress]
    results: list[TenantResult] = field(default_factory=list)
    limiters: list[RateLimiter] = field(default_factory=list)
    """The limiter of each API host. Other references are weak: without this list, a limit would end with its load."""

    @property
    def exit_code(self) -> int:
        """Return the exit code of all tenants if it is the same; else 1 if any failed, or 3 if any is incomplete."""
        codes = {result.exit_code for result in self.results}
        if len(codes) == 1:
            return codes.pop()
        return FAILED if any(result.failure for result in self.results) else max(codes, default=FINE)


def load_all(
    tenants: Sequence[Tenant],
    options: LoadOptions,
    tenant_loads: TenantLoads,
    notify: Notify,
    on_failure: Callable[[BaseException], None],
    parallel_tenants: int,
) -> None:
    """Load several tenants in parallel.

    Args:
        tenants: The tenants, in the order in which their loads start.
        options: The options of each load, without its tenant.
        tenant_loads: Holds the progress of each load and, at the end, all results.
        notify: Receives lines for the user; each begins with its tenant.
        on_failure: Called with each exception, after it was recorded.
        parallel_tenants: The most tenants that are loaded at once. ``concurrency`` bounds the requests per API host.

    Raises:
        UsageError: before anything is loaded, if ``min_age`` is set and the destination has no leases.
        InterruptedLoadError: after KeyboardInterrupt, once all loads have ended.
    """
    # It writes to the configuration, so it comes before any thread reads that.
    telemetry_off()
    if options.min_age and not options.file:
        refuse_min_age(options.min_age, destination_type(options.destination))

    log_failures: dict[str, Failure] = {}

    def on_log_failure(name: str, error: BaseException) -> None:
        on_failure(error)
        log_failures[name] = explain(error)

    log_buffer = LogRowBuffer(on_log_failure)
    options = replace(options, log_buffer=log_buffer)
    tenants, notes = resolve_all(tenants), TenantNotes(notify)
    tenant_loads.limiters = list(_limiters(tenants, options))

    def load_tenant(tenant: Tenant) -> TenantResult:
        return _load_tenant(replace(options, tenant=tenant), tenant_loads, notes, on_failure)

    try:
        with ThreadPoolExecutor(parallel_tenants, thread_name_prefix=THREAD_PREFIX) as pool:
            try:
                results_of([pool.submit(load_tenant, tenant) for tenant in tenants])
            except KeyboardInterrupt:
                for progress in tenant_loads.progress.values():
                    progress.stats.interrupted.set()
                notify("Interrupted: each tenant ends after its present write.")
                raise InterruptedLoadError from None
    finally:
        log_buffer.flush()
        notes.flush()
        clear_config_traces()
        tenant_loads.results[:] = [
            TenantResult(result.tenant, failure=log_failures[result.tenant])
            if result.tenant in log_failures
            else result
            for result in tenant_loads.results
        ]
        _join_tenant_threads()


def _join_tenant_threads() -> None:
    """Wait for the threads of tenants: Ctrl+C may arrive after one has started and before its pool registers it."""
    for thread in threading.enumerate():
        if thread.name.startswith(THREAD_PREFIX) and thread.is_alive():
            thread.join()


def _limiters(tenants: Sequence[Tenant], options: LoadOptions) -> Iterator[RateLimiter]:
    """Yield the limiter of each tenant's host, so that a host's lowest limit applies from the first request on.

    A tenant with an invalid setting is left out; its load reports the setting.
    """
    for tenant in tenants:
        try:
            settings = complete_settings(tenant, options.source)
            concurrency = settings and settings["concurrency"]
            if settings and isinstance(concurrency, int) and concurrency > 0:
                urls = resolve_service_urls(*(settings[name] for name in URL_SETTINGS))
                yield limiter_of(urls.base_url, concurrency)
        except (ConfigurationError, ConfigurationException, ValueError):
            continue


def _load_tenant(
    options: LoadOptions, tenant_loads: TenantLoads, notes: TenantNotes, on_failure: Callable[[BaseException], None]
) -> TenantResult:
    """Load the tenant of ``options``; return its result and add it to ``tenant_loads``."""
    assert options.tenant is not None
    name = options.tenant.name

    def notify_tenant(text: str) -> None:
        notes.add(name, text)

    try:
        with unless(tenant_loads.progress[name].stats.interrupted):
            summary = load(options, tenant_loads.progress[name], notify_tenant)
        result = TenantResult(name, summary=summary)
    except TenantLockedError as error:
        notify_tenant(f"left out. {error}")
        result = TenantResult(name)
    except Exception as error:
        on_failure(error)
        result = TenantResult(name, failure=explain(error))
    # Release the rows: there may be hundreds of tenants.
    tenant_loads.progress[name].begin_chunk()
    tenant_loads.results.append(result)
    return result
