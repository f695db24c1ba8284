"""Open, escalate, acknowledge and close alerts. The outbox delivers each change once per channel."""
