"""Reading all partitions of one load: side by side, and each job kept in one of them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.endpoints import Params
from avepoint_m365.extract.listing import Listing, Partition, PartitionReader, PartitionResult, Window, newest
from avepoint_m365.extract.pool import Answer, Dispatcher, Reader
from avepoint_m365.parse.values import TIME
from avepoint_m365.settings import PRIMARY_LOCATION, JobType, ObjectType

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a load is; read it from any thread while the load works."""

    partitions: int = 0
    partitions_done: int = 0
    jobs: int = 0
    traffic: RequestStats = field(default_factory=RequestStats)
    results: list[PartitionResult] = field(default_factory=list)
    """What was read, once all of it is."""
    cut_at: datetime | None = None
    """Where the slice that was read ends, if more is left for another load (UTC)."""


BLIND_SLICE = timedelta(days=31)
"""The length of slices where the API does not say how much a range holds."""

SHORTEST_SLICE = timedelta(minutes=1)

MAX_BISECTIONS = 24
"""Looks taken at most to find the end of a slice; enough to come from a hundred years to minutes."""

DAY = timedelta(days=1)

Probes = dict[str | None, Listing]
"""For each location a first look at its whole range, all object types together."""


class Reading:
    """The partitions of one load. First each is asked for, then ``result`` reads them all at once.

    Waiting for all before any is handed on is what makes it possible to keep a job that two partitions return
    in one of them.
    """

    def __init__(self, client: JobsClient, reader: PartitionReader, progress: Progress, slice_jobs: int | None) -> None:
        """``slice_jobs`` ends the windows of a long range earlier, where they would hold more jobs than that."""
        self._client, self._reader, self._progress = client, reader, progress
        self._dispatcher = Dispatcher(self._ask_and_count, client.concurrency)
        self._jobs_before, self._seen = progress.jobs, set[str]()
        self._slice_jobs = slice_jobs
        self._asked: list[Partition] = []
        progress.partitions = progress.partitions_done = 0
        progress.results, progress.cut_at = [], None
        self._results: dict[Partition, PartitionResult | None] = {}
        self._untaken: list[PartitionResult] = []
        self.find_out = False
        """Whether to spend a request or two on what a range means."""
        self.find_out_for_slices = False
        """Whether to do so where what is asked for is read in slices."""
        self.range_is_of_starts: bool | None = None
        """Whether the API compares startTime with the start of jobs, once it was found out."""
        self.range_is_of_whole_jobs: bool | None = None
        """Whether it compares finishTime with their finish as well: no slice then holds a job that goes on past its
        end."""
        self.find_out_types = False
        """Whether to spend a request on ``types_are_told``, where what is asked for anyway does not tell."""
        self.types_are_told: bool | None = None
        """Whether the API looks at jobType, once it was found out. If not, all jobs would be of the first type."""
        self.overlapping = False
        """Whether partitions return jobs of one another, in this load or an earlier one, or are known to, as the
        primary location and the one it stands for. Then all are read over the same window: a job seen in only one of
        them would else change its place from load to load."""

    def ask(self, partition: Partition) -> None:
        """Adds a partition to what is read, in place of what was read of it before, be it over another window."""
        self._results = {one: held for one, held in self._results.items() if not partition.replaces(one)}
        self._asked.append(partition)
        self._progress.partitions += 1

    def _ask_and_count(self, params: Params) -> Answer:
        answer = self._client.ask(params)
        self._seen.update(answer.page.rows)
        self._progress.jobs = self._jobs_before + len(self._seen)
        return answer

    def result(self, partition: Partition) -> PartitionResult | None:
        """What a partition holds; None if its window begins after the slice. The first call reads all.

        Raises:
            SourceError: the first that any partition met.
        """
        if partition not in self._results:
            self._read_all()
        return self._results[partition]

    def take(self) -> list[PartitionResult]:
        """What was read and not taken before."""
        taken, self._untaken = self._untaken, []
        return taken

    @property
    def cut_at(self) -> datetime | None:
        """Where this slice ends, if it is not the last."""
        return self._progress.cut_at

    @property
    def endpoint(self) -> str:
        """The generation of the endpoint that answered."""
        return next((one.endpoint for result in self.results for one in result.listings if one.endpoint), "")

    @property
    def results(self) -> list[PartitionResult]:
        """Everything read so far."""
        return [one for one in self._results.values() if one is not None]

    def _read_all(self) -> None:
        locations = {one.location for one in self._asked}
        self.overlapping |= PRIMARY_LOCATION in locations and len(locations) > 1
        earliest, begin = (min(getattr(one.window, name) for one in self._asked) for name in ("start", "begin"))
        to_read = {one: one.reaching_back_to(earliest, begin) if self.overlapping else one for one in self._asked}
        cut, probes = self._end_of_slice(list(to_read.values()))
        self._progress.cut_at = cut
        self.find_out |= self.find_out_for_slices and cut is not None
        if cut is not None:
            self._results |= dict.fromkeys(one for one, read in to_read.items() if read.window.start >= cut)
            to_read = {one: read.until(cut) for one, read in to_read.items() if read.window.start < cut}
        self._results |= self._read(to_read, probes)
        if self.types_are_told is False:
            self._forget_types()
        self._look_for_unknown_types(list(to_read.values()), probes)
        self._keep_each_job_once()
        self._untaken = list(filter(None, map(self._results.get, to_read)))
        self._asked = []
        self._progress.results = self.results
        self._progress.jobs = self._jobs_before + sum(one.jobs.num_rows for one in self.results)

    def _read(self, to_read: dict[Partition, Partition], probes: Probes) -> dict[Partition, PartitionResult]:
        """Reads partitions side by side, but those of locations that hold nothing at all."""
        results = {}
        for asked, partition in to_read.items():
            probe, window = probes.get(partition.location), partition.window
            if probe is not None and probe.complete and not probe.ids and window.begin == window.start:
                results[asked] = _nothing(partition, probe)
                self._done(results[asked])
        readers = {asked: self._partition(one) for asked, one in to_read.items() if asked not in results}
        return results | self._dispatcher.run(readers, self._done)

    def _partition(self, partition: Partition) -> Reader[PartitionResult]:
        """Reads a partition, and finds out by the first that can tell what a range means and whether types are told."""
        result = yield from self._reader.read(partition)
        if self.types_are_told is None:
            yield from self._look_at_types(result)
        telling = _telling_job(result) if self.find_out else None
        if telling is not None:
            self.find_out = False
            yield from self._look_at_range(result.partition, *telling)
        return result

    def _look_at_types(self, result: PartitionResult) -> Reader[None]:
        """Finds out whether types are told: they are where not most jobs are of several types; and where one was
        enough, another that has some of the same tells."""
        typed: dict[JobType, set[str]] = defaultdict(set)
        for one in result.listings:
            if one.job_type:
                typed[one.job_type] |= one.ids
        if not result.job_types:
            return
        if len(typed) > 1:
            self.types_are_told = not _mostly_the_same(typed.values())
        elif self.find_out_types:
            self.find_out_types = False
            ((first, ids),) = typed.items()
            other = next(one for one in JobType if one != first)
            seen = yield from self._reader.peek(result.partition, other)
            self.types_are_told = seen.ids.isdisjoint(ids)

    def _forget_types(self) -> None:
        logger.warning(
            "The API shows the same jobs whatever jobType is asked for, so job_type stays empty. Set split_job_types = "
            "false to save the requests."
        )
        for result in self.results:
            result.job_types.clear()

    def _look_for_unknown_types(self, read: list[Partition], probes: Probes) -> None:
        """Tells of jobs that only the look at a whole location saw, which the vendor's next service would have. Known
        where all types were read over one window, as in a first load or a backfill, and totals count matches."""
        for whole in _spanning(read):
            parts = [one for one in self.results if one.partition.location == whole.location]
            found = sum(one.jobs.num_rows for one in parts)
            probe = probes.get(whole.location)
            if (
                probe is None
                or (probe.reported_total or 0) <= found
                or {one.partition for one in parts} != {replace(whole, object_type=one) for one in ObjectType}
                or any(one.total_scope != "matches" or not one.complete for part in parts for one in part.listings)
            ):
                continue
            # Once more, since jobs may have gone in the meantime.
            held = self._peek([whole])[whole.location].reported_total or 0
            if held > found:
                window = whole.window
                logger.warning(
                    f"The API holds {held - found} jobs from {window.start:%Y-%m-%d %H:%M} UTC to "
                    f"{window.end:%Y-%m-%d %H:%M} UTC of none of the twelve object types that this program knows. They "
                    "are not loaded. Please report this: the vendor may have a new service."
                )

    def _done(self, result: PartitionResult) -> None:
        self._progress.partitions_done += 1

    def _end_of_slice(self, partitions: list[Partition]) -> tuple[datetime | None, Probes]:
        """Where to stop for now, so that the slice holds not too much (None: nothing is left after it), and what was
        seen of the locations on the way."""
        spanning = _spanning(partitions)
        start, end = min(one.window.start for one in spanning), max(one.window.end for one in spanning)
        if self._slice_jobs is None and len(spanning) == len(partitions):
            return None, {}
        probes = self._peek(spanning)
        held = _held(probes.values())
        if self._slice_jobs is None or (held is not None and held <= self._slice_jobs):
            return None, probes
        if held is None:
            # The look that was taken spans more than the slice, which is as good for what it is used for.
            return (start + BLIND_SLICE if start + BLIND_SLICE < end else None), probes
        return self._bisect(spanning, start, end, self._slice_jobs)

    def _bisect(
        self, spanning: list[Partition], start: datetime, end: datetime, most: int
    ) -> tuple[datetime | None, Probes]:
        """A slice from ``start`` that holds ``most`` jobs at the most and, if that is soon found, no less than half of
        it: each slice is a load of its own, so few large ones are quicker than many small ones."""
        shortest = start + SHORTEST_SLICE
        fits, too_long, probes = start, end, Probes()
        for _ in range(MAX_BISECTIONS):
            middle = max(fits + (too_long - fits) / 2, shortest).replace(microsecond=0)
            if not fits < middle < too_long:
                break
            seen = self._peek([one.until(middle) for one in spanning if one.window.start < middle])
            held = _held(seen.values())
            if held is not None and held > most:
                if middle == shortest:
                    # No minute holds so much: the API does not look at the range, and every slice would be the whole.
                    return None, seen
                too_long = middle
                continue
            fits, probes = middle, seen
            if held is None or held >= most / 2:
                break
        return (fits if fits > start else None), probes

    def _peek(self, spanning: list[Partition]) -> Probes:
        return self._dispatcher.run({one.location: self._reader.peek(one) for one in spanning})

    def _keep_each_job_once(self) -> None:
        """Of a job in two partitions, the lowest object type and a named location win; the newest reading stays."""
        if len(set().union(*map(_ids, self.results))) == sum(one.jobs.num_rows for one in self.results):
            return
        self._forget_object_types()
        holders: dict[str, list[PartitionResult]] = defaultdict(list)
        for result in sorted(self.results, key=_precedence):
            for job_id in _ids(result):
                holders[job_id].append(result)
        shared = {job_id: results for job_id, results in holders.items() if len(results) > 1}
        self.overlapping = True
        sightings = pa.concat_tables([_rows(one.jobs, shared) for one in self.results])
        rows = newest(sightings.slice(row, 1) for row in range(sightings.num_rows))
        for result in self.results:
            own = [job_id for job_id, results in shared.items() if results[0] is result]
            others = result.jobs.filter(pc.invert(_among(result.jobs, shared)))
            result.jobs = pa.concat_tables([others, _rows(rows, own)])
            for job_id in own:
                for other in shared[job_id][1:]:
                    if job_id in other.job_types:
                        result.job_types.setdefault(job_id, other.job_types[job_id])
        job_id, (kept, other, *_) = next(iter(shared.items()))
        if kept.object_type_is_told:
            logger.warning(
                f"{len(shared)} jobs were returned by two partitions and are stored once, under the lowest object type "
                f"and a named location; for instance {job_id}: {kept.partition}, not {other.partition}."
            )

    def _forget_object_types(self) -> None:
        """Where all object types of a location hold the same jobs, the API does not look at them: all jobs would be of
        the first."""
        by_location: dict[str | None, list[PartitionResult]] = defaultdict(list)
        for result in self.results:
            by_location[result.partition.location].append(result)
        for results in by_location.values():
            if _hold_the_same(results):
                for result in results:
                    result.object_type_is_told = False
        if not all(one.object_type_is_told for one in self.results):
            logger.warning(
                "The API shows the same jobs whatever objectType is asked for, so object_type stays empty, and nothing "
                "can be said of any service."
            )

    def _look_at_range(self, partition: Partition, job_id: str, start: datetime, finish: datetime) -> Reader[None]:
        """Finds out which times of jobs the API compares with a range, which the vendor does not say.

        A job that went on past midnight is looked for in a range that begins after its start, and on a later day, since
        the API may look at no more than the day. If it is not in there, its start counts; then it is looked for in
        a range that ends after its start, on that day. If it is not in there either, its finish counts as well. Where
        the API takes dates alone, no range ends on that day; then that is assumed.
        """
        midnight = (start + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        second, end = timedelta(seconds=1), finish + timedelta(seconds=1)
        after_start = Window(max(start + (finish - start) / 2, midnight), end, end)
        self.range_is_of_starts = not (yield from self._is_in(after_start, partition, job_id))
        self.range_is_of_whole_jobs = False
        if self.range_is_of_starts:
            end = min(start + second, midnight - second)
            around_start = Window(start - second, end, end)
            seen = not self._reader.dates_alone and (yield from self._is_in(around_start, partition, job_id))
            self.range_is_of_whole_jobs = not seen

    def _is_in(self, window: Window, partition: Partition, job_id: str) -> Reader[bool]:
        return job_id in (yield from self._reader.listing(replace(partition, window=window), None)).ids


def _spanning(partitions: Iterable[Partition]) -> list[Partition]:
    """For each location one partition of all object types, over a window that spans those of its partitions."""
    by_location: dict[str | None, list[Window]] = defaultdict(list)
    for partition in partitions:
        by_location[partition.location].append(partition.window)
    return [
        Partition(
            location,
            None,
            Window(
                min(one.start for one in windows),
                max(one.end for one in windows),
                max(one.asked_end for one in windows),
            ),
        )
        for location, windows in by_location.items()
    ]


def _held(probes: Iterable[Listing]) -> int | None:
    """How many jobs a range holds, or None where the API's totals do not tell."""
    held = 0
    for listing in probes:
        if not listing.whole and (listing.reported_total or 0) <= len(listing.ids):
            return None
        held += listing.reported_total if listing.reported_total is not None else len(listing.ids)
    return held


def _nothing(partition: Partition, probe: Listing) -> PartitionResult:
    """What is known of a partition from its whole location, which is empty."""
    listing = Listing(None, reported_total=0, total_scope="matches", complete=True)
    listing.endpoint, listing.page_size = probe.endpoint, probe.page_size
    return PartitionResult(partition, newest([]), {}, [listing])


def _mostly_the_same(sets: Collection[set[str]]) -> bool:
    """Whether more than half of all that several sets hold is in each of them."""
    return 2 * len(set.intersection(*sets)) > len(set.union(*sets))


def _hold_the_same(results: Sequence[PartitionResult]) -> bool:
    """Whether partitions hold the same jobs over the time that all were asked for. Jobs that came or went meanwhile are
    not in all, so most are enough; but of two, which may well share most jobs, as a team is a group, all must be in
    both, and over one window."""
    begins = {one.partition.window.begin for one in results}
    since = pa.scalar(max(begins), TIME)
    # Jobs in progress lie in every window.
    common = [pc.fill_null(pc.greater_equal(one.jobs["finish_time"], since), True) for one in results]
    held = [set(one.jobs.filter(rows)["id"].to_pylist()) for one, rows in zip(results, common, strict=True)]
    if len(held) > 2:
        return any(held) and _mostly_the_same(held)
    return len(held) == 2 and any(held) and len(begins) == 1 and set(_ids(results[0])) == set(_ids(results[1]))


def _ids(result: PartitionResult) -> list[str]:
    ids: list[str] = result.jobs["id"].to_pylist()
    return ids


def _rows(jobs: pa.Table, ids: Iterable[str]) -> pa.Table:
    return jobs.filter(_among(jobs, ids))


def _among(jobs: pa.Table, ids: Iterable[str]) -> pa.Array:
    return pc.is_in(jobs["id"], pa.array(list(ids), pa.string()))


def _telling_job(result: PartitionResult) -> tuple[str, datetime, datetime] | None:
    """The finished job that tells what a range means: the longest of those that went on past midnight UTC, by seconds
    at least; its id, start and finish."""
    latest = pa.scalar(result.partition.window.asked_end, TIME)
    jobs = result.jobs.filter(pc.less_equal(result.jobs["finish_time"], latest))
    before_finish = pc.subtract(jobs["finish_time"], pa.scalar(timedelta(seconds=2), pa.duration("us")))
    first, last = (pc.floor_temporal(times, unit="day") for times in (jobs["start_time"], before_finish))
    jobs = jobs.filter(pc.less(first, last))
    durations = pc.subtract(jobs["finish_time"], jobs["start_time"]).cast(pa.int64())
    row = pc.index(durations, pc.max(durations)).as_py() if jobs.num_rows else -1
    return tuple(jobs[name][row].as_py() for name in ("id", "start_time", "finish_time")) if row >= 0 else None


def _precedence(result: PartitionResult) -> tuple[int, bool]:
    object_type, location = result.partition.object_type, result.partition.location
    return (object_type.value if object_type else 0, location == PRIMARY_LOCATION)
