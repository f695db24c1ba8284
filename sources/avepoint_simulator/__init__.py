"""A local server that behaves as the vendor documents its API, for the demo, the tests and the benchmarks."""

from avepoint_simulator.dialect import Dialect
from avepoint_simulator.server import Answer, Asked, Simulator
from avepoint_simulator.world import ID_PATTERN, JobError, SimulatedJob, World, make_world

__all__ = ["ID_PATTERN", "Answer", "Asked", "Dialect", "JobError", "SimulatedJob", "Simulator", "World", "make_world"]
