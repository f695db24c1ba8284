"""How a source reaches a simulated server, and servers whose API is not what the documentation says."""

from typing import Any

from avepoint_simulator import Simulator, World


def settings(simulator: Simulator, **more: Any) -> dict[str, Any]:
    """Settings of the source for a simulator."""
    return {
        "credentials": {"client_id": simulator.client_id, "client_secret": simulator.client_secret},
        "base_url": simulator.base_url,
        "token_url": simulator.token_url,
        "include": "none",
        **more,
    }


def ignore(world: World, argument: int) -> None:
    """Has the server pay no heed to one argument of a selection: 0 is the object type, 1 the job type."""
    select = world.select
    world.select = lambda *given: select(*given[:argument], 0, *given[argument + 1 :])  # type: ignore[method-assign]
