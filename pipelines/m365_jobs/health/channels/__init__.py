"""List the delivery channels of alerts. A channel is a file here and an entry in ``CHANNELS``."""

from __future__ import annotations

from m365_jobs.health.channels.base import Channel
from m365_jobs.health.channels.email import Email
from m365_jobs.health.channels.slack import Slack
from m365_jobs.health.channels.teams import Teams
from m365_jobs.health.channels.ticket import Ticket
from m365_jobs.health.channels.webhook import Webhook

CHANNELS: dict[str, type[Channel]] = {channel.type: channel for channel in (Webhook, Slack, Teams, Email, Ticket)}
"""Every channel type, by the name that the configuration uses."""
