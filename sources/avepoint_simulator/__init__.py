"""A local server that behaves as the vendor documents its API."""
