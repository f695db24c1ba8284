"""Load the jobs of AvePoint Cloud Backup for Microsoft 365: the example that ``dlt init`` copies."""

import dlt
from avepoint_m365 import avepoint_m365


def load_avepoint_m365() -> None:
    """Load a tenant: the whole history first, what is new from then on."""
    pipeline = dlt.pipeline("avepoint_m365", destination="duckdb", dataset_name="avepoint_m365_data")
    print(pipeline.run(avepoint_m365()))


if __name__ == "__main__":
    load_avepoint_m365()
