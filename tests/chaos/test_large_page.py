"""A page of a gigabyte does not fill the memory."""

from collections.abc import Callable

from avepoint_simulator import Simulator, bomb

from tests.support.cli import Cli
from tests.support.memory import peak_megabytes

Sit = Callable[[Simulator], Cli]


def test_a_page_of_a_gigabyte_takes_less_than_600_mb(simulator: Simulator, desk: Sit) -> None:
    user = desk(simulator)
    simulator.fault = lambda asked: bomb(1_000)
    code, message, megabytes = peak_megabytes(user, "load")
    assert (code, "sent a page of more than 128 MB" in message) == (1, True), message
    assert megabytes < 600
