"""Import path of the Airflow DAG factory; see ``m365_jobs.orchestrators.airflow``."""

from m365_jobs.orchestrators.airflow import load_dag

__all__ = ["load_dag"]
