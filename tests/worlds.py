"""Servers whose API is not what the documentation says."""

from avepoint_simulator import World


def ignore(world: World, argument: int) -> None:
    """Has the server pay no heed to one argument of a selection: 0 is the object type, 1 the job type."""
    select = world.select
    world.select = lambda *given: select(*given[:argument], 0, *given[argument + 1 :])  # type: ignore[method-assign]
