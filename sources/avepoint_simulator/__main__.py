"""Serve until standard input closes (``python -m avepoint_simulator``); print the URLs as one line of JSON."""

import argparse
import gc
import json
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from avepoint_simulator import FAULTS, Dialect, Drift, ServerBehavior, Simulator, every, make_world
from avepoint_simulator.response_format import CHOICES
from avepoint_simulator.tenant import BOUNDS, ORDERS, READINGS

WARMED = 200_000
"""Up to so many jobs are encoded before the start; of more, each when it is first asked for, to start sooner."""


def pairs(given: list[str]) -> dict[str, Any]:
    """Return ``key=value`` arguments; values are JSON or else text."""
    settings: dict[str, Any] = {}
    for argument in given:
        key, _, text = argument.partition("=")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings


parser = argparse.ArgumentParser("avepoint_simulator", description=__doc__)
parser.add_argument("--jobs", type=int, default=5000)
parser.add_argument("--days", type=float, default=30, help="the jobs start within so many days before now")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--error-share", type=float, default=0.2, help="share of jobs with errors")
parser.add_argument("--locations", nargs="*", default=[])
parser.add_argument("--reading", choices=READINGS, default="finish", help="which time of a job a range means")
parser.add_argument("--bounds", choices=BOUNDS, default="inclusive", help="whether a range holds its own ends")
parser.add_argument("--order", choices=ORDERS, default="newest", help="how lists are sorted")
parser.add_argument("--late-hours", type=float, default=0, help="how long after its start a job is shown")
parser.add_argument("--generations", type=int, nargs="+", choices=(1, 2), default=[1, 2])
parser.add_argument("--latency", type=float, default=0, help="seconds each request takes at least")
parser.add_argument("--per-second", type=float, help="requests a second beyond which it answers 429")
parser.add_argument("--retry-after", choices=("seconds", "date"), default="seconds", help="how a 429 names the time")
parser.add_argument("--gzip", action="store_true", help="compress answers for clients that accept it")
parser.add_argument("--dialect", nargs="*", default=[], metavar="KEY=VALUE", help=f"such as {', '.join(CHOICES)}")
parser.add_argument(
    "--behavior",
    nargs="*",
    default=[],
    metavar="KEY=VALUE",
    help=f"how the server departs from the documentation: {', '.join(key.name for key in fields(ServerBehavior))}",
)
parser.add_argument("--primary-location", help="the location that PrimaryGeoLocation stands for")
parser.add_argument("--fault", nargs="*", default=[], metavar="NAME=N", help=f"each Nth request: {', '.join(FAULTS)}")
parser.add_argument(
    "--drift", nargs="*", default=[], metavar="KEY=N", help="changes between pages: insert, remove, every"
)
parser.add_argument("--port", type=int, default=0)
given = parser.parse_args()

try:
    dialect = Dialect(**pairs(given.dialect))
    behavior = ServerBehavior(**pairs(given.behavior))
    fault = every(**pairs(given.fault)) if given.fault else None
    drift = Drift(**pairs(given.drift)) if given.drift else None
except (ValueError, TypeError, KeyError) as error:
    parser.error(str(error))

# A million jobs stay as they are: there is nothing among them for the garbage collector.
gc.disable()
now = datetime.now(UTC).replace(microsecond=0)
world = make_world(given.jobs, given.seed, now, given.days, tuple(given.locations), given.error_share)
world.reading, world.bounds, world.order = given.reading, given.bounds, given.order
world.primary_location = given.primary_location
world.late = timedelta(hours=given.late_hours)
simulator = Simulator(
    world,
    dialect,
    behavior,
    generations=tuple(given.generations),
    latency=given.latency,
    per_second=given.per_second,
    retry_after=given.retry_after,
    gzip=given.gzip,
    fault=fault,
    drift=drift,
    port=given.port,
)
if given.jobs <= WARMED:
    simulator.warm()
gc.freeze()
gc.enable()
with simulator:
    where = {
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "client_id": simulator.client_id,
        "client_secret": simulator.client_secret,
    }
    print(json.dumps(where), flush=True)
    for _ in sys.stdin:
        # Each line read is answered with what has been asked so far.
        print(json.dumps({"requests": len(simulator.asked), "most_in_flight": simulator.most_in_flight}), flush=True)
