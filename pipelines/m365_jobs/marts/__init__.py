"""Define the marts: views on the tables of the warehouse, each a plain SQL file."""

from m365_jobs.marts.publish import create_views, update_views

__all__ = ["create_views", "update_views"]
