"""Health, status and preflight checks, and where their results are sent."""
