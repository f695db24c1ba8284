"""Test authentication: secrets, certificates in each form, and one token for all threads."""

import base64
import logging
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from avepoint_m365.api.auth import Secret
from avepoint_m365.api.certificate import Certificate, load_certificate
from avepoint_m365.api.client import JobsClient
from avepoint_m365.config import ServiceUrls
from avepoint_m365.constants import JOBS_SCOPE
from avepoint_m365.credentials import AvePointCredentials
from avepoint_m365.exceptions import AuthenticationError, ConfigurationError
from avepoint_simulator import Simulator, make_world
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID


@dataclass
class Made:
    key: Any
    certificate: x509.Certificate


def make(key: Any) -> Made:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "m365-jobs tests")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))
    return Made(key, builder.sign(key, hashes.SHA256()))


@pytest.fixture(scope="module")
def made() -> Made:
    return make(rsa.generate_private_key(65537, 2048))


def write(folder: Path, made: Made, form: str, password: str | None) -> Path:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    path = folder / f"certificate.{form}"
    if form == "pfx":
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", made.key, made.certificate, None, encryption))
    else:
        key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        path.write_bytes(made.certificate.public_bytes(Encoding.PEM) + key)
    return path


@pytest.mark.parametrize("password", [None, "päss wörd"])
@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_certificate_authenticates_over_http(tmp_path: Path, made: Made, form: str, password: str | None) -> None:
    with Simulator(make_world(3), public_key=made.key.public_key()) as simulator:
        identity = load_certificate(simulator.client_id, write(tmp_path, made, form, password), password)
        client = JobsClient(ServiceUrls(simulator.base_url, simulator.token_url), identity, "jobs", 2)
        assert len(client.request_page({}).info.ids) == 3
        assert identity.expires_at == made.certificate.not_valid_after_utc


def test_the_assertion_is_what_the_vendor_documents(made: Made) -> None:
    identity = Certificate("client", made.key, made.certificate)
    url = "https://identity.avepointonlineservices.com/connect/token"
    proofs = [identity.proof(url)["client_assertion"] for _ in range(2)]
    header = jwt.get_unverified_header(proofs[0])
    thumbprint = made.certificate.fingerprint(hashes.SHA1())
    assert header["alg"] == "RS256"
    assert header["x5t"] == base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
    assert header["kid"] == thumbprint.hex().upper()
    claims = [jwt.decode(proof, made.key.public_key(), algorithms=["RS256"], audience=url) for proof in proofs]
    assert {(claim["iss"], claim["sub"], claim["aud"]) for claim in claims} == {("client", "client", url)}
    assert 0 < claims[0]["exp"] - claims[0]["nbf"] <= 3600
    assert claims[0]["jti"] != claims[1]["jti"]
    assert uuid.UUID(claims[0]["jti"])


def test_an_unusable_certificate_is_reported_without_its_password(tmp_path: Path, made: Made) -> None:
    password, other = uuid.uuid4().hex, make(rsa.generate_private_key(65537, 2048))
    curve = make(ec.generate_private_key(ec.SECP256R1()))
    alone = tmp_path / "alone.pem"
    alone.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    broken = [
        (tmp_path / "missing.pfx", None),
        (write(tmp_path, made, "pfx", password), "not " + password),
        (alone, None),
    ]
    for path, given in broken:
        with pytest.raises(ConfigurationError, match=r"credentials\.certificate_path") as caught:
            load_certificate("client", path, given)
        assert password not in str(caught.value)
    pem = write(tmp_path, made, "pem", password)
    for given in (None, "wrong"):
        with pytest.raises(ConfigurationError, match="could not be opened"):
            load_certificate("client", pem, given)
    with pytest.raises(ConfigurationError, match="does not belong"):
        load_certificate("client", write(tmp_path, Made(other.key, made.certificate), "pem", None), None)
    with pytest.raises(ConfigurationError, match="RSA"):
        load_certificate("client", write(tmp_path, curve, "pem", None), None)


def connect(simulator: Simulator, concurrency: int = 16) -> JobsClient:
    identity = Secret(simulator.client_id, simulator.client_secret)
    return JobsClient(ServiceUrls(simulator.base_url, simulator.token_url), identity, "jobs", concurrency)


def together(count: int, work: Any) -> list[Any]:
    barrier = threading.Barrier(count)

    def ask(_: int) -> Any:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_threads_share_one_token_and_renew_it_once() -> None:
    with Simulator(make_world(3)) as simulator:
        client = connect(simulator)
        together(16, lambda: client.request_page({}))
        assert simulator.token_requests == 1
        simulator.expire_tokens()
        together(16, lambda: client.request_page({}))
        assert simulator.token_requests == 2


def test_a_token_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("avepoint_m365.api.auth.time.monotonic", lambda: clock[0])
    with Simulator(make_world(3), token_lifetime=3600) as simulator:
        client = connect(simulator)
        client.authenticate()
        clock[0] += 3600 - 121
        client.authenticate()
        assert simulator.token_requests == 1
        clock[0] += 2
        client.authenticate()
        assert simulator.token_requests == 2


def test_a_second_401_is_the_end() -> None:
    from avepoint_simulator import Answer

    with Simulator(make_world(3), fault=lambda asked: Answer(401)) as simulator:
        with pytest.raises(AuthenticationError, match="refuses a new token as well"):
            connect(simulator).request_page({})
        assert (len(simulator.asked), simulator.token_requests) == (2, 2)


def test_a_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Simulator(make_world(3)) as simulator:
        assert len(connect(simulator).request_page({}).info.ids) == 3


def test_no_secret_or_token_shows_in_logs_or_texts(caplog: pytest.LogCaptureFixture, made: Made) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []
    with Simulator(make_world(3)) as simulator:
        client = connect(simulator)
        client.request_page({})
        tokens.append(client._tokens.token(JOBS_SCOPE))
        shown = [
            repr(Secret("client", simulator.client_secret)),
            repr(client),
            repr(Certificate("c", made.key, made.certificate)),
        ]
        simulator.client_secret = "changed"
        simulator.expire_tokens()
        with pytest.raises(AuthenticationError) as caught:
            client.request_page({})
        error: BaseException | None = caught.value
        while error is not None:
            shown.append(repr(error))
            error = error.__cause__ or error.__context__
    everything = caplog.text + "".join(shown)
    credential = client._tokens._credential
    assert isinstance(credential, Secret)
    for secret in (*tokens, credential.client_secret):
        assert secret not in everything


def test_without_the_extra_a_certificate_is_refused_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "avepoint_m365.api.certificate")
    monkeypatch.setitem(sys.modules, "jwt", None)
    credentials = AvePointCredentials()
    credentials.client_id, credentials.certificate_path = "client", str(tmp_path / "any.pfx")
    with pytest.raises(ConfigurationError) as raised:
        credentials.identity()
    assert str(raised.value) == (
        "sources.avepoint_m365.credentials.certificate_path: jwt is not installed. "
        "Run: pip install 'avepoint-m365-jobs[certificate]'"
    )
