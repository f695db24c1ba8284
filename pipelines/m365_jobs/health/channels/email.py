"""Send e-mail: one message for each run, by SMTP over TLS. Reports are sent as attachments the same way."""

from __future__ import annotations

import json
import mimetypes
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import ClassVar

from avepoint_m365.exceptions import ConfigurationError

from m365_jobs.health.alerts.models import Event
from m365_jobs.health.channels import digest
from m365_jobs.health.channels.base import Channel, ChannelSettings, DeliveryError, Setting

SECURITY_MODES = ("starttls", "tls")
"""Values of the setting ``security``."""


class Email(Channel):
    """Send a plain text message to one or more recipients."""

    type = "email"
    settings: ClassVar[Mapping[str, Setting]] = {
        "host": Setting("SMTP server", required=True),
        "port": Setting("its port", int, 587),
        "security": Setting("`starttls`, or `tls` from the first byte on (port 465)", str, "starttls"),
        "user": Setting("account, if the server asks for one"),
        "password": Setting("its password", secret=True),
        "sender": Setting("address of the sender", required=True),
        "recipients": Setting("addresses of the recipients", list, required=True),
        "ca_file": Setting("certificates to verify the server with, beside the system's"),
    }

    def __init__(self, settings: ChannelSettings) -> None:
        super().__init__(settings)
        if settings.text("security") not in SECURITY_MODES:
            raise ConfigurationError(
                f"alerts.channels.{settings.name}.security = {settings.text('security')!r} is unknown. "
                "Use starttls or tls: messages are sent over TLS only."
            )

    def body(self, delivery_id: str, events: Sequence[Event], healthy: bool) -> str:
        """Return subject and text as JSON."""
        counts = [
            f"{len(group.events) + len(group.others)} {group.title.lower()}" for group in digest.group_events(events)
        ]
        subject = f"{digest.headline(healthy)} ({', '.join(counts)})"
        return json.dumps({"subject": subject, "text": digest.plain_text(events, healthy)})

    def send(self, delivery_id: str, body: str) -> None:
        """Send the message."""
        content = json.loads(body)
        message = self._message(delivery_id, content["subject"])
        message.set_content(content["text"])
        self._send(message)

    def send_file(self, delivery_id: str, subject: str, text: str, path: Path) -> None:
        """Send a file as an attachment.

        Raises:
            DeliveryError: if the server does not accept it.
        """
        message = self._message(delivery_id, subject)
        message.set_content(text)
        main_type, _, subtype = (mimetypes.guess_type(path.name)[0] or "application/octet-stream").partition("/")
        message.add_attachment(path.read_bytes(), maintype=main_type, subtype=subtype, filename=path.name)
        self._send(message)

    def _message(self, delivery_id: str, subject: str) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = subject
        message["From"] = self.config.text("sender")
        message["To"] = ", ".join(str(address) for address in self.config.values["recipients"])
        message["Date"] = formatdate(usegmt=True)
        # The same id in a repetition, so that a mail server can discard it.
        message["Message-ID"] = f"<{delivery_id}@m365-jobs.invalid>"
        message["Auto-Submitted"] = "auto-generated"
        return message

    def _send(self, message: EmailMessage) -> None:
        host, port = self.config.text("host"), int(self.config.values["port"])
        try:
            context = ssl.create_default_context()
            if self.config.text("ca_file"):
                context.load_verify_locations(self.config.text("ca_file"))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            with self._connect(host, port, context) as server:
                if self.config.text("user"):
                    server.login(self.config.text("user"), self.config.text("password"))
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryError(
                f"The mail server of channel {self.name} did not accept the message ({_reason(error)}). "
                "Check host, port, account and certificate.",
                is_refused=isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500,
            ) from None

    def _connect(self, host: str, port: int, context: ssl.SSLContext) -> smtplib.SMTP:
        timeout = self.config.timeout_seconds
        if self.config.text("security") == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
        server = smtplib.SMTP(host, port, timeout=timeout)
        try:
            # Raises if the server has no TLS, so that nothing is sent in plain text.
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def _reason(error: Exception) -> str:
    """Return the reason of a failure, without the addresses that the text of the error may contain."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "it refused all recipients"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    return type(error).__name__
