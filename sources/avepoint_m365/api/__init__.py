"""Speak HTTP with the API: client, access tokens, rate limit, pagination and response envelopes."""
