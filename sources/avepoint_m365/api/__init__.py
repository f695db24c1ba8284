"""HTTP: the client, access tokens, rate limits, pagination and the reading of response envelopes."""
