"""Read the companions of the jobs: licences, unusual activity, the backup schedule and the retention policy."""
