"""Test which jobs of a chunk are classified, and over which ranges their types are listed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from avepoint_m365.constants import ObjectType
from avepoint_m365.endpoints import Params
from avepoint_m365.extract.chunk_classifier import ChunkClassifier, dimensions
from avepoint_m365.extract.chunk_labels import ChunkLabels
from avepoint_m365.extract.classify import JOB_TYPES, OBJECT_TYPES, Dimension, location_dimension
from avepoint_m365.extract.deduplicate import deduplicate_latest
from avepoint_m365.extract.labels import no_labels
from avepoint_m365.extract.limits import RangeLimits
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.extract.window import Selection, Window

from tests.support.ranges import Range, RangeServer, TimedJob, range_of

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + 30 * DAY
WINDOW = Window(START, END, END + DAY)
BACKUP, RESTORE, EXPORT = ("jobType", "1"), ("jobType", "2"), ("jobType", "3")


def job(job_id: str, day: float, *filters: tuple[str, str], hours: float | None = 2) -> TimedJob:
    """Return a job that starts on a day of the window; one without ``hours`` has not ended."""
    start = START + day * DAY
    return TimedJob(job_id, start, None if hours is None else start + hours * HOUR, filters)


def classify(
    server: RangeServer,
    selected: Sequence[Dimension] = (JOB_TYPES,),
    chunk_labels: ChunkLabels | None = None,
    wanted: str | None = None,
    limits: RangeLimits | None = None,
    ignored: Sequence[str] = (),
    **how: bool,
) -> ChunkLabels:
    """Return the labels of the jobs of a scan over the window; then ``server.asked`` has the requests for labels."""
    reader, chunk_labels = server.reader(), chunk_labels or ChunkLabels()
    jobs = deduplicate_latest([reader.read(Selection(WINDOW))])
    server.asked.clear()
    ids = set(jobs["id"].to_pylist()) if wanted is None else set(wanted)
    ChunkClassifier(reader, limits or RangeLimits(), ignored, chunk_labels).classify(jobs, WINDOW, ids, selected, **how)
    return chunk_labels


def ranges(server: RangeServer, name: str = "jobType") -> list[tuple[str | None, Range]]:
    """Return the value of a filter and the range of each request."""
    return [(params.get(name), range_of(params)) for params in server.asked]


def options(
    object_types: Sequence[ObjectType] = tuple(ObjectType), locations: Sequence[str] = (), split: bool = True
) -> ExtractOptions:
    return ExtractOptions(
        "default",
        "run",
        START,
        END,
        True,
        DAY,
        DAY,
        object_types=tuple(object_types),
        locations=tuple(locations),
        split_job_types=split,
    )


@pytest.mark.parametrize(
    ("configured", "selected"),
    [
        (options(), [OBJECT_TYPES, JOB_TYPES]),
        (options(split=False), [OBJECT_TYPES]),
        (options([ObjectType.teams]), [JOB_TYPES]),
        (options([ObjectType.teams], split=False), []),
        (options(locations=["EUR", "NAM"]), [OBJECT_TYPES, JOB_TYPES, location_dimension(["EUR", "NAM"])]),
    ],
)
def test_jobs_are_classified_in_the_dimensions_that_the_rows_do_not_tell(
    configured: ExtractOptions, selected: list[Dimension]
) -> None:
    assert dimensions(configured) == selected


def test_each_dimension_is_filled() -> None:
    teams, chat = ("objectType", "7"), ("objectType", "9")
    server = RangeServer([job("a", 1, BACKUP, teams), job("b", 2, RESTORE, chat)])
    assert classify(server, [OBJECT_TYPES, JOB_TYPES]).labels == {
        "location": {},
        "object_type": {"a": "teams", "b": "teams_chat"},
        "job_type": {"a": "backup", "b": "restore"},
    }


def test_only_wanted_jobs_without_a_label_are_asked_for() -> None:
    labels = {**no_labels(), "job_type": {"a": "retention"}}
    server = RangeServer([job("a", 1, BACKUP), job("b", 5, BACKUP), job("c", 20, RESTORE)])
    chunk_labels = classify(server, chunk_labels=ChunkLabels(labels), wanted="ab")
    assert chunk_labels.labels["job_type"] == {"a": "retention", "b": "backup"}
    day_of_b = (START + 5 * DAY - SECOND, START + 6 * DAY)
    assert ranges(server) == [("5", day_of_b), ("1", day_of_b)]


def test_no_request_is_sent_if_each_job_has_a_label() -> None:
    server = RangeServer([job("a", 1, BACKUP)])
    classify(server, chunk_labels=ChunkLabels({**no_labels(), "job_type": {"a": "backup"}}))
    classify(server, wanted="")
    assert server.asked == []


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        # From the first start to the midnight after the last finish.
        ([job("a", 3.5, BACKUP), job("b", 6.25, BACKUP)], (START + 3.5 * DAY - SECOND, START + 7 * DAY)),
        # The API may report a finish before the start.
        ([job("a", 3.5, BACKUP, hours=-24)], (START + 2.5 * DAY - SECOND, START + 4 * DAY)),
        # A finish at midnight may belong to the day after.
        ([job("a", 3.5, BACKUP, hours=12)], (START + 3.5 * DAY - SECOND, START + 5 * DAY)),
        # A job that has not ended may end later.
        ([job("a", 3.5, BACKUP), job("b", 2.5, BACKUP, hours=None)], (START + 2.5 * DAY - SECOND, END + DAY)),
    ],
)
def test_types_are_listed_over_the_shortest_range_that_holds_the_jobs(jobs: list[TimedJob], expected: Range) -> None:
    server = RangeServer(jobs)
    chunk_labels = classify(server)
    assert chunk_labels.labels["job_type"] == {item.id: "backup" for item in jobs}
    assert ranges(server) == [("1", expected), ("2", expected)]
    start, end = expected
    assert {listing.selection.window for listing in chunk_labels.listings} == {Window(start, min(end, END), end)}


class WithoutStarts(RangeServer):
    """Send no start of any job."""

    def row(self, job: TimedJob) -> dict[str, str | None]:
        return {**super().row(job), "startTime": None}


def test_jobs_without_a_start_may_have_begun_with_the_window() -> None:
    server = WithoutStarts([job("a", 3.5, BACKUP)])
    classify(server)
    assert ranges(server)[0] == ("1", (START - SECOND, START + 4 * DAY))


def test_jobs_without_a_start_are_in_the_first_of_several_ranges() -> None:
    server = WithoutStarts([job("a", 3, BACKUP), job("b", 2, BACKUP)])
    assert classify(server, limits=RangeLimits(10 * DAY)).labels["job_type"] == {"a": "backup", "b": "backup"}
    assert ranges(server)[0] == ("1", (START - SECOND, START + 4 * DAY))


def test_types_are_listed_over_the_whole_window_if_that_is_wished() -> None:
    server = RangeServer([job("a", 3, BACKUP)])
    classify(server, whole_window=True)
    assert ranges(server) == [("1", (START, END + DAY)), ("2", (START, END + DAY))]


def test_requests_name_the_location_of_the_jobs() -> None:
    labels = {**no_labels(), "location": {"a": "EUR", "b": "NAM"}}
    europe, america = ("location", "EUR"), ("location", "NAM")
    server = RangeServer([job("a", 1, BACKUP, europe), job("b", 2, RESTORE, america), job("c", 3, EXPORT)])
    chunk_labels = classify(server, chunk_labels=ChunkLabels(labels), by_location=True)
    assert chunk_labels.labels["job_type"] == {"a": "backup", "b": "restore", "c": "export"}
    assert {(params.get("location"), range_of(params)[0].day) for params in server.asked if "jobType" in params} == {
        ("EUR", 1),
        ("NAM", 2),
        (None, 3),
    }


def test_requests_name_no_location_if_all_jobs_are_listed_without_one() -> None:
    labels = {**no_labels(), "location": {"a": "EUR"}}
    server = RangeServer([job("a", 1, BACKUP)])
    assert classify(server, chunk_labels=ChunkLabels(labels)).labels["job_type"] == {"a": "backup"}


def test_filters_that_are_known_to_have_no_effect_are_not_asked_for() -> None:
    server = RangeServer([job("a", 1, RESTORE)])
    assert classify(server, ignored=["job_type=backup"]).labels["job_type"] == {"a": "restore"}
    assert [value for value, _ in ranges(server)] == ["2", "3"]


def test_jobs_that_are_far_apart_are_listed_in_ranges_that_the_server_answers_in_full() -> None:
    """Test the longest range of 7 days: the jobs of a range take at most 5, since both its ends are rounded."""
    jobs = [job("d", 1, BACKUP), job("c", 5.5, BACKUP, hours=12), job("b", 6, BACKUP), job("a", 20, BACKUP)]
    server = RangeServer(jobs)
    chunk_labels = classify(server, limits=RangeLimits(7 * DAY))
    assert chunk_labels.labels["job_type"] == dict.fromkeys("abcd", "backup")
    assert [range_of(params) for params in server.asked if params["jobType"] == "1"] == [
        (START + DAY - SECOND, START + 7 * DAY),
        (START + 6 * DAY - SECOND, START + 7 * DAY),
        (START + 20 * DAY - SECOND, START + 21 * DAY),
    ]


def test_jobs_of_a_window_that_the_server_answers_in_full_are_listed_at_once() -> None:
    server = RangeServer([job("a", 0, BACKUP), job("b", 29.5, BACKUP)])
    classify(server, limits=RangeLimits(WINDOW.length))
    assert [value for value, _ in ranges(server)] == ["1", "2"]


class Forgetful(RangeServer):
    """Return two jobs on a page, and only the newest three jobs of a list of one type."""

    def matching(self, params: Params) -> list[TimedJob]:
        shown = super().matching(params)
        return shown[:3] if "jobType" in params else shown


def label_of(jobs: Sequence[TimedJob]) -> dict[str, str]:
    """Return the right label of each job."""
    names = {BACKUP: "backup", RESTORE: "restore", EXPORT: "export"}
    return {item.id: names[item.filters[0]] for item in jobs}


@pytest.mark.parametrize("counts_all", [True, False])
def test_jobs_that_a_long_list_lacks_are_classified_in_halves(counts_all: bool) -> None:
    jobs = [job(f"{name}{day}", day, kind) for day in range(1, 17) for name, kind in (("b", BACKUP), ("r", RESTORE))]
    server = Forgetful(jobs, most=2, counts_all=counts_all)
    assert classify(server).labels["job_type"] == label_of(jobs)


def test_jobs_without_a_start_are_classified_in_halves() -> None:
    class ForgetfulWithoutStarts(Forgetful, WithoutStarts):
        """Combine both servers."""

    jobs = [job(str(day), day, BACKUP) for day in range(1, 7)]
    assert classify(ForgetfulWithoutStarts(jobs, most=2)).labels["job_type"] == label_of(jobs)


def backups_asked(server: RangeServer) -> list[Range]:
    """Return the ranges over which backups were listed."""
    return [range_of(params) for params in server.asked if params["jobType"] == "1" and "pageIndex" not in params]


def test_halves_are_halved_again_while_a_job_gets_a_label() -> None:
    """Test lists of the newest three backups: on the day of job y, three others follow it."""
    others = [job(str(day), day, BACKUP) for day in (2.5, 2.6, 2.7, 12.5, 12.6)]
    wanted = [job(name, day, BACKUP) for name, day in zip("zyxwv", (1.25, 2.25, 10.25, 11.25, 12.25), strict=True)]
    server = Forgetful([*others, *wanted], most=2, counts_all=True)
    labels = {**no_labels(), "job_type": {item.id: "backup" for item in others}}
    chunk_labels = classify(server, chunk_labels=ChunkLabels(labels), wanted="zyxwv")
    assert chunk_labels.labels["job_type"].keys() & set("zyxwv") == set("zxwv")
    assert backups_asked(server) == [
        (START + first * DAY - SECOND, START + end * DAY)
        for first, end in ((1.25, 13), (1.25, 3), (10.25, 12), (1.25, 2), (2.25, 3))
    ]


def test_the_two_jobs_of_a_long_list_are_classified_one_by_one() -> None:
    server = Forgetful([job(str(day), day, BACKUP) for day in range(1, 7)], most=2, counts_all=True)
    assert classify(server, wanted="16").labels["job_type"].keys() >= {"1", "6"}


def test_a_single_job_is_asked_for_once() -> None:
    backups = [job(str(hours), 1 + hours / 24, BACKUP) for hours in (3, 6, 9)]
    server = Forgetful([*backups, job("x", 1)], most=2, counts_all=True)
    assert "x" not in classify(server, wanted="x").labels["job_type"]
    assert backups_asked(server) == [(START + DAY - SECOND, START + 2 * DAY)]


def test_halves_are_not_halved_again_if_neither_labels_a_job() -> None:
    """Test jobs whose type no filter returns: only the first two halves of them are asked for."""
    jobs = [job(f"b{day}", day, BACKUP) for day in range(1, 9)]
    unlisted = [job(f"x{day}", day) for day in range(1, 9)]
    server = RangeServer([*jobs, *unlisted], most=2)
    assert classify(server).labels["job_type"] == label_of(jobs)
    assert {range_of(params) for params in server.asked} == {
        (START + DAY - SECOND, START + 9 * DAY),
        (START + DAY - SECOND, START + 5 * DAY),
        (START + 5 * DAY - SECOND, START + 9 * DAY),
    }


def test_jobs_that_lists_of_one_page_lack_are_not_asked_for_again() -> None:
    server = RangeServer([job("b1", 1, BACKUP), job("x1", 1), job("x9", 9)])
    assert classify(server).labels["job_type"] == {"b1": "backup"}
    assert {range_of(params) for params in server.asked} == {(START + DAY - SECOND, START + 10 * DAY)}


def test_a_filter_without_effect_is_not_asked_for_again_in_halves() -> None:
    kinds = [("jobType", str(code)) for code in range(1, 6)]
    server = RangeServer([job(str(day), day, BACKUP) for day in range(1, 9)], most=2, ignores=kinds)
    chunk_labels = classify(server)
    assert chunk_labels.labels == no_labels()
    assert chunk_labels.ignored == {
        f"job_type={name}" for name in ("backup", "restore", "export", "deletion", "retention")
    }
    assert {range_of(params) for params in server.asked} == {
        (START + DAY - SECOND, START + 9 * DAY),
        (START, END + DAY),
    }


@pytest.mark.parametrize(
    ("longest", "wide", "labels", "ignored"),
    [
        (None, (START, END + DAY), {"a": "backup"}, {"job_type=restore"}),
        (WINDOW.length, (START, END + DAY), {"a": "backup"}, {"job_type=restore"}),
        # The server does not answer the window in full, so it would prove nothing.
        (WINDOW.length - SECOND, None, {"a": "backup"}, set()),
    ],
)
def test_the_window_shows_which_of_two_values_with_the_same_job_has_no_effect(
    longest: timedelta | None, wide: Range | None, labels: dict[str, str], ignored: set[str]
) -> None:
    server = RangeServer([job("a", 3, BACKUP), job("b", 13, BACKUP), job("c", 23, EXPORT)], ignores=[RESTORE])
    chunk_labels = classify(server, wanted="a", limits=RangeLimits(longest))
    assert {job_id: label for job_id, label in chunk_labels.labels["job_type"].items() if job_id == "a"} == labels
    assert chunk_labels.ignored == ignored
    narrow = (START + 3 * DAY - SECOND, START + 4 * DAY)
    assert {range_of(params) for params in server.asked} == {narrow, wide or narrow}


def test_a_job_that_ends_after_a_range_need_not_be_in_its_lists() -> None:
    """Test a server that compares finishes, and whose filters have no effect."""
    kinds = [("jobType", str(code)) for code in range(1, 6)]

    def ends_within(item: TimedJob, start: datetime, end: datetime) -> bool:
        return item.finish is not None and start <= item.finish <= end

    server = RangeServer([job("a", 3, BACKUP), job("b", 3.5, BACKUP, hours=150)], ignores=kinds, matches=ends_within)
    labels = {**no_labels(), "job_type": {"b": "backup"}}
    chunk_labels = classify(server, chunk_labels=ChunkLabels(labels), wanted="a", limits=RangeLimits(20 * DAY))
    assert chunk_labels.labels["job_type"] == {"b": "backup"}


def test_the_types_of_the_jobs_of_the_scan_come_first() -> None:
    server = RangeServer([job("a", 1, BACKUP), job("b", 2, EXPORT)])
    labels = {**no_labels(), "job_type": {"b": "export", "elsewhere 1": "deletion", "elsewhere 2": "deletion"}}
    classify(server, chunk_labels=ChunkLabels(labels), wanted="a")
    assert [value for value, _ in ranges(server)] == ["3", "1"]


def test_types_that_another_one_includes_come_first() -> None:
    server = RangeServer([job("a", 1, BACKUP)])
    classify(server, chunk_labels=ChunkLabels(included={"job_type=deletion"}))
    assert [value for value, _ in ranges(server)] == ["4", "1"]


def test_listings_for_labels_keep_only_the_jobs_that_the_scan_lacks() -> None:
    server = RangeServer([job("a", 1, BACKUP), job("b", 2, RESTORE)])
    listings = classify(server).listings
    assert [(listing.ids, listing.parsed.jobs.num_rows) for listing in listings] == [({"a"}, 0), ({"b"}, 0)]
