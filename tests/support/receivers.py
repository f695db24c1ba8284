"""Run local receivers of alerts: an HTTP server and a mail server with STARTTLS; both store their messages."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

SECRET = "T000-very-secret"


@dataclass
class Request:
    """Hold a message that a receiver got."""

    headers: dict[str, str]
    body: str

    @property
    def document(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class HttpReceiver:
    """Hold the requests to a webhook on loopback."""

    url: str = ""
    status: int = 200
    """Status of its answers; with 0 it does not answer."""
    refused: dict[str, int] = field(default_factory=dict)
    """Part of a body to the status of the answer to it."""
    retry_after: str = ""
    """The header ``Retry-After`` of answers that are no success; none if empty."""
    attempts: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    """Requests that it has accepted, or has not answered."""

    @property
    def messages(self) -> list[str]:
        """Return the texts of Slack messages."""
        return [request.document["text"] for request in self.requests]

    def lines(self) -> list[str]:
        """Return the lines of the last Slack message."""
        return self.messages[-1].splitlines()


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            content = self.rfile.read(length)
            if len(content) < length:
                return  # The sender was killed while it sent, so no receiver accepts the message.
            body = content.decode()
            receiver.attempts += 1
            status = next((code for part, code in receiver.refused.items() if part in body), receiver.status)
            if status in (0, 200):
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Request(headers, body))
            receiver.asked.set()
            if not status:
                receiver.gone.wait()
                return
            self.send_response(status)
            if receiver.retry_after and status != 200:
                self.send_header("Retry-After", receiver.retry_after)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.gone.set()
            server.shutdown()
            thread.join()


@dataclass
class MailServer:
    """Store the messages of a mail server that requires STARTTLS and a login."""

    port: int
    ca_file: Path
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    def channel(self, password: str) -> dict[str, Any]:
        """Return the settings of an e-mail channel that uses this server, without its certificate authority."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "robot",
            "password": password,
            "sender": "jobs@contoso.com",
            "recipients": ["ada@contoso.com", "noc@contoso.com"],
        }

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        assert session.ssl is not None
        assert session.authenticated
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.messages.append(parsed)
        self.recipients.append(envelope.rcpt_tos)
        return "250 accepted"


@contextmanager
def mail_server(folder: Path, password: str) -> Iterator[MailServer]:
    certificate_file, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key)
    keeper = MailServer(0, certificate_file)

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"robot", password.encode()))

    controller = Controller(
        keeper,
        hostname="127.0.0.1",
        port=_free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=check,
    )
    keeper.port = controller.port
    controller.start()
    try:
        yield keeper
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certificate(folder: Path, *, as_rsa: bool = False) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key; return the paths of both."""
    key = rsa.generate_private_key(65537, 2048) if as_rsa else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "mail.pem", folder / "mail.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths
