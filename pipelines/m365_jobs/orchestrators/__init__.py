"""Connect loads with Airflow, Dagster and operating system schedulers."""
