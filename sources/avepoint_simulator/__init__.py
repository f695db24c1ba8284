"""Run a local server that behaves as the vendor documents its API, for the demo, the tests and the benchmarks."""

from avepoint_simulator.behavior import ServerBehavior
from avepoint_simulator.faults import FAULTS, Answer, Asked, Drift, Fault, bomb, every, throttled_until
from avepoint_simulator.generator import ID_PATTERN, make_world
from avepoint_simulator.response_format import Dialect
from avepoint_simulator.server import JOBS_SCOPE, SCOPES, Simulator
from avepoint_simulator.tenant import JobError, SimulatedJob, World

__all__ = [
    "FAULTS",
    "ID_PATTERN",
    "JOBS_SCOPE",
    "SCOPES",
    "Answer",
    "Asked",
    "Dialect",
    "Drift",
    "Fault",
    "JobError",
    "ServerBehavior",
    "SimulatedJob",
    "Simulator",
    "World",
    "bomb",
    "every",
    "make_world",
    "throttled_until",
]
