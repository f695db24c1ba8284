"""JSON of the API to Arrow columns."""
