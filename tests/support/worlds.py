"""Provide settings of the source for a simulator, and servers whose API differs from the documentation."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from avepoint_simulator import SimulatedJob, Simulator, World


def settings(simulator: Simulator, **more: Any) -> dict[str, Any]:
    """Return the settings of the source for a simulator."""
    return {
        "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "include": "none",
        **more,
    }


class Filters(NamedTuple):
    """Hold the arguments of ``World.select`` with its defaults."""

    object_type: int = 0
    job_type: int = 0
    job_state: int = 0
    location: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def reinterpret(world: World, change: Callable[[Filters], Filters]) -> None:
    """Let the server select jobs by the arguments that ``change`` returns."""
    select = world.select

    def changed(*given: Any, **named: Any) -> list[SimulatedJob]:
        return select(*change(Filters(*given, **named)))

    world.select = changed  # type: ignore[method-assign]


def ignore(world: World, argument: int) -> None:
    """Let the server ignore an argument of a selection: 0 is the object type, 1 the job type."""
    reinterpret(world, lambda filters: filters._replace(job_type=0) if argument else filters._replace(object_type=0))


def include_sibling(world: World, argument: str, value: int, sibling: int) -> None:
    """Let the server return the jobs of a sibling as well if it receives a value of a filter."""
    select = world.select

    def both(*given: Any, **named: Any) -> list[SimulatedJob]:
        filters = Filters(*given, **named)
        wanted = {getattr(filters, argument), *([sibling] if getattr(filters, argument) == value else [])}
        everything = select(
            *(filters._replace(object_type=0) if argument == "object_type" else filters._replace(job_type=0))
        )
        return [job for job in everything if 0 in wanted or getattr(job, argument) in wanted]

    world.select = both  # type: ignore[method-assign]
