"""Locks that keep two workers from loading one tenant at once."""
