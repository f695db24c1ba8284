"""Open the warehouse, read it, and know what its destination can do."""
