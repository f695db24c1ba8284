"""Describe what loads do differently for each kind of destination."""
