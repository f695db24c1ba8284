"""Keep dlt's own lines out of the log of an orchestrator."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dlt


@contextmanager
def quiet_dlt() -> Iterator[None]:
    """Drop dlt's log records below critical, unless the configuration sets ``runtime.log_level``.

    dlt logs failures with their tracebacks before it raises them; they are long and may contain secrets. dlt sets the
    level of its logger with each new pipeline, so a filter drops the records.
    """
    logger = logging.getLogger("dlt")
    filters = [_is_critical] if dlt.config.get("runtime.log_level") is None else []
    for each in filters:
        logger.addFilter(each)
    try:
        yield
    finally:
        for each in filters:
            logger.removeFilter(each)


def _is_critical(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL
