"""Simulate faults of a network or a server at chosen requests, and record the waits of the client."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
from avepoint_m365.api import retry
from avepoint_m365.api.stats import CancelToken
from avepoint_simulator import FAULTS, Answer, Asked, Simulator, World, bomb, throttled_until
from avepoint_simulator.generator import DEFAULT_NOW

from tests.support.receivers import certificate

ANSWERS = {
    "429 in seconds": FAULTS["throttle"],
    "429 without a time": FAULTS["throttle_bare"],
    "429 for an hour": FAULTS["throttle_hour"],
    "500": FAULTS["error"],
    "502": FAULTS["gateway"],
    "503 with HTML": FAULTS["maintenance"],
    "418": FAULTS["teapot"],
    "closed before the answer": FAULTS["drop"],
    "closed in the headers": FAULTS["cut_headers"],
    "reset before the answer": FAULTS["reset"],
    "reset in the headers": FAULTS["reset_in_headers"],
    "reset in the body": FAULTS["reset_in_body"],
    "truncated JSON": FAULTS["cut"],
    "invalid JSON": FAULTS["invalid"],
    "200 with HTML": FAULTS["html"],
    "200 with an error envelope": FAULTS["enveloped"],
    "204": FAULTS["empty"],
    "null instead of jobs": FAULTS["null"],
    "slow drip": replace(FAULTS["drip"], drip=30.0),
    "Content-Length too high": FAULTS["overlong"],
    "Content-Length too low": FAULTS["underlong"],
    "cut within gzip": FAULTS["cut_gzip"],
    "decompression bomb": bomb(200),
    "401": FAULTS["unauthorized"],
    "403": FAULTS["forbidden"],
    "400": Answer(400, {"message": "Bad request."}),
    "504": Answer(504, "<html></html>"),
    "redirect": FAULTS["redirect"],
    "slow headers": replace(FAULTS["drip_headers"], drip_head=30.0),
    "a body for too long": replace(FAULTS["drip"], drip=8.0),
    "headers for too long": replace(FAULTS["drip_headers"], drip_head=8.0),
}
"""Faults that a server sends, by name."""

DATED = "429 with a date"
NETWORK = ("connection refused", "DNS failure", "TLS failure")
"""Faults that prevent a request from reaching the server."""

SENT = (*ANSWERS, DATED)
KINDS = (*SENT, *NETWORK)
TOO_LONG = ("a body for too long", "headers for too long")
"""Faults that end with the time limit of a whole response: each single piece arrives in time."""

TIMED = ("slow drip", "slow headers", "Content-Length too high", *TOO_LONG)
"""Faults that end with the client's own timeout."""

FATAL = ("418", "400", "401", "403", "504", "redirect", "204", "null instead of jobs", "decompression bomb")
"""Faults after which the client does not send the same request again, so that a load may end with them."""

REPEATED = tuple(kind for kind in KINDS if kind not in FATAL)

Plan = Callable[[Asked], str | None]
"""Function that returns the fault of a request, or None."""


def at(kind: str, *numbers: int) -> Plan:
    """Plan a fault at requests with these numbers; requests for tokens and repeated requests count as well."""
    return lambda asked: kind if asked.number in numbers else None


def since(kind: str, number: int) -> Plan:
    """Plan a fault at all requests from a number on."""
    return lambda asked: kind if asked.number >= number else None


def staying(kind: str, **where: str) -> Plan:
    """Plan a fault at all requests with a path or parameters, in lower case."""
    return lambda asked: kind if ({"path": asked.path} | asked.params).items() >= where.items() else None


def staying_deep(kind: str, **where: str) -> Plan:
    """Plan a fault at all pages after the first of listings with some parameters, in lower case."""
    return lambda asked: kind if "pageindex" in asked.params and asked.params.items() >= where.items() else None


class EachOnce:
    """Plan a fault at the first attempt of each request, and none at later attempts."""

    def __init__(self, *kinds: str) -> None:
        """Store the faults, which the requests receive in turn."""
        self._kinds = cycle(kinds)
        self._known: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    def __call__(self, asked: Asked) -> str | None:
        """Return the next fault for the first attempt of a request."""
        if not asked.path:
            # Of a failing connection only the number is known: odd numbers are first attempts.
            return next(self._kinds) if asked.number % 2 else None
        request = asked.path, frozenset(asked.params.items())
        if request in self._known:
            return None
        self._known.add(request)
        return next(self._kinds)


def answer_of(kind: str | None) -> Answer | None:
    """Return the answer of a fault that a server sends."""
    if kind == DATED:
        return throttled_until(datetime.now(UTC) + timedelta(minutes=2))
    return None if kind is None else ANSWERS[kind]


@dataclass
class Waits:
    """Hold the seconds that a client would have waited; the client does not wait."""

    seconds: list[float] = field(default_factory=list)

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let retries and the rate limiter record their waits from now on."""
        monkeypatch.setattr(CancelToken, "pause", lambda token, seconds: self.seconds.append(seconds))
        asked = retry.retry_after

        def retry_after(*given: Any) -> float:
            self.seconds.append(asked(*given))
            return 0.0

        monkeypatch.setattr(retry, "retry_after", retry_after)


@contextmanager
def faults(simulator: Simulator, plan: Plan, folder: Path, network: bool = False) -> Iterator[None]:
    """Let the planned requests to a simulator fail within the block, or with ``network`` their connections."""
    simulator.received = 0
    if network:
        with _network(simulator, plan, folder):
            yield
        return
    simulator.gateway = lambda asked: answer_of(plan(asked))
    try:
        yield
    finally:
        simulator.gateway = None


@contextmanager
def _network(simulator: Simulator, plan: Plan, folder: Path) -> Iterator[None]:
    """Let connections fail; each request has its own connection, so a connection has the number of its request."""
    simulator.gateway = lambda asked: Answer(0, headers={"Connection": "close"})
    resolve, numbers = socket.getaddrinfo, count(1)
    port = int(simulator.base_url.rpartition(":")[2])

    def resolved(host: Any, service: Any, *more: Any, **named: Any) -> Any:
        result = resolve(host, service, *more, **named)
        kind = plan(Asked(next(numbers), "", {})) if service == port else None
        if kind is None:
            return result
        if kind == "DNS failure":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(*result[:4], ("127.0.0.1", elsewhere[kind])) for result in result]

    with _other_servers(folder) as elsewhere, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolved)
        try:
            yield
        finally:
            simulator.gateway = None


@contextmanager
def _other_servers(folder: Path) -> Iterator[dict[str, int]]:
    """Yield a port without a server, and the port of a server whose certificate is not trusted."""
    with socket.socket() as taken, Simulator(World(DEFAULT_NOW), tls=tls_of(folder, "other")) as other:
        # The port is bound, but does not listen: connections are refused, and no other program gets the port.
        taken.bind(("127.0.0.1", 0))
        port = int(other.base_url.rpartition(":")[2])
        yield {"connection refused": taken.getsockname()[1], "TLS failure": port}


def tls_of(folder: Path, name: str) -> ssl.SSLContext:
    """Return the TLS context of a server, with a new certificate in a folder with this name."""
    place = folder / name
    place.mkdir(exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(place))
    return context
