"""Send a signal to a load while it waits for the API."""

import signal
import subprocess
import sys
import threading

from avepoint_simulator import Answer, Simulator

from tests.support.cli import Cli


def load_until_signal(simulator: Simulator, user: Cli, number: signal.Signals) -> tuple[int, str]:
    """Start a load, and send it the signal during its first request; return its exit code and its messages."""
    asked, go_on = threading.Event(), threading.Event()

    def hold(request: object) -> Answer | None:
        asked.set()
        go_on.wait(60)
        return None

    simulator.fault = hold
    with subprocess.Popen(
        [sys.executable, "-m", "m365_jobs", "load"],
        cwd=user.folder,
        env=user.environment,
        stderr=subprocess.PIPE,
        text=True,
        # Children of a shell in the background ignore SIGINT, so this process resets it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as load:
        assert asked.wait(60)
        load.send_signal(number)
        go_on.set()
        _, message = load.communicate(timeout=60)
    simulator.fault = None
    return load.returncode, message
