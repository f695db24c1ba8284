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
from dlt.common.configuration.exceptions import ConfigurationException

from m365_jobs.config.tenants import Tenant, complete_settings, resolve_all
from m365_jobs.errors.explain import FAILED, FINE, Failure, explain
from m365_jobs.load.run import LoadOptions, load
from m365_jobs.load.summary import Summary
from m365_jobs.load.unchanged import LogRows
from m365_jobs.locks.base import Notify, TenantLockedError, refuse_age
from m365_jobs.locks.wait import unless
from m365_jobs.warehouse.pipeline import destination_type, telemetry_off

THREADS = "tenant"
"""What the names of their threads begin with."""


@dataclass
class TenantResult:
    """Hold how the load of one tenant ended: with a summary, with a failure, or left to another worker."""

    tenant: str
    summary: Summary | None = None
    failure: Failure | None = None

    @property
    def exit_code(self) -> int:
        """Return the exit code of a load of this tenant alone."""
        if self.failure:
            return self.failure.exit_code
        return self.summary.exit_code if self.summary else FINE


@dataclass
class TenantLoads:
    """Hold the loads of several tenants that run in parallel; any thread may read it meanwhile."""

    progress: dict[str, Progress]
    results: list[TenantResult] = field(default_factory=list)
    limiters: list[RateLimiter] = field(default_factory=list)
    """The limiter of each host. Without a holder it ends with the load that uses it, and its lowest limit with it."""

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
    failed: Callable[[BaseException], None],
    side_by_side: int,
) -> None:
    """Load each tenant with ``options``; ``tenant_loads`` holds their progress and, at the end, their results.

    ``failed`` is called with each exception, after it was recorded. ``side_by_side`` is the number of tenants that are
    read at once. ``concurrency`` bounds the requests in flight, for each API host.

    Raises:
        UsageError: before anything is loaded, where the warehouse cannot tell how long ago a tenant was.
        InterruptedLoadError: once all have ended, where that was asked for (KeyboardInterrupt).
    """
    # Before others read the configuration: it writes to it.
    telemetry_off()
    if options.min_age and not options.file:
        refuse_age(options.min_age, destination_type(options.destination))

    late: dict[str, Failure] = {}

    def log_failed(name: str, error: BaseException) -> None:
        failed(error)
        late[name] = explain(error)

    options = replace(options, log=LogRows(), log_failed=log_failed)
    tenants = resolve_all(tenants)
    tenant_loads.limiters = list(_limiters(tenants, options))

    def load_one(tenant: Tenant) -> TenantResult:
        return _load_one(replace(options, tenant=tenant), tenant_loads, notify, failed)

    try:
        with ThreadPoolExecutor(side_by_side, thread_name_prefix=THREADS) as pool:
            try:
                list(pool.map(load_one, tenants))
            except KeyboardInterrupt:
                for progress in tenant_loads.progress.values():
                    progress.stats.interrupted.set()
                notify("Interrupted: each tenant ends after its present request or write.")
                raise InterruptedLoadError from None
    finally:
        assert options.log is not None
        options.log.flush()
        tenant_loads.results[:] = [
            TenantResult(result.tenant, failure=late[result.tenant]) if result.tenant in late else result
            for result in tenant_loads.results
        ]
        # Ctrl+C may come between the start of a thread and the pool's note of it.
        for thread in threading.enumerate():
            if thread.name.startswith(THREADS) and thread.is_alive():
                thread.join()


def _limiters(tenants: Sequence[Tenant], options: LoadOptions) -> Iterator[RateLimiter]:
    """Yield the limiter of each tenant's host: the lowest limit of a host holds from the first request on.

    A tenant with an invalid setting is left out. Its own load names the setting.
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


def _load_one(
    options: LoadOptions, tenant_loads: TenantLoads, notify: Notify, failed: Callable[[BaseException], None]
) -> TenantResult:
    """Load the tenant of ``options``; return how it ended, and add that to the tenant_loads."""
    assert options.tenant is not None
    name = options.tenant.name

    def notify_tenant(text: str) -> None:
        notify(f"{name}: {text}")

    try:
        with unless(tenant_loads.progress[name].stats.interrupted):
            summary = load(options, tenant_loads.progress[name], notify_tenant)
        result = TenantResult(name, summary=summary)
    except TenantLockedError as busy:
        notify_tenant(f"left out. {busy}")
        result = TenantResult(name)
    except Exception as error:
        failed(error)
        result = TenantResult(name, failure=explain(error))
    # Loaded rows are not needed any more, and there may be hundreds of tenants.
    tenant_loads.progress[name].begin_chunk()
    tenant_loads.results.append(result)
    return result
