"""Run ``m365-jobs``, also as ``python -m m365_jobs``."""

from m365_jobs.cli.app import main
from m365_jobs.cli.lifetime import run_process


def run_program() -> None:
    """Run the command line as a process of its own."""
    run_process(main)


if __name__ == "__main__":
    run_program()
