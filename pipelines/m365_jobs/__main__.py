"""Run the command line with ``python -m m365_jobs``."""

from m365_jobs.cli.app import main

main()
