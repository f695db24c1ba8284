"""Airflow, Dagster and operating system schedulers."""
