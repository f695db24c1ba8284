"""Reading all partitions of one load: side by side, and each job kept in one of them."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice

from avepoint_m365.client import Traffic
from avepoint_m365.partition import Listing, Partition, PartitionReader, PartitionResult, Window, keep_newest
from avepoint_m365.records import read_job
from avepoint_m365.settings import PRIMARY_LOCATION

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a load is; read it from any thread while the load works."""

    partitions: int = 0
    partitions_done: int = 0
    jobs: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    results: list[PartitionResult] = field(default_factory=list)
    """What was read, once all of it is."""
    cut_at: datetime | None = None
    """Where the slice that was read ends, if more is left for another load (UTC)."""


LONG = timedelta(days=31)
"""Ranges up to this are read at once, without asking how much they hold."""

BLIND_SLICE = timedelta(days=31)
"""The length of slices where the API does not say how much a range holds."""

SHORTEST_SLICE = timedelta(minutes=1)


class Reading:
    """The partitions of one load. First each is asked for, then ``result`` reads them all at once.

    Waiting for all before any is handed on is what makes it possible to keep a job that two partitions return
    in one of them.
    """

    def __init__(self, reader: PartitionReader, concurrency: int, progress: Progress, slice_jobs: int | None) -> None:
        """``slice_jobs`` ends the windows of a long range earlier, where they would hold more jobs than that."""
        self._reader, self._concurrency, self._progress = reader, concurrency, progress
        self._slice_jobs = slice_jobs
        self._asked: dict[Partition, bool] = {}
        progress.partitions = progress.partitions_done = 0
        progress.results, progress.cut_at = [], None
        self._results: dict[Partition, PartitionResult | None] = {}
        self._probes: dict[str | None, _Probe] = {}
        self.may_learn = True
        """Whether ``range_is_of_starts`` is still worth a request in this load."""
        self.overlapping = False
        """Whether partitions return jobs of one another, in this load or an earlier one. Then all are read over the
        same window: a job seen in only one of them would else change its place from load to load."""

    def ask(self, partition: Partition, fell_short: bool = False) -> None:
        """Adds a partition to what is read; ``fell_short`` if it could not be proved complete the last time."""
        self._asked[partition] = fell_short
        self._progress.partitions += 1

    def result(self, partition: Partition) -> PartitionResult | None:
        """What a partition holds; None if its window begins after the slice. The first call reads all.

        Raises:
            SourceError: the first that any partition met.
        """
        if partition not in self._results:
            self._read_all()
        return self._results[partition]

    @property
    def cut_at(self) -> datetime | None:
        """Where this slice ends, if it is not the last."""
        return self._progress.cut_at

    @property
    def results(self) -> list[PartitionResult]:
        """Everything read so far."""
        return [one for one in self._results.values() if one is not None]

    def _read_all(self) -> None:
        asked = [one for one in self._asked if one not in self._results]
        earliest = min(one.window.start for one in asked)
        to_read = {one: one.reaching_back_to(earliest) if self.overlapping else one for one in asked}
        self._progress.cut_at = cut = self._end_of_slice(list(to_read.values()))
        if cut is not None:
            self._results |= dict.fromkeys(one for one, read in to_read.items() if read.window.start >= cut)
            to_read = {one: read.until(cut) for one, read in to_read.items() if read.window.start < cut}
        self._probes = _probes(list(to_read.values()), self._reader)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="avepoint")
        try:
            futures = {one: pool.submit(self._read, read) for one, read in to_read.items()}
            _raise_first(list(futures.values()))
            self._results |= {one: future.result() for one, future in futures.items()}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        self._keep_each_job_once()
        self._progress.results = self.results

    def _end_of_slice(self, partitions: list[Partition]) -> datetime | None:
        """Where to stop for now, halving a long range while it holds too much; None to read it to its end.

        A partition that keeps falling short does not hold up the others: they do not wait for it.
        """
        going = [one for one, asked in zip(partitions, self._asked.items(), strict=True) if not asked[1]]
        if self._slice_jobs is None or not going:
            return None
        start, end = min(one.window.start for one in going), max(one.window.end for one in going)
        if end - start <= LONG:
            return None
        locations = list(dict.fromkeys(one.location for one in going))
        stop = end
        while True:
            held = self._held(locations, Window(start, stop, stop))
            if held is None:
                stop = min(start + BLIND_SLICE, end)
                break
            if held <= self._slice_jobs or stop - start <= SHORTEST_SLICE:
                break
            stop = (start + (stop - start) / 2).replace(microsecond=0)
        return stop if stop < end else None

    def _held(self, locations: list[str | None], window: Window) -> int | None:
        """How many jobs a range holds, or None where the API's totals do not tell."""
        held = 0
        for location in locations:
            listing = self._reader.peek(Partition(location, None, window))
            if not listing.complete and (listing.reported_total or 0) <= len(listing.jobs):
                return None
            held += listing.reported_total if listing.reported_total is not None else len(listing.jobs)
        return held

    def _read(self, partition: Partition) -> PartitionResult:
        probe = self._probes.get(partition.location)
        empty = probe.listing() if probe else None
        if empty is not None and empty.complete and not empty.jobs:
            # Nothing in the whole location, so nothing in this part of it.
            listing = Listing(None, empty.started_at, reported_total=0, total_basis="matches", complete=True)
            listing.endpoint, listing.page_size = empty.endpoint, empty.page_size
            result = PartitionResult(partition, {}, {}, [listing])
        else:
            result = self._reader.read(partition)
        self._progress.partitions_done += 1
        self._progress.jobs += len(result.jobs)
        return result

    def _keep_each_job_once(self) -> None:
        """Of a job in two partitions, the lowest object type and a named location win; the newest reading stays."""
        holders: dict[str, list[PartitionResult]] = defaultdict(list)
        for result in sorted(self.results, key=_precedence):
            for job_id in result.jobs:
                holders[job_id].append(result)
        shared = {job_id: results for job_id, results in holders.items() if len(results) > 1}
        for job_id, (kept, *others) in shared.items():
            for other in others:
                keep_newest(kept.jobs, {job_id: other.jobs.pop(job_id)})
                if job_id in other.job_types:
                    kept.job_types.setdefault(job_id, other.job_types[job_id])
        if shared:
            self.overlapping = True
            job_id, (kept, *others) = next(iter(shared.items()))
            logger.warning(
                f"{len(shared)} jobs were returned by two partitions and are stored once, under the lowest object type "
                f"and a named location; for instance {job_id}: {kept.partition}, not {others[0].partition}."
            )


class _Probe:
    """Asks once whether a location holds anything; whoever needs the answer first asks, the others wait."""

    def __init__(self, reader: PartitionReader, partition: Partition) -> None:
        self._reader, self._partition = reader, partition
        self._lock = threading.Lock()
        self._listing: Listing | None = None

    def listing(self) -> Listing:
        with self._lock:
            if self._listing is None:
                self._listing = self._reader.peek(self._partition)
            return self._listing


def _probes(partitions: list[Partition], reader: PartitionReader) -> dict[str | None, _Probe]:
    """A probe for each location with several partitions, over a window that spans theirs."""
    by_location: dict[str | None, list[Partition]] = defaultdict(list)
    for partition in partitions:
        by_location[partition.location].append(partition)
    probes = {}
    for location, group in by_location.items():
        if len(group) > 1:
            windows = [one.window for one in group]
            spanning = Window(
                min(one.start for one in windows),
                max(one.end for one in windows),
                max(one.asked_end for one in windows),
            )
            probes[location] = _Probe(reader, Partition(location, None, spanning))
    return probes


def _precedence(result: PartitionResult) -> tuple[int, bool]:
    object_type, location = result.partition.object_type, result.partition.location
    return (object_type.value if object_type else 0, location == PRIMARY_LOCATION)


def _raise_first(futures: list[Future[PartitionResult]]) -> None:
    done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
    for future in waiting:
        future.cancel()
    for future in done:
        if not future.cancelled() and (error := future.exception()):
            raise error


def range_is_of_starts(reader: PartitionReader, results: list[PartitionResult]) -> bool | None:
    """Whether the API compares startTime with the start of jobs, which the vendor does not say; None if unknown.

    Found out with one request: the longest finished job is looked for in a range that begins after its start and
    ends after its finish. If it is not in there, only the start counts.
    """
    longest: tuple[timedelta, str, Partition, datetime, datetime] | None = None
    for result, job_id, sighting in chain.from_iterable(
        ((result, job_id, sighting) for job_id, sighting in islice(result.jobs.items(), 200)) for result in results
    ):
        job = read_job(sighting.raw).job
        start, finish = job["start_time"], job["finish_time"]
        if start and finish and finish - start >= timedelta(seconds=4) and (not longest or finish - start > longest[0]):
            longest = (finish - start, job_id, result.partition, start, finish)
    if longest is None:
        return None
    duration, job_id, partition, start, finish = longest
    end = finish + timedelta(seconds=1)
    inside = Window(start + duration / 2, end, end)
    listing = reader.list(Partition(partition.location, partition.object_type, inside), None)
    return job_id not in listing.jobs
