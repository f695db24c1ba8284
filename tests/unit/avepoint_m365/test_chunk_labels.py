"""Test the labels of a chunk: those of the warehouse, and those of listings where one is missing."""

from datetime import UTC, datetime

from avepoint_m365.constants import ObjectType
from avepoint_m365.extract.bulk import Bulk
from avepoint_m365.extract.chunk_labels import ChunkLabels, ids_without_labels, known_labels
from avepoint_m365.extract.classify import Classification
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.window import Selection, Window

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON, NOON)
TEAMS, GROUPS, CHAT = ObjectType.teams, ObjectType.microsoft_365_groups, ObjectType.teams_chat
NO_LABELS: dict[str, dict[str, str]] = {"location": {}, "object_type": {}, "job_type": {}}


def listing_of(object_type: ObjectType | None, *ids: str) -> Listing:
    return Listing(Selection(WINDOW, object_type=object_type), ids=set(ids))


def known_job(job_id: str, location: str | None, object_type: str | None, job_type: str | None) -> KnownJob:
    return KnownJob(job_id, None, None, None, None, (), (), location, object_type, job_type, None, None)


def labelled_by(*listings: Listing) -> ChunkLabels:
    chunk_labels = ChunkLabels()
    chunk_labels.label_object_types(listings)
    return chunk_labels


def test_the_labels_of_the_warehouse_are_those_that_are_set() -> None:
    known = {
        "a": known_job("a", "EUR", "teams", "backup"),
        "b": known_job("b", None, "teams_chat", None),
        "c": known_job("c", None, None, None),
    }
    assert known_labels(known) == {
        "location": {"a": "EUR"},
        "object_type": {"a": "teams", "b": "teams_chat"},
        "job_type": {"a": "backup"},
    }


def test_jobs_without_labels_are_named_in_order_for_each_dimension_that_has_some() -> None:
    labels = {"location": {"b": "EUR"}, "object_type": {"a": "teams", "b": "teams", "c": "teams"}, "job_type": {}}
    assert ids_without_labels(["c", "b", "a"], labels, ["location", "object_type", "job_type"]) == {
        "location": ["c", "a"],
        "job_type": ["c", "b", "a"],
    }
    assert ids_without_labels(["c", "b", "a"], labels, ["object_type"]) == {}


def test_the_label_of_the_warehouse_precedes_that_of_a_listing() -> None:
    chunk_labels = ChunkLabels({"location": {}, "object_type": {"a": "teams"}, "job_type": {}})
    chunk_labels.fill("object_type", {"a": "teams_chat", "b": "teams_chat"})
    assert chunk_labels.labels == {**NO_LABELS, "object_type": {"a": "teams", "b": "teams_chat"}}


def test_classifications_of_all_dimensions_add_up() -> None:
    listings = [listing_of(TEAMS), listing_of(CHAT), listing_of(None)]
    chunk_labels = ChunkLabels()
    chunk_labels.add(
        "object_type",
        Classification({"a": "teams"}, listings[:1], {"object_type=power_bi"}, {"a"}, {"object_type=teams"}),
    )
    chunk_labels.add(
        "object_type",
        Classification({"b": "teams_chat"}, listings[1:2], {"object_type=onedrive"}, {"b"}, {"object_type=teams_chat"}),
    )
    chunk_labels.add("job_type", Classification({"a": "backup"}, listings[2:]))
    assert chunk_labels == ChunkLabels(
        labels={**NO_LABELS, "object_type": {"a": "teams", "b": "teams_chat"}, "job_type": {"a": "backup"}},
        listings=listings,
        ignored={"object_type=power_bi", "object_type=onedrive"},
        shared={"object_type": {"a", "b"}},
        included={"object_type=teams", "object_type=teams_chat"},
    )


def test_a_bulk_read_labels_each_of_its_dimensions() -> None:
    classifications = {
        "object_type": Classification({"a": "teams"}),
        "job_type": Classification({"a": "restore"}),
    }
    chunk_labels = ChunkLabels()
    chunk_labels.add_bulk(Bulk([], classifications=classifications))
    assert chunk_labels.labels == {"location": {}, "object_type": {"a": "teams"}, "job_type": {"a": "restore"}}


def test_listings_that_name_an_object_type_label_their_jobs() -> None:
    chunk_labels = labelled_by(listing_of(TEAMS, "a"), listing_of(CHAT, "b"), listing_of(TEAMS, "c"), listing_of(CHAT))
    assert chunk_labels == ChunkLabels({**NO_LABELS, "object_type": {"a": "teams", "b": "teams_chat", "c": "teams"}})


def test_a_job_that_two_object_types_return_belongs_to_the_narrower_one() -> None:
    chunk_labels = labelled_by(listing_of(GROUPS, "a", "b", "c"), listing_of(TEAMS, "a", "b"))
    assert chunk_labels == ChunkLabels(
        labels={**NO_LABELS, "object_type": {"a": "teams", "b": "teams", "c": "microsoft_365_groups"}},
        shared={"object_type": {"a", "b"}},
        included={"object_type=teams"},
    )


def test_object_types_that_are_known_as_included_precede_by_a_single_job() -> None:
    chunk_labels = ChunkLabels(included={"object_type=teams"})
    chunk_labels.label_object_types([listing_of(GROUPS, "a", "b"), listing_of(TEAMS, "a")])
    assert chunk_labels.labels["object_type"] == {"a": "teams", "b": "microsoft_365_groups"}
    assert chunk_labels.included == {"object_type=teams"}


def test_object_types_that_all_return_the_same_jobs_are_filters_without_effect() -> None:
    chunk_labels = ChunkLabels(ignored={"job_type=backup"})
    chunk_labels.label_object_types([listing_of(TEAMS, "a", "b"), listing_of(CHAT, "a"), listing_of(CHAT, "b")])
    assert chunk_labels == ChunkLabels(ignored={"job_type=backup", "object_type=teams", "object_type=teams_chat"})


def test_one_object_type_with_jobs_labels_them_although_the_others_have_none() -> None:
    chunk_labels = labelled_by(listing_of(TEAMS, "a"), listing_of(CHAT), listing_of(GROUPS))
    assert chunk_labels == ChunkLabels({**NO_LABELS, "object_type": {"a": "teams"}})


def test_object_types_label_all_jobs_if_one_of_them_differs() -> None:
    chunk_labels = labelled_by(listing_of(TEAMS, "a"), listing_of(CHAT, "a"), listing_of(GROUPS, "b"))
    assert chunk_labels.labels["object_type"] == {"a": "teams", "b": "microsoft_365_groups"}
    assert chunk_labels.ignored == set()
