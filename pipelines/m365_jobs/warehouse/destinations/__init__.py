"""Kinds of destinations: what loads do differently for each."""
