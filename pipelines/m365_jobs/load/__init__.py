"""Loading one tenant or many."""
