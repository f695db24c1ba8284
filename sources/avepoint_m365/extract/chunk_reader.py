"""Read one chunk of a tenant, from the requested window to the rows that are new.

An incremental load first scans the window: one listing of all its jobs. Jobs that are unchanged in the warehouse are
neither classified nor written. If the warehouse lacks most jobs of a range, the range is read in bulk, by object type.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from avepoint_m365.exceptions import ConfigurationError
from avepoint_m365.extract import checks, window_plan
from avepoint_m365.extract.build_result import build_result
from avepoint_m365.extract.chunk import Chunk
from avepoint_m365.extract.chunk_classifier import dimensions
from avepoint_m365.extract.chunk_result import ChunkResult
from avepoint_m365.extract.classify import Dimension
from avepoint_m365.extract.cut_lists import learn_longest_list
from avepoint_m365.extract.deduplicate import deduplicate_latest, filter_ids
from avepoint_m365.extract.known import KnownJob
from avepoint_m365.extract.label_chunk import label_chunk
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.scan import Scan
from avepoint_m365.extract.upkeep import run_upkeep, verify_history
from avepoint_m365.extract.window import EDGE


def read_chunk(chunk: Chunk) -> ChunkResult:
    """Return the rows and findings of the window of this load.

    Raises:
        SourceError: if nothing could be read.
    """
    if chunk.options.verify_since is not None:
        return _verify(chunk, chunk.options.verify_since)
    window = window_plan.plan_window(chunk.options, chunk.state, chunk.interval)
    others = [dimension for dimension in dimensions(chunk.options) if dimension.name == "location"]
    scan = chunk.scanner.scan(window, others, chunk.most_is_unknown)
    scan = _correct_for_server_clock(chunk, scan, others)
    chunk.behavior = chunk.behavior.for_endpoint(scan.listings[0].endpoint)
    chunk.findings += checks.announced_end_findings(scan.listings[0].announced_end)
    jobs, known = scan.jobs, chunk.known_jobs(scan.ids)
    if _refuse_other_tenant(chunk, scan, known):
        return _empty_result(chunk, scan)
    upkeep = run_upkeep(chunk, scan, known)
    if upkeep.listings:
        jobs = deduplicate_latest([*scan.listings, *upkeep.listings])
        known |= chunk.known_jobs(set(jobs["id"].to_pylist()) - known.keys())
        jobs = _without_other_types(chunk, jobs, upkeep.listings, scan.ids | known.keys())
    jobs = _keep_known_values(chunk, jobs, known, [*scan.listings, *upkeep.listings])
    typed = [listing for listing in upkeep.listings if listing.selection.object_type is not None]
    return build_result(chunk, scan, upkeep, label_chunk(chunk, scan, jobs, known, typed))


def _without_other_types(chunk: Chunk, jobs: pa.Table, listings: list[Listing], wanted: Collection[str]) -> pa.Table:
    """Return the jobs that are ``wanted``, or that a listing of one object type returned; all if all are loaded."""
    if chunk.options.loads_all_types:
        return jobs
    typed = [listing.ids for listing in listings if listing.selection.object_type is not None]
    return filter_ids(jobs, sorted(set(wanted).union(*typed)))


def _verify(chunk: Chunk, since: datetime) -> ChunkResult:
    """Return the result of comparing the whole history with the API's totals; the cursors stay.

    Raises:
        ConfigurationError: if the warehouse holds no job of the tenant.
        SourceError: if no further request can succeed.
    """
    if chunk.lookup is None:
        raise ConfigurationError("Nothing to verify: the warehouse holds no job of the tenant. Load it first.")
    upkeep = verify_history(chunk, chunk.lookup, since)
    scan = Scan(chunk.options.window(since), upkeep.listings)
    known = chunk.known_jobs(scan.ids)
    jobs = _keep_known_values(chunk, scan.jobs, known, scan.listings)
    return build_result(chunk, scan, upkeep, label_chunk(chunk, scan, jobs, known))


def _correct_for_server_clock(chunk: Chunk, scan: Scan, others: Sequence[Dimension]) -> Scan:
    """Return the scan; repeat it if this machine's clock is behind, so that its window ended too early."""
    skew = checks.clock_skew(scan.listings[0].server_time, chunk.options.until)
    if not skew or not chunk.options.open_ended:
        return scan
    chunk.findings.append(checks.skew_finding(skew))
    chunk.options = chunk.options._replace(until=chunk.options.until + skew)
    chunk.scanner.use(chunk.options)
    window = window_plan.plan_window(chunk.options, chunk.state, chunk.interval)
    if scan.chunk_end or window.query_end <= scan.window.query_end:
        return replace(scan, window=scan.window._replace(end=min(scan.window.end, chunk.options.until)))
    return chunk.scanner.scan(window, others, chunk.most_is_unknown)


def _refuse_other_tenant(chunk: Chunk, scan: Scan, known: dict[str, KnownJob]) -> bool:
    """Report a scan without any of the warehouse's recent jobs; return whether it must not be loaded."""
    cursor = chunk.state.scan.cursor
    if chunk.is_range or chunk.lookup is None or not all(listing.complete for listing in scan.listings):
        return False
    if chunk.state.scan.chunk_end is not None:
        # A later chunk of a long range need not contain a job of an earlier chunk.
        return False
    start, end = scan.window.start + EDGE, scan.chunk_end
    if end is not None and not chunk.lookup.count(start, end - EDGE, chunk.behavior.range_filter):
        # The first chunk may end before all known jobs. The API may exclude those at its borders.
        return False
    finding = checks.another_tenant(known, scan.ids, chunk.lookup, scan.window, cursor)
    if finding is None or _reject_cut_lists(chunk, scan):
        return False
    chunk.findings.append(finding)
    for listing in scan.audited:
        listing.complete, listing.detail = False, finding.problem
    return bool(cursor and cursor > chunk.options.until - checks.RETENTION) or not scan.ids


def _reject_cut_lists(chunk: Chunk, scan: Scan) -> bool:
    """Mark the lists that the server cut; return whether it did. The next load reads the jobs that they lack."""
    listings, start = scan.listings, scan.window.query_start
    if not any(learn_longest_list(chunk.reader, listing, start) for listing in listings):
        return False
    for listing in listings:
        chunk.reader.reject_cut_list(listing)
    return True


def _empty_result(chunk: Chunk, scan: Scan) -> ChunkResult:
    """Return a result without rows, which leaves the state unchanged."""
    empty = scan.jobs.slice(0, 0)
    return ChunkResult(scan.window, empty, chunk.state, listings=scan.audited, findings=chunk.findings, complete=False)


def _keep_known_values(chunk: Chunk, jobs: pa.Table, known: dict[str, KnownJob], listings: list[Listing]) -> pa.Table:
    """Return the jobs with known values in place of missing and unreadable ones, which are reported."""
    missing = frozenset().union(*(listing.parsed.missing_fields for listing in listings))
    unreadable = [problem for listing in listings for problem in listing.parsed.unreadable]
    chunk.findings += checks.warning_findings(page.info.warnings for listing in listings for page in listing.pages)
    chunk.findings += checks.missing_findings(missing, known)
    chunk.findings += checks.unreadable_findings(unreadable)
    chunk.findings += checks.conflict_findings([item for listing in listings for item in listing.parsed.conflicts])
    for listing in listings:
        problems = listing.parsed.unreadable
        if problems and listing.detail is None:
            listing.complete, listing.error_kind = False, "bad_response"
            problem = problems[0]
            listing.detail = f"Value not readable: job {problem.job_id}, {problem.field} = {problem.value!r}."
    return checks.keep_known_values(jobs, known, missing, unreadable)
