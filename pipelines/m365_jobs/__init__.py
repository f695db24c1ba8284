"""Provide the application: pipeline, command line, orchestrators, health and reports."""
