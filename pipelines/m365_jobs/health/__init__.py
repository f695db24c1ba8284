"""Evaluate health, status and preflight checks, and send their results."""
