"""Import path of the preparation of a source for a destination; see ``m365_jobs.warehouse.contract``."""

from m365_jobs.warehouse.contract import prepare

__all__ = ["prepare"]
