"""Read time windows completely, and prove it."""
