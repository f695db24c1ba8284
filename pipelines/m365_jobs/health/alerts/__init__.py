"""Alerts open, get worse, are acknowledged and close. The outbox delivers each change once per channel."""
