"""Keep the resolved configuration of a destination, and let a load guard its clients.

dlt resolves the configuration of a destination for each client and each question about its abilities: twenty times in
a load with nothing new, half of its processor time. A factory belongs to one pipeline, whose configuration stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from dlt.common.configuration.specs import BaseConfiguration
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

PLAIN = (str, bool, int, float, type(None))
"""Types of values that tell one initial configuration from another."""


class _Remembering:
    """Answer as a factory of dlt does, with copies of earlier answers."""

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        """Return the resolved configuration of a client."""
        known, key = self.__dict__.setdefault("_configurations", {}), _key(initial_config, accept_partial)
        if key is None:
            return super().configuration(initial_config, accept_partial)  # type: ignore[misc]
        if key not in known:
            known[key] = super().configuration(initial_config, accept_partial)  # type: ignore[misc]
        return _copy(known[key])

    def client(self, schema: Any, initial_config: Any = None) -> Any:
        """Return a client, which a load that writes has guarded."""
        client: Any = super().client(schema, initial_config)  # type: ignore[misc]
        guard = self.__dict__.get("_guard")
        return guard(client) if guard else client

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """Return the abilities of the destination."""
        if config is not None:
            return super().capabilities(config, naming)  # type: ignore[misc]
        known, key = self.__dict__.setdefault("_capabilities", {}), naming and (naming.name(), naming.is_case_sensitive)
        if key not in known:
            known[key] = super().capabilities(None, naming)  # type: ignore[misc]
        # dlt writes into what it gets.
        return known[key].copy()

    def set_abilities(self, **abilities: Any) -> None:
        """Set abilities above those that dlt knows."""
        vars(self)["caps_params"].update(abilities)
        self.__dict__.pop("_capabilities", None)


@contextmanager
def guarding(factory: Any, guard: Callable[[Any], Any]) -> Iterator[None]:
    """Apply ``guard`` to each client that a factory creates within the block."""
    before = vars(factory).get("_guard")
    vars(factory)["_guard"] = guard
    try:
        yield
    finally:
        vars(factory)["_guard"] = before


def remembering(factory: Any) -> Any:
    """Return a factory of the same destination that resolves its configuration once."""
    kind: Any = _remembering_class(factory.__class__)
    remembering_factory = kind.__new__(kind)
    vars(remembering_factory).update(vars(factory))
    return remembering_factory


@cache
def _remembering_class(kind: type) -> type:
    # dlt takes the type of a destination from the name of its class, and keeps it in the state of a pipeline.
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return kind if issubclass(kind, _Remembering) else type(kind.__name__, (_Remembering, kind), names)


def _key(initial: Any, accept_partial: bool) -> tuple[Any, ...] | None:
    """Return what tells an initial configuration from others; None if it holds more than plain values."""
    try:
        return accept_partial, *_parts(initial)
    except TypeError:
        return None


def _parts(value: Any) -> tuple[Any, ...]:
    """Return a value with its type; of a configuration or dictionary, those of its parts.

    Raises:
        TypeError: for a value that cannot be told from another, such as a connection.
    """
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, BaseConfiguration):
        fields = sorted((name, own) for name, own in vars(value).items() if own is not None)
        # Two underscores: dlt's own marks, such as whether it is resolved.
        return type(value), *((name, repr(own) if name.startswith("__") else _parts(own)) for name, own in fields)
    if isinstance(value, Mapping):
        return dict, *((name, _parts(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return list, *map(_parts, value)
    raise TypeError


def _copy(config: Any) -> Any:
    """Return a copy of a resolved configuration. The pool of a DuckDB connection belongs to a single client."""
    copied = config.copy()
    credentials = getattr(copied, "credentials", None)
    if isinstance(credentials, DuckDbCredentials) and credentials.external_conn() is None:
        credentials.on_resolved()
    return copied
