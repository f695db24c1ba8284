"""Define the messages of a server: requests as it sees them, answers, and faults in place of answers."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from functools import cache
from typing import Any

from avepoint_simulator.tenant import World


@dataclass
class Answer:
    """Describe an answer. A ``status`` of 0 stands for the regular answer, which the other fields then spoil."""

    status: int
    body: Any = None
    """A JSON value, whose parts may already be bytes of JSON; or text, which is sent unchanged."""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    """Closes the connection: at once, or after what ``keep`` leaves of the body."""
    keep: float | None = None
    """The share of the body that is sent. Without ``drop`` this is a whole answer whose JSON is broken."""
    drip: float = 0.0
    """Seconds in which the body is sent, in pieces."""
    drip_head: float = 0.0
    """Seconds in which the status line and the headers are sent, in pieces."""
    reset: bool = False
    """Ends a dropped connection with a TCP reset, as a crashed process does, and not in order."""
    head: float = 1.0
    """The share of the status line and the headers that is sent; with ``drop``, nothing follows it."""
    off: int = 0
    """Added to Content-Length, which is wrong then."""
    gzip: bool = False
    """Compresses this answer; what ``keep`` cuts is the compressed body then."""


@dataclass(frozen=True)
class Asked:
    """Describe one request as the server saw it; parameter names in lower case."""

    number: int
    path: str
    params: dict[str, str]
    sent: dict[str, str] = field(default_factory=dict)
    """The parameters with their names as they were sent."""


Fault = Callable[[Asked], Answer | None]
"""Looks at a request to the API and answers in the server's place, or lets it pass with None."""

MAINTENANCE_PAGE = "<!DOCTYPE html><html><head><title>503</title></head><body>Service Unavailable</body></html>"

FAULTS = {
    "drop": Answer(0, drop=True),
    "break": Answer(0, drop=True, keep=0.5),
    "cut": Answer(0, keep=0.5),
    "drip": Answer(0, drip=1.0),
    "drip_headers": Answer(0, drip_head=1.0),
    "cut_headers": Answer(0, drop=True, keep=0.0, head=0.5),
    "reset": Answer(0, drop=True, reset=True),
    "reset_in_headers": Answer(0, drop=True, reset=True, keep=0.0, head=0.5),
    "reset_in_body": Answer(0, drop=True, reset=True, keep=0.5),
    "overlong": Answer(0, off=100),
    "underlong": Answer(0, off=-10),
    "cut_gzip": Answer(0, keep=0.5, gzip=True),
    "invalid": Answer(200, b'{"jobs": [}], "data": [}]}'),
    "html": Answer(200, MAINTENANCE_PAGE),
    "enveloped": Answer(200, {"statusCode": 500, "message": "An error has occurred.", "errors": [], "data": None}),
    "empty": Answer(204),
    "null": Answer(200, {"jobs": None, "data": None}),
    "throttle": Answer(429, headers={"Retry-After": "1"}),
    "throttle_hour": Answer(429, headers={"Retry-After": "3600"}),
    "throttle_bare": Answer(429),
    "unauthorized": Answer(401),
    "forbidden": Answer(403),
    "teapot": Answer(418),
    "error": Answer(500),
    "gateway": Answer(502),
    "maintenance": Answer(503, MAINTENANCE_PAGE),
    "redirect": Answer(302, headers={"Location": "https://elsewhere.example/backup/m365/jobs"}),
}
"""Common faults by name."""


def throttled_until(moment: datetime) -> Answer:
    """Return a 429 that names a time to come back, instead of seconds to wait."""
    return Answer(429, headers={"Retry-After": format_datetime(moment, usegmt=True)})


@cache
def bomb(megabytes: int) -> Answer:
    """Return a small body that decompresses to so many megabytes of blanks before a page without jobs."""
    packer = zlib.compressobj(9, wbits=31)
    blanks = b" " * 1_000_000
    parts = [packer.compress(blanks) for _ in range(megabytes)]
    parts += [packer.compress(b'{"jobs": [], "totalNumber": 0}'), packer.flush()]
    return Answer(200, b"".join(parts), {"Content-Encoding": "gzip"})


def every(**often: int) -> Fault:
    """Return faults by name and how often they come.

    ``every(drop=50, cut=70)`` drops each 50th request and cuts each 70th.

    Raises:
        KeyError: for a name that is not in ``FAULTS``.
    """
    answers = [(often[name], FAULTS[name]) for name in often]
    return lambda asked: next((answer for nth, answer in answers if asked.number % nth == 0), None)


@dataclass(frozen=True)
class Drift:
    """Change jobs between page requests: so many appear and vanish after each of the first ``requests``."""

    insert: int = 0
    remove: int = 0
    every: int = 1
    """Changes come after every so many requests only."""
    requests: int | None = None
    """How many requests are followed by changes; None for no end."""
    seed: int = 0

    def move(self, world: World, number: int) -> None:
        """Change the jobs after request ``number``: copies of jobs end right now, others are gone."""
        if number % self.every or (self.requests is not None and number > self.requests * self.every):
            return
        chance = random.Random(f"{self.seed} {number}")
        shown = world.select()
        for job in chance.sample(shown, min(self.remove, len(shown))):
            world.remove(job.id)
        for count in range(self.insert if shown else 0):
            job_id = f"FB{world.now:%Y%m%d%H%M%S}9{number % 10_000:04d}{count % 100:02d}"
            world.put(replace(chance.choice(shown), id=job_id, start=world.now, finish=world.now))


def encode(value: Any) -> bytes:
    """Return a JSON value as bytes; parts that are bytes already stay as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return b"{" + b",".join(b"%s:%s" % (encode(name), encode(part)) for name, part in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join([part if type(part) is bytes else encode(part) for part in value]) + b"]"
    return json.dumps(value).encode()
