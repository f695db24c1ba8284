"""Import path of the Dagster definitions; see ``m365_jobs.orchestrators.dagster``."""

from m365_jobs.orchestrators.dagster import definitions, defs

__all__ = ["definitions", "defs"]
