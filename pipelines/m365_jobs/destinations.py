"""Import path of the preparation of a source for a destination; see ``m365_jobs.warehouse.destinations.base``."""

from m365_jobs.warehouse.destinations.base import prepare

__all__ = ["prepare"]
