"""The dlt source for jobs of AvePoint Cloud Backup for Microsoft 365."""
