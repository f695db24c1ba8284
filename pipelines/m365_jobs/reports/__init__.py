"""Show the warehouse as dashboard, report and image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from m365_jobs.errors.exceptions import UsageError

PACKAGES = ("starlette", "jinja2", "markupsafe", "uvicorn", "weasyprint", "pypdfium2", "PIL")
"""Packages of the extra ``reports``."""


@contextmanager
def needs_extra() -> Iterator[None]:
    """Report a missing package of the extra ``reports``, with the command that installs it.

    Raises:
        UsageError: if a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise UsageError(
            f"Package {error.name} not found: dashboard and reports need the extra reports. "
            "Install it: pip install 'avepoint-m365-jobs[reports]', in a clone make setup."
        ) from error
