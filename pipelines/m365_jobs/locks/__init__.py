"""Lock tenants: two workers never load one tenant at once."""
