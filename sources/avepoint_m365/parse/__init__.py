"""Parse JSON of the API into Arrow columns."""
