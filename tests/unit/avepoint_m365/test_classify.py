"""Test labels of jobs from the listings that return them, and filters that have no effect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.api.page import JobsPage
from avepoint_m365.constants import LOCATIONS, PRIMARY_LOCATION, JobType, ObjectType
from avepoint_m365.endpoints import Params
from avepoint_m365.exceptions import (
    AuthenticationError,
    ConfigurationError,
    RefusedParametersError,
    SourceError,
    ThrottledError,
)
from avepoint_m365.extract.classify import (
    JOB_TYPES,
    OBJECT_TYPES,
    Classification,
    Dimension,
    DimensionClassifier,
    Evidence,
    FilterValue,
    apply_labels,
    ineffective_values,
    location_dimension,
    read_or_fail,
)
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.window import Selection, Window

from tests.support.pages import jobs_page
from tests.support.ranges import InTurn

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NARROW = Window(NOW - DAY, NOW, NOW)
WIDE = Window(NOW - 7 * DAY, NOW, NOW)

BACKUP, RESTORE, EXPORT, DELETION, RETENTION = JobType
TEAMS = ObjectType.teams


@dataclass
class Server:
    """Simulate a server that filters by one parameter; it ignores the filter for the values in ``ignores``."""

    parameter: str
    recent: dict[str, set[str]]
    """Value of the parameter to the jobs in the narrow window."""
    older: dict[str, set[str]] = field(default_factory=dict)
    """The same, for jobs that only the wide window holds."""
    ignores: set[str] = field(default_factory=set)
    fails: dict[str, SourceError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, params: Params) -> JobsPage:
        value = params[self.parameter]
        wide = params["startTime"] < NARROW.parameters()["startTime"]
        self.asked.append(value + ("+" if wide else ""))
        if value in self.fails:
            raise self.fails[value]
        loaded = [self.recent, self.older] if wide else [self.recent]
        ids = {
            job_id
            for part in loaded
            for key, ids in part.items()
            for job_id in ids
            if key == value or value in self.ignores
        }
        return jobs_page([{"id": job_id, "state": "Finished"} for job_id in sorted(ids)], len(ids), "")

    def reader(self, concurrency: int = 2) -> ListingReader:
        return ListingReader(InTurn(self.answer, concurrency), PagingBehavior(500))

    def classifier(self, concurrency: int = 2, ignored: tuple[str, ...] = ()) -> DimensionClassifier:
        return DimensionClassifier(self.reader(concurrency), RangeLimits(), ignored)


def job_types(
    server: Server,
    *unknown: str,
    whole: Iterable[str] | None = None,
    wide: Iterable[str] = (),
    known: Mapping[str, str] | None = None,
    ignored: tuple[str, ...] = (),
) -> Classification:
    contained = frozenset(unknown if whole is None else whole)
    windows = Evidence(NARROW, contained, known or {}), Evidence(WIDE, frozenset(wide), known or {})
    return server.classifier(ignored=ignored).classify(JOB_TYPES, set(unknown), *windows)


def test_each_job_gets_the_label_of_the_listing_that_returns_it() -> None:
    server = Server("jobType", {"1": {"a", "b"}, "2": {"c"}, "5": {"d"}})
    classification = job_types(server, "a", "b", "c", "d")
    assert classification.by_id == {"a": "backup", "b": "backup", "c": "restore", "d": "retention"}
    assert server.asked == ["1", "2", "3", "4", "5"]
    assert (classification.ignored, classification.failed) == (set(), False)
    assert [str(listing.selection.job_type) for listing in classification.listings] == server.asked


def test_no_value_is_listed_after_each_job_has_a_label() -> None:
    server = Server("jobType", {"1": {"a"}, "2": {"b"}})
    assert job_types(server, "a", "b").by_id == {"a": "backup", "b": "restore"}
    assert server.asked == ["1", "2"]


def test_the_most_frequent_values_of_the_warehouse_come_first() -> None:
    server = Server("jobType", {"5": {"a"}, "3": {"b"}})
    known = {"x": "retention", "y": "retention", "z": "export"}
    assert job_types(server, "a", "b", known=known).by_id == {"a": "retention", "b": "export"}
    assert server.asked == ["5", "3"]


def test_a_second_value_is_listed_even_if_the_first_holds_all_jobs() -> None:
    server = Server("jobType", {"1": {"a"}})
    assert job_types(server, "a").by_id == {"a": "backup"}
    assert server.asked == ["1", "2"]


def test_values_are_listed_in_parallel_up_to_the_jobs_or_the_concurrency() -> None:
    server = Server("jobType", {"1": {"a"}, "2": {"b"}, "3": {"c"}, "4": {"d"}})
    evidence = Evidence(NARROW, frozenset("abcd"))
    classification = server.classifier(concurrency=3).classify(JOB_TYPES, set("abc"), evidence, evidence)
    assert server.asked == ["1", "2", "3"]
    assert classification.by_id == {"a": "backup", "b": "restore", "c": "export"}


def test_values_of_ignored_filters_are_not_listed() -> None:
    server = Server("jobType", {"2": {"a"}, "3": {"b"}})
    classification = job_types(server, "a", "b", ignored=("job_type=backup", "object_type=restore"))
    assert server.asked == ["2", "3"]
    assert classification.by_id == {"a": "restore", "b": "export"}


def test_a_parameter_without_any_effect_labels_nothing() -> None:
    server = Server("jobType", {"1": {"a", "b"}, "2": {"c"}}, ignores={"1", "2", "3", "4", "5"})
    classification = job_types(server, "a", "b", "c", wide="abc")
    assert classification.by_id == {}
    assert classification.ignored == {f"job_type={kind.name}" for kind in JobType}


def test_a_value_without_effect_labels_no_job_and_the_others_do() -> None:
    server = Server("jobType", {"1": {"a"}, "2": {"b"}, "3": {"c"}}, ignores={"1"})
    classification = job_types(server, "a", "b", "c")
    assert classification.by_id == {"b": "restore", "c": "export"}
    assert classification.ignored == {"job_type=backup"}


def test_values_that_return_the_same_jobs_are_listed_over_a_wider_window() -> None:
    """Test two windows: in the short window both values return the same job.

    Only the long window shows that the second value has no effect.
    """
    server = Server("jobType", {"1": {"a"}}, {"1": {"b"}, "3": {"c"}}, ignores={"2"})
    classification = job_types(server, "a", whole=(), wide="abc")
    assert server.asked == ["1", "2", "1+", "2+"]
    assert classification.by_id == {"a": "backup"}
    assert classification.ignored == {"job_type=restore"}


def test_the_same_window_is_not_asked_for_twice() -> None:
    server = Server("jobType", {"1": {"a"}}, ignores={"2"})
    evidence = Evidence(NARROW)
    server.classifier().classify(JOB_TYPES, {"a"}, evidence, evidence)
    assert server.asked == ["1", "2"]


def test_a_control_value_detects_that_the_only_location_has_no_effect() -> None:
    dimension = location_dimension(["EUR"])
    assert dimension.controls == (LOCATIONS[-1],)
    server = Server("location", {"EUR": {"a", "b"}}, ignores={LOCATIONS[-1]})
    evidence = Evidence(NARROW, frozenset("ab"))
    classification = server.classifier().classify(dimension, {"a", "b"}, evidence, evidence)
    assert server.asked == ["EUR", LOCATIONS[-1]]
    assert (classification.by_id, classification.ignored) == ({}, {"location=EUR", f"location={LOCATIONS[-1]}"})
    server = Server("location", {"EUR": {"a", "b"}})
    assert server.classifier().classify(dimension, {"a", "b"}, evidence, evidence).by_id == {"a": "EUR", "b": "EUR"}


def test_a_control_is_not_listed_if_the_location_holds_only_some_jobs() -> None:
    server = Server("location", {"EUR": {"a"}})
    evidence = Evidence(NARROW, frozenset("ab"))
    classification = server.classifier().classify(location_dimension(["EUR"]), {"a", "b"}, evidence, evidence)
    assert (server.asked, classification.by_id) == (["EUR"], {"a": "EUR"})


@pytest.mark.parametrize("error", [ThrottledError("slow"), RefusedParametersError("no such type")])
def test_an_unreadable_value_fails_alone(error: SourceError) -> None:
    server = Server("jobType", {"1": {"a"}, "2": {"b"}}, fails={"1": error})
    classification = job_types(server, "a", "b")
    assert classification.by_id == {"b": "restore"}
    assert classification.failed
    failed = classification.listings[0]
    assert (failed.complete, failed.error_kind, failed.requests) == (False, error.kind, 1)
    assert failed.selection == Selection(NARROW, job_type=BACKUP)


@pytest.mark.parametrize("error", [AuthenticationError("denied"), ConfigurationError("wrong")])
def test_an_error_that_no_request_survives_ends_the_load(error: SourceError) -> None:
    server = Server("jobType", {}, fails={"1": error})
    with pytest.raises(type(error)):
        job_types(server, "a")
    with pytest.raises(type(error)):
        read_or_fail(server.reader(), Selection(NARROW, job_type=BACKUP), RangeLimits())


def test_the_location_of_a_dimension_is_asked_for_beside_the_value() -> None:
    dimension = Dimension("object_type", tuple(ObjectType), location="EUR")
    assert dimension.select(NARROW, TEAMS) == Selection(NARROW, location="EUR", object_type=TEAMS)
    assert OBJECT_TYPES.select(NARROW, TEAMS) == Selection(NARROW, object_type=TEAMS)
    assert (dimension.key(TEAMS), dimension.label(TEAMS)) == ("object_type=teams", "teams")
    assert location_dimension(["EUR"]).key("EUR") == "location=EUR"


def test_a_named_location_precedes_the_primary_location_and_the_control_is_unconfigured() -> None:
    dimension = location_dimension([PRIMARY_LOCATION, "NAM", "EUR"])
    assert (dimension.name, dimension.values) == ("location", ("NAM", "EUR", PRIMARY_LOCATION))
    assert location_dimension(["NAM", LOCATIONS[-1]]).controls == (LOCATIONS[-2],)
    assert location_dimension(LOCATIONS[2:]).controls == (LOCATIONS[1],)
    assert location_dimension(LOCATIONS).controls == ()


Sets = dict[FilterValue, set[str]]


@pytest.mark.parametrize(
    ("sets", "whole", "known", "ineffective"),
    [
        ({}, "", {}, set()),
        ({BACKUP: {"a"}, RESTORE: {"b"}}, "ab", {}, set()),
        # Its jobs are those of two other values, which share no job.
        ({BACKUP: {"a", "b"}, RESTORE: {"a"}, EXPORT: {"b"}}, "", {}, {BACKUP}),
        ({BACKUP: {"a", "b", "c"}, RESTORE: {"a", "b"}, EXPORT: {"b", "c"}}, "", {}, set()),
        ({BACKUP: {"a"}, RESTORE: {"a"}, EXPORT: {"b"}}, "", {}, set()),
        # It holds all jobs of the window, and another value holds some of them.
        ({BACKUP: {"a", "b"}, RESTORE: {"a"}}, "ab", {}, {BACKUP}),
        ({BACKUP: {"a", "b"}, RESTORE: {"a"}}, "abc", {}, set()),
        ({BACKUP: {"a", "b"}, RESTORE: {"c"}}, "ab", {}, set()),
        ({BACKUP: {"a", "b"}, RESTORE: set()}, "ab", {}, set()),
        # All listed values hold all jobs of the window.
        ({BACKUP: {"a"}, RESTORE: {"a"}}, "a", {}, {BACKUP, RESTORE}),
        ({BACKUP: {"a"}, RESTORE: {"a"}, EXPORT: set()}, "a", {}, set()),
        ({BACKUP: {"a"}, RESTORE: {"a"}, EXPORT: {"a"}, DELETION: set()}, "a", {}, {BACKUP, RESTORE, EXPORT}),
        ({BACKUP: {"a"}}, "a", {}, set()),
        ({BACKUP: {"a"}, RESTORE: {"a"}}, "", {}, set()),
        # Jobs whose label the warehouse knows count as jobs of that label.
        ({BACKUP: {"a", "b"}}, "ab", {"a": "restore"}, {BACKUP}),
        ({BACKUP: {"a", "b"}}, "abc", {"a": "restore", "b": "export"}, {BACKUP}),
        ({BACKUP: {"a", "b"}}, "ab", {"a": "backup"}, set()),
        ({BACKUP: {"a", "b"}}, "ab", {"x": "restore"}, set()),
    ],
)
def test_filters_without_effect_are_detected_by_the_jobs_of_their_listings(
    sets: Sets, whole: str, known: dict[str, str], ineffective: set[JobType]
) -> None:
    assert ineffective_values(JOB_TYPES, sets, Evidence(NARROW, frozenset(whole), known)) == ineffective


@pytest.mark.parametrize(
    ("sets", "whole", "ineffective"),
    [
        ({"NAM": {"a"}, PRIMARY_LOCATION: {"a", "b"}}, "ab", set()),
        ({"NAM": {"a", "b"}, PRIMARY_LOCATION: {"a", "b"}}, "ab", set()),
        ({"NAM": {"a", "b"}, "EUR": {"a", "b"}, PRIMARY_LOCATION: {"a"}}, "ab", {"NAM", "EUR", PRIMARY_LOCATION}),
    ],
)
def test_the_primary_location_may_hold_the_jobs_of_another(sets: Sets, whole: str, ineffective: set[str]) -> None:
    dimension = location_dimension(["NAM", "EUR", PRIMARY_LOCATION])
    assert ineffective_values(dimension, sets, Evidence(NARROW, frozenset(whole))) == ineffective


def test_the_first_value_of_a_dimension_labels_a_job_and_an_ineffective_value_none() -> None:
    classification = Classification({"old": "backup"}, ignored={"job_type=deletion"})
    sets: Sets = {EXPORT: {"a", "c"}, BACKUP: {"a", "b"}, RETENTION: {"d"}}
    apply_labels(JOB_TYPES, sets, Evidence(NARROW), classification)
    assert classification.by_id == {"a": "backup", "b": "backup", "c": "export", "d": "retention"}
    assert classification.ignored == set()
    apply_labels(JOB_TYPES, sets, Evidence(NARROW), classification, {BACKUP})
    assert classification.by_id == {"a": "export", "c": "export", "d": "retention"}
    assert classification.ignored == {"job_type=backup"}


def test_the_primary_location_yields_to_the_location_that_it_is_an_alias_of() -> None:
    """Test that the alias returns the same jobs: this is no reason to list a longer range."""
    server = Server("location", {"NAM": {"a"}, PRIMARY_LOCATION: {"a", "b"}})
    dimension, whole = location_dimension([PRIMARY_LOCATION, "NAM"]), frozenset("ab")
    classification = server.classifier().classify(dimension, {"a", "b"}, Evidence(NARROW, whole), Evidence(WIDE))
    assert classification.by_id == {"a": "NAM", "b": PRIMARY_LOCATION}
    assert server.asked == ["NAM", PRIMARY_LOCATION]


def test_jobs_of_several_values_are_shared_and_a_narrower_value_is_included() -> None:
    classification = Classification(included={"job_type=deletion"})
    sets: Sets = {BACKUP: {"a", "b", "c"}, EXPORT: {"a", "b"}}
    apply_labels(JOB_TYPES, sets, Evidence(NARROW), classification)
    assert classification.by_id == {"a": "export", "b": "export", "c": "backup"}
    assert classification.shared == {"a", "b"}
    assert classification.included == {"job_type=deletion", "job_type=export"}
    apply_labels(JOB_TYPES, sets, Evidence(NARROW), classification, {BACKUP})
    assert classification.shared == set()


def test_the_wider_window_shows_which_value_is_included_in_another() -> None:
    server = Server("jobType", {"1": {"a"}, "2": {"a"}}, {"1": {"b", "c"}, "2": {"b"}})
    classification = job_types(server, "a", whole=(), wide="abcd")
    assert server.asked == ["1", "2", "1+", "2+"]
    assert classification.by_id == {"a": "restore"}


def test_a_third_value_is_listed_if_one_of_the_first_two_cannot_be_read() -> None:
    server = Server("jobType", {"1": {"a"}}, fails={"2": ThrottledError("slow")})
    assert job_types(server, "a").by_id == {"a": "backup"}
    assert server.asked == ["1", "2", "3", "4"]


def test_a_value_that_is_read_again_has_one_listing() -> None:
    server = Server("jobType", {"1": {"a"}, "6": {"b"}})
    classification = job_types(server, "a", "b")
    assert server.asked == ["1", "2", "3", "4", "5", "2", "3", "4", "5"]
    assert [str(listing.selection.job_type) for listing in classification.listings] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(("scanned", "rows"), [("ab", 0), ("abc", 0), ("a", 2)])
def test_listings_drop_their_jobs_if_a_scan_holds_all_of_them(scanned: str, rows: int) -> None:
    listings = read_or_fail(
        Server("jobType", {"1": {"a", "b"}}).reader(), JOB_TYPES.select(NARROW, BACKUP), RangeLimits()
    )
    (listing,) = Evidence(NARROW, scanned_ids=frozenset(scanned)).without_scanned_jobs(listings)
    assert (listing.ids, listing.parsed.jobs.num_rows) == ({"a", "b"}, rows)
