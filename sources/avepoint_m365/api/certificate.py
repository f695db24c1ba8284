"""Authenticate with a certificate, as the vendor recommends.

This module is imported only for a configured certificate, since its libraries need 0.1 s to import.
"""

from __future__ import annotations

import base64
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from avepoint_m365.exceptions import ConfigurationError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 600
"""Seconds for which a signed assertion is valid; the identity service accepts at most an hour."""


@dataclass(frozen=True)
class Certificate:
    """Hold a client id and the certificate, with its private key, that the registration trusts."""

    client_id: str
    private_key: RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate = field(repr=False)

    @property
    def expires_at(self) -> datetime:
        """Return when the certificate expires (UTC)."""
        return self.certificate.not_valid_after_utc

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return no text: each assertion is signed for one request and expires soon."""
        return ()

    def proof(self, token_url: str) -> dict[str, str]:
        """Return a freshly signed assertion (RS256) that names the certificate by its SHA-1 thumbprint."""
        # As the vendor's .NET sample: a SHA-1 thumbprint as x5t in base64url, and as kid in hexadecimal.
        thumbprint = self.certificate.fingerprint(hashes.SHA1())
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": token_url,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "exp": now + ASSERTION_LIFETIME,
        }
        headers = {
            "x5t": base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode(),
            "kid": thumbprint.hex().upper(),
        }
        assertion = jwt.encode(claims, self.private_key, algorithm="RS256", headers=headers)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def load_certificate(client_id: str, path: Path, password: str | None) -> Certificate:
    """Return the certificate of a .pfx (PKCS #12) or a .pem that contains certificate and private key.

    Raises:
        ConfigurationError: with the path of the file and the problem, without its content.
    """
    setting = f"credentials.certificate_path = {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{setting}: the file cannot be read ({error.strerror}).") from error
    secret = password.encode() if password else None
    try:
        key, certificate = _read_pem(content, secret) if b"-----BEGIN" in content else _read_pfx(content, secret)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{setting}: it could not be opened. It must be a .pfx or .pem with certificate and private key, and "
            "credentials.certificate_password must be its password (and unset if it has none)."
        ) from error
    if certificate is None or not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"{setting}: it must hold a certificate and its RSA private key.")
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{setting}: the private key does not belong to the certificate.")
    return Certificate(client_id, key, certificate)


def _read_pfx(content: bytes, password: bytes | None) -> tuple[object, x509.Certificate | None]:
    key, certificate, _ = pkcs12.load_key_and_certificates(content, password)
    return key, certificate


def _read_pem(content: bytes, password: bytes | None) -> tuple[object, x509.Certificate | None]:
    key = serialization.load_pem_private_key(content, password)
    public = key.public_key()
    chain = x509.load_pem_x509_certificates(content)
    # A file may contain the chain in any order. The client certificate is the one of the private key.
    return key, next((certificate for certificate in chain if certificate.public_key() == public), chain[0])
