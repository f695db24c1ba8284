"""Test a 429: all requests wait as long as the server asks, then fewer run at once; at last the load gives up."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from avepoint_m365.api import rate_limit
from avepoint_m365.api.auth import Secret
from avepoint_m365.api.client import JobsClient
from avepoint_m365.api.page import JobsPage
from avepoint_m365.api.rate_limit import HostLimiter, RateLimiter
from avepoint_m365.api.retry import retry_after
from avepoint_m365.api.stats import RequestStats
from avepoint_m365.config import ServiceUrls
from avepoint_m365.exceptions import InterruptedLoadError
from avepoint_m365.extract.first_page import PagingBehavior
from avepoint_m365.extract.listing import Listing
from avepoint_m365.extract.listing_reader import ListingReader
from avepoint_m365.extract.pool import RequestPool
from avepoint_m365.extract.window import Selection, Window
from avepoint_simulator import Answer, Asked, Simulator, make_world
from avepoint_simulator.generator import DEFAULT_NOW


@pytest.mark.parametrize(
    ("header", "attempt", "seconds"),
    [
        ("3", 1, 3),
        ("0", 1, 2),
        ("0", 3, 8),
        ("-5", 1, 2),
        ("99999", 1, 300),
        ("inf", 1, 300),
        ("nan", 1, 2),
        (None, 1, 2),
        (None, 4, 16),
        ("", 1, 2),
        ("in a while", 2, 4),
        (None, 10_000, 300),
        ("Sun, 01 Nov 2026 00:00:00 GMT", 2, 4),
        ("Sun, 01 Nov 2126 00:00:00 GMT", 1, 300),
        (f"Sun, 01 Nov {10**20} 00:00:00 GMT", 1, 2),
    ],
)
def test_the_wait_is_what_the_server_asks_for_within_bounds(header: str | None, attempt: int, seconds: float) -> None:
    assert retry_after(header, attempt, factor=2, longest=300) == seconds


def test_a_date_of_the_server_is_waited_for() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after(moment, 1, factor=1, longest=300) <= 100


def test_429s_of_requests_that_were_under_way_together_count_once() -> None:
    limiter = RateLimiter(8)
    for _ in range(8):
        limiter.pause(0, 0)
    assert (limiter.limit, limiter.pauses) == (4, 1)
    with limiter.acquire() as number:
        limiter.pause(0, number)
    assert (limiter.limit, limiter.pauses) == (2, 2)


def test_the_limit_rises_again_but_never_over_the_concurrency() -> None:
    limiter = RateLimiter(3)
    with limiter.acquire() as number:
        limiter.pause(0, number)
    assert limiter.limit == 1
    for _ in range(100):
        limiter.succeeded()
    assert (limiter.limit, limiter.pauses) == (3, 0)


def test_no_request_exceeds_the_limit() -> None:
    limiter, entered, leave = RateLimiter(2), threading.Semaphore(0), threading.Event()

    def pass_through() -> None:
        with limiter.acquire():
            entered.release()
            leave.wait(10)

    threads = [threading.Thread(target=pass_through) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert all(entered.acquire(timeout=10) for _ in range(2))
    assert not entered.acquire(blocking=False)
    leave.set()
    assert entered.acquire(timeout=10)
    for thread in threads:
        thread.join()


def test_a_429_pauses_its_client_and_a_second_clients_429_pauses_the_host() -> None:
    host = HostLimiter(8)
    first, second = host.client_limiter(RequestStats()), host.client_limiter(RequestStats())
    assert host.throttle(first, 0, (0, 0)) is first
    assert host.throttle(first, 0, (1, 0)) is first
    assert (first.pauses, second.pauses, host.pauses, host.limit) == (2, 0, 0, 8)
    host.succeeded()
    assert host.throttle(second, 0, (0, 0)) is second
    assert host.throttle(first, 0, (2, 0)) is host
    assert (first.pauses, second.pauses, host.pauses, host.limit) == (2, 1, 1, 4)


class Blocked(Exception):
    """Report that a request has to wait."""


def check_of_a_wait() -> Callable[[], None]:
    """Return a function that raises when it is called again, as for a request that waits."""
    calls = iter([None])

    def check() -> None:
        if next(calls, Blocked) is Blocked:
            raise Blocked

    return check


def test_if_all_requests_are_slow_one_more_finds_out_whether_the_host_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostLimiter(1)
    monkeypatch.setattr(rate_limit, "SLOW_SECONDS", -1)
    with host.acquire():
        with host.acquire(), pytest.raises(Blocked), host.acquire(check_of_a_wait()):
            pass
        # The slow request was overtaken, so the limit counts the others alone.
        with host.acquire():
            monkeypatch.setattr(rate_limit, "SLOW_SECONDS", 100)
            with pytest.raises(Blocked), host.acquire(check_of_a_wait()):
                pass


def requester(simulator: Simulator, object_type: str) -> tuple[JobsClient, Callable[[], JobsPage]]:
    """Return a client of a tenant of its own, and a function that requests its jobs of one object type."""
    jobs = client(simulator, concurrency=1)
    return jobs, lambda: jobs.request_page({"objectType": object_type})


@pytest.mark.parametrize("kind", ["throttled", "hangs"])
def test_a_client_whose_requests_get_no_answer_does_not_stop_another(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(rate_limit, "SLOW_SECONDS", 0)
    asked_first, released = threading.Event(), threading.Event()

    def for_the_first_client(asked: Asked) -> Answer | None:
        if asked.params.get("objecttype") != "1":
            return None
        asked_first.set()
        if kind == "hangs":
            released.wait(60)
        return Answer(429, headers={"Retry-After": "300"})

    with Simulator(make_world(30), fault=for_the_first_client) as simulator:
        (first, fails), (_, succeeds) = (requester(simulator, number) for number in ("1", "2"))
        with ThreadPoolExecutor(1) as pool:
            failing = pool.submit(fails)
            assert asked_first.wait(60)
            for _ in range(3):
                succeeds()
            assert not failing.done()
            first.stats.interrupted.set()
            released.set()
            with pytest.raises(InterruptedLoadError):
                failing.result()


def client(simulator: Simulator, concurrency: int = 8) -> JobsClient:
    identity = Secret(simulator.client_id, simulator.client_secret)
    return JobsClient(ServiceUrls(simulator.base_url, simulator.token_url), identity, "jobs", concurrency)


def read_pages(jobs: JobsClient, page_size: int) -> Listing:
    window = Window(DEFAULT_NOW - timedelta(days=60), DEFAULT_NOW, DEFAULT_NOW)
    with RequestPool(jobs.request_page, jobs.concurrency) as pool:
        return ListingReader(pool, PagingBehavior(page_size)).read(Selection(window))


def test_a_server_with_a_limit_is_not_hammered() -> None:
    world = make_world(300)
    with Simulator(world, per_second=15) as simulator:
        jobs = client(simulator)
        assert read_pages(jobs, 10).ids == {job.id for job in world.visible()}
        served = len(simulator.asked) - jobs.stats.throttled
        assert served >= 30
        assert jobs.stats.throttled <= served / 2


def test_a_listing_fails_if_the_server_throttles_every_later_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "3")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    busy = Answer(429, headers={"Retry-After": "0"})

    def after_the_first_page(asked: Asked) -> Answer | None:
        return busy if asked.number > 1 else None

    with Simulator(make_world(300), fault=after_the_first_page) as simulator:
        listing = read_pages(client(simulator, concurrency=1), 10)
        assert (listing.complete, listing.error_kind, len(listing.ids)) == (False, "throttled", 10)
        assert "lower concurrency" in str(listing.detail)
        assert len(simulator.asked) < 10, "three attempts, and what was about to be sent when they had failed"


def test_timeouts_and_retries_are_those_of_dlts_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "4")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.001")
    with Simulator(make_world(3), fault=lambda asked: Answer(503)) as simulator:
        with pytest.raises(Exception, match="answered 503"):
            client(simulator).request_page({})
        assert len(simulator.asked) == 4
