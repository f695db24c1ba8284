"""Configuration of tenants, protection and credentials."""
