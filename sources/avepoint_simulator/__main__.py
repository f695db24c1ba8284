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
"""Up to this many jobs are encoded before the server starts; more are encoded when they are first requested."""


def pairs(arguments: list[str]) -> dict[str, Any]:
    """Return the values of ``key=value`` arguments by key; a value is JSON, or else text."""
    settings: dict[str, Any] = {}
    for argument in arguments:
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
arguments = parser.parse_args()

try:
    dialect = Dialect(**pairs(arguments.dialect))
    behavior = ServerBehavior(**pairs(arguments.behavior))
    fault = every(**pairs(arguments.fault)) if arguments.fault else None
    drift = Drift(**pairs(arguments.drift)) if arguments.drift else None
except (ValueError, TypeError, KeyError) as error:
    parser.error(str(error))

# A million jobs live until the end, so the garbage collector must not search them.
gc.disable()
now = datetime.now(UTC).replace(microsecond=0)
world = make_world(
    arguments.jobs, arguments.seed, now, arguments.days, tuple(arguments.locations), arguments.error_share
)
world.reading, world.bounds, world.order = arguments.reading, arguments.bounds, arguments.order
world.primary_location = arguments.primary_location
world.late = timedelta(hours=arguments.late_hours)
simulator = Simulator(
    world,
    dialect,
    behavior,
    generations=tuple(arguments.generations),
    latency=arguments.latency,
    per_second=arguments.per_second,
    retry_after=arguments.retry_after,
    gzip=arguments.gzip,
    fault=fault,
    drift=drift,
    port=arguments.port,
)
if arguments.jobs <= WARMED:
    simulator.warm()
gc.freeze()
gc.enable()
with simulator:
    access = {
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "client_id": simulator.client_id,
        "client_secret": simulator.client_secret,
    }
    print(json.dumps(access), flush=True)
    for _ in sys.stdin:
        # The response to each line of standard input is the number of requests so far.
        print(json.dumps({"requests": len(simulator.asked), "most_in_flight": simulator.most_in_flight}), flush=True)
