"""Test which value of a filter labels a job that several values return."""

import pytest
from avepoint_m365.constants import PRIMARY_LOCATION
from avepoint_m365.extract.precedence import included_values, narrowest_first, shared_ids

VALUES = ["groups", "teams", "chat"]


@pytest.mark.parametrize(
    ("ids_by_value", "included", "order"),
    [
        ({}, [], ["groups", "teams", "chat"]),
        # The filter of groups returns the jobs of teams too.
        ({"groups": {"a", "b", "c"}, "teams": {"a", "b"}}, [], ["teams", "groups", "chat"]),
        # The jobs of chat are in two other lists, those of teams in one.
        ({"groups": set("abcd"), "teams": set("abc"), "chat": set("ab")}, [], ["chat", "teams", "groups"]),
        ({"groups": {"a", "b"}, "teams": {"c", "d"}}, [], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": {"c", "d"}}, ["teams"], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": {"b", "c"}}, [], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": set()}, [], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": set()}, ["teams"], ["groups", "teams", "chat"]),
        # A single job may belong to two services.
        ({"groups": {"a", "b"}, "teams": {"a"}}, [], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": {"a"}}, ["teams"], ["teams", "groups", "chat"]),
        # Two lists with the same jobs show nothing, unless the values are known.
        ({"groups": {"a", "b"}, "teams": {"a", "b"}}, [], ["groups", "teams", "chat"]),
        ({"groups": {"a", "b"}, "teams": {"a", "b"}}, ["teams"], ["teams", "groups", "chat"]),
        ({"groups": {"a", "b"}, "teams": {"a", "b"}}, ["teams", "groups"], ["groups", "teams", "chat"]),
        ({"groups": {"a"}, "teams": {"a"}}, ["teams"], ["teams", "groups", "chat"]),
        # The primary location is an alias of another value.
        ({PRIMARY_LOCATION: {"a", "b", "c"}, "teams": {"a", "b"}}, [], ["groups", "teams", "chat"]),
    ],
)
def test_a_value_whose_jobs_another_one_returns_as_well_comes_first(
    ids_by_value: dict[str, set[str]], included: list[str], order: list[str]
) -> None:
    assert narrowest_first(VALUES, ids_by_value, included) == order


@pytest.mark.parametrize(
    ("ids_by_value", "included"),
    [
        ({"groups": {"a", "b", "c"}, "teams": {"a", "b"}}, {"teams"}),
        ({"groups": {"a", "b", "c"}, "teams": {"a"}}, set()),
        ({"groups": {"a", "b"}, "teams": {"a", "b"}}, set()),
        ({"groups": {"a", "b"}, "teams": {"b", "c", "d"}}, set()),
        ({PRIMARY_LOCATION: {"a", "b", "c"}, "EUR": {"a", "b"}}, set()),
    ],
)
def test_a_value_is_included_if_another_one_returns_its_jobs_and_more(
    ids_by_value: dict[str, set[str]], included: set[str]
) -> None:
    assert included_values(ids_by_value) == included


def test_jobs_are_shared_if_two_values_return_them_apart_from_the_primary_location() -> None:
    ids_by_value = {"NAM": {"a", "b", "c"}, "EUR": {"b", "d"}, "GBR": {"b", "c"}, PRIMARY_LOCATION: {"a", "b"}}
    assert shared_ids(ids_by_value) == {"b", "c"}
    assert shared_ids({}) == set()
