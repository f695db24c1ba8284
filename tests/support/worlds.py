"""How a source reaches a simulated server, and servers whose API is not what the documentation says."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from avepoint_simulator import SimulatedJob, Simulator, World


def settings(simulator: Simulator, **more: Any) -> dict[str, Any]:
    """Settings of the source for a simulator."""
    return {
        "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "include": "none",
        **more,
    }


class Filters(NamedTuple):
    """The arguments of ``World.select``, with its defaults."""

    object_type: int = 0
    job_type: int = 0
    job_state: int = 0
    location: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def reinterpret(world: World, change: Callable[[Filters], Filters]) -> None:
    """Has the server select by what ``change`` makes of the arguments of a selection."""
    select = world.select

    def changed(*given: Any, **named: Any) -> list[SimulatedJob]:
        return select(*change(Filters(*given, **named)))

    world.select = changed  # type: ignore[method-assign]


def ignore(world: World, argument: int) -> None:
    """Has the server pay no heed to one argument of a selection: 0 is the object type, 1 the job type."""
    reinterpret(world, lambda filters: filters._replace(job_type=0) if argument else filters._replace(object_type=0))
