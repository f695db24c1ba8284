"""Complete and store the resolved configuration of a destination, and guard the clients of a load that writes.

dlt resolves the configuration of a destination for each client and each query of its capabilities. That is twenty times
in a load with nothing new, half of its processor time. A factory belongs to one pipeline, whose configuration stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.destination import Destination
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from m365_jobs.warehouse.destinations.kinds import kind_of_type

PLAIN = (str, bool, int, float, type(None))
"""Types of values that may be part of a cache key."""


class _CachingFactory:
    """Keep the configurations and capabilities of a factory of dlt, and return copies."""

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        """Return the resolved configuration of a client."""
        known, key = self.__dict__.setdefault("_configurations", {}), _key(initial_config, accept_partial)
        if key in known:
            return _copy(known[key])
        config: Any = super().configuration(initial_config, accept_partial)  # type: ignore[misc]
        kind_of_type(self.destination_type).complete(config)  # type: ignore[attr-defined]
        if key is None:
            return config
        known[key] = config
        return _copy(config)

    def client(self, schema: Any, initial_config: Any = None) -> Any:
        """Return a client, guarded within ``guard_clients``."""
        client: Any = super().client(schema, initial_config)  # type: ignore[misc]
        guard = self.__dict__.get("_guard")
        return guard(client) if guard else client

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """Return the capabilities of the destination."""
        if config is not None:
            return super().capabilities(config, naming)  # type: ignore[misc]
        known, key = self.__dict__.setdefault("_capabilities", {}), naming and (naming.name(), naming.is_case_sensitive)
        if key not in known:
            # Without a configuration dlt resolves one, 4 ms, which most destinations ignore.
            needed = type(self).adjust_capabilities.__func__ is not Destination.adjust_capabilities.__func__  # type: ignore[attr-defined]
            known[key] = super().capabilities(None if needed else self.spec(), naming)  # type: ignore[attr-defined,misc]
        # dlt changes the object that it gets.
        return known[key].copy()

    def set_capabilities(self, **capabilities: Any) -> None:
        """Set capabilities of the destination."""
        vars(self)["caps_params"].update(capabilities)
        self.__dict__.pop("_capabilities", None)


@contextmanager
def guard_clients(factory: Any, guard: Callable[[Any], Any]) -> Iterator[None]:
    """Apply ``guard`` to each client that a factory creates within the block."""
    before = vars(factory).get("_guard")
    vars(factory)["_guard"] = guard
    try:
        yield
    finally:
        vars(factory)["_guard"] = before


def caching_factory(factory: Any) -> Any:
    """Return a factory of the same destination that caches its configuration and capabilities."""
    kind: Any = _caching_class(factory.__class__)
    caching = kind.__new__(kind)
    vars(caching).update(vars(factory))
    return caching


@cache
def _caching_class(kind: type) -> type:
    # dlt derives the type of a destination from the name of its class, and stores it in the state of a pipeline.
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return kind if issubclass(kind, _CachingFactory) else type(kind.__name__, (_CachingFactory, kind), names)


def _key(initial: Any, accept_partial: bool) -> tuple[Any, ...] | None:
    """Return the cache key of an initial configuration; None if it holds more than plain values."""
    try:
        return accept_partial, *_parts(initial)
    except TypeError:
        return None


def _parts(value: Any) -> tuple[Any, ...]:
    """Return a value with its type, recursively for configurations, dictionaries and lists.

    Raises:
        TypeError: for a value that cannot be compared, such as a connection.
    """
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, BaseConfiguration):
        fields = sorted((name, own) for name, own in vars(value).items() if own is not None)
        # Names with two underscores are dlt's own flags, such as whether it is resolved.
        return type(value), *((name, repr(own) if name.startswith("__") else _parts(own)) for name, own in fields)
    if isinstance(value, Mapping):
        return dict, *((name, _parts(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return list, *map(_parts, value)
    raise TypeError


def _copy(config: Any) -> Any:
    """Return a copy of a resolved configuration, with its own pool of DuckDB connections: a pool serves one client."""
    copied = config.copy()
    credentials = getattr(copied, "credentials", None)
    if isinstance(credentials, DuckDbCredentials) and credentials.external_conn() is None:
        credentials.on_resolved()
    return copied
