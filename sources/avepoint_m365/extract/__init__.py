"""Reading time windows completely, and proving it."""
