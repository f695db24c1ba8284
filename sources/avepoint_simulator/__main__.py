"""``python -m avepoint_simulator``: serves until its standard input closes; says where as one line of JSON."""

import argparse
import json
import sys
from datetime import UTC, datetime

from avepoint_simulator import Simulator, make_world

parser = argparse.ArgumentParser("avepoint_simulator", description=__doc__)
parser.add_argument("--jobs", type=int, default=5000)
parser.add_argument("--days", type=float, default=30, help="the jobs start within so many days before now")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--locations", nargs="*", default=[])
parser.add_argument("--latency", type=float, default=0, help="seconds each request takes at least")
parser.add_argument("--per-second", type=float, help="requests a second beyond which it answers 429")
parser.add_argument("--port", type=int, default=0)
given = parser.parse_args()

now = datetime.now(UTC).replace(microsecond=0)
world = make_world(given.jobs, given.seed, now, given.days, tuple(given.locations))
with Simulator(world, latency=given.latency, per_second=given.per_second, port=given.port) as simulator:
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
