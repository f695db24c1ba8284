"""Load one tenant or many."""
