"""Send a signal to a load while it waits for the API."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from avepoint_simulator import Asked, Simulator

from tests.support.cli import Cli


def load_until_signal(
    simulator: Simulator,
    user: Cli,
    number: signal.Signals,
    *options: str,
    withheld: Callable[[Asked], bool] = lambda asked: True,
) -> tuple[int, str]:
    """Start a load, and send it the signal during a withheld request; return its exit code and its messages.

    Withheld requests get no response until the load has ended.
    """
    asked, ended = threading.Event(), threading.Event()

    def hold(request: Asked) -> None:
        if withheld(request):
            asked.set()
            ended.wait(120)

    simulator.fault = hold
    with subprocess.Popen(
        [sys.executable, "-m", "m365_jobs", "load", *options],
        cwd=user.folder,
        env=user.environment,
        stderr=subprocess.PIPE,
        text=True,
        # Children of a shell in the background ignore SIGINT, so this process resets it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as load:
        try:
            assert asked.wait(60)
            load.send_signal(number)
            # Less than the time after which a request counts as lost.
            _, message = load.communicate(timeout=50)
        finally:
            load.kill()
            ended.set()
    simulator.fault = None
    return load.returncode, message
