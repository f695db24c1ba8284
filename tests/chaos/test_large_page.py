"""Test that loads of large pages need little memory."""

from avepoint_simulator import JobError, Simulator, bomb, make_world

from tests.support.cli import NOW, NewUser
from tests.support.memory import peak_megabytes
from tests.support.truth import in_warehouse, on_server


def test_a_page_of_a_gigabyte_takes_less_than_600_mb(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    simulator.fault = lambda asked: bomb(1_000)
    code, message, megabytes = peak_megabytes(user, "load")
    assert (code, "sent a page of more than 128 MB" in message) == (1, True), message
    assert megabytes < 600


def test_a_page_of_100_mb_is_loaded_in_less_than_600_mb(new_user: NewUser) -> None:
    world = make_world(400, seed=7, now=NOW, days=10)
    for job in list(world.visible()):
        texts = (f"{job.id} {number} ".ljust(200, "x") for number in range(900))
        world.change(job.id, errors=tuple(JobError(text, True, "https://support.example", 1) for text in texts))
    with Simulator(world) as simulator:
        user = new_user(simulator)
        code, message, megabytes = peak_megabytes(user, "load")
    assert code == 0, message
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(world, False)
    assert megabytes < 600
