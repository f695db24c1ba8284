"""Find fields that the vendor renamed or moved in some jobs, and fields that it sends under two names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

Spellings = Mapping[str, tuple[str, ...]]


def renamed_fields(spellings: Spellings, shapes: Collection[Sequence[str]]) -> set[str]:
    """Return the fields that some objects lack, while only those have a field of an unknown name.

    Args:
        spellings: The names of each field.
        shapes: The keys of objects, each combination once.
    """
    by_spelling = {spelling.lower(): name for name, names in spellings.items() for spelling in names}
    folded = [{key.lower() for key in keys} for keys in shapes]
    if not any(keys - by_spelling.keys() for keys in folded):
        return set()
    present = [({by_spelling[key] for key in keys & by_spelling.keys()}, keys - by_spelling.keys()) for keys in folded]
    return {
        name
        for name in spellings
        if _unknown_keys(present, name, has_field=False) - _unknown_keys(present, name, has_field=True)
    }


def _unknown_keys(present: Sequence[tuple[set[str], set[str]]], name: str, has_field: bool) -> set[str]:
    """Return the unknown keys of the objects that have a field, or of those that lack it."""
    return {key for names, unknown in present for key in unknown if (name in names) is has_field}


def conflicts(raw: Mapping[str, object], keys: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the fields whose names have different values, with these values; lists may differ.

    Args:
        raw: An object of the API.
        keys: The keys of each known field.
    """
    for name, own in keys.items():
        values = {key: raw[key] for key in own if raw[key] not in (None, "") and not isinstance(raw[key], list)}
        if len({str(value) for value in values.values()}) > 1:
            yield name, values
