"""Errors as one readable paragraph with the cure."""
