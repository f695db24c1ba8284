"""The warehouse: opening it, reading it, and what its destination can do."""
