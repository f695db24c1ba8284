"""Lock tenants, so that two workers never load one tenant at once."""
