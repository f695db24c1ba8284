"""Read the configuration of tenants, protection and credentials."""
