"""Order the values of a filter for jobs that several of them return: a value may include another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from avepoint_m365.constants import PRIMARY_LOCATION

Value = TypeVar("Value")


def narrowest_first(
    values: Sequence[Value], ids_by_value: Mapping[Value, AbstractSet[str]], included: Collection[Value] = ()
) -> list[Value]:
    """Return values by precedence: one whose jobs another one returns as well, with more, comes before that.

    A filter may include a sibling service: that of groups may return the jobs of teams too. One job proves this only
    for values that are known to be ``included``: a single job may belong to two services.
    """
    named = _named(ids_by_value)

    def count_wider(value: Value) -> int:
        ids = named.get(value)
        if not ids or (len(ids) < 2 and value not in included):
            return 0
        wider = [
            other
            for key, other in named.items()
            if ids < other or (ids == other and value in included and key not in included)
        ]
        return len(wider)

    return sorted(values, key=lambda value: -count_wider(value))


def included_values(ids_by_value: Mapping[Value, AbstractSet[str]]) -> set[Value]:
    """Return the values whose jobs, two at least, another value returns as well, with more."""
    named = _named(ids_by_value)
    return {value for value, ids in named.items() if len(ids) > 1 and any(ids < other for other in named.values())}


def shared_ids(ids_by_value: Mapping[Value, AbstractSet[str]]) -> set[str]:
    """Return the ids of jobs that several values returned."""
    shared, returned = set[str](), set[str]()
    for ids in _named(ids_by_value).values():
        shared |= returned & ids
        returned |= ids
    return shared


def _named(ids_by_value: Mapping[Value, AbstractSet[str]]) -> dict[Value, AbstractSet[str]]:
    """Return all values but the primary location, which is an alias."""
    return {value: ids for value, ids in ids_by_value.items() if value != PRIMARY_LOCATION}
