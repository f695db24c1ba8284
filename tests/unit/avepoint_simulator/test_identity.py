"""Test access tokens: which clients get one, for which scope, and for how long."""

import time
import uuid
from typing import Any

import jwt
import pytest
import requests
from avepoint_simulator import JOBS_SCOPE, SCOPES, Simulator, make_world
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.avepoint_simulator.conftest import Api, token

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def keys() -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(65537, 2048) for _ in range(2)]


def assertion(simulator: Simulator, key: rsa.RSAPrivateKey, x5t: bool = True, **changes: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {
        "iss": simulator.client_id,
        "sub": simulator.client_id,
        "aud": simulator.token_url,
        "jti": uuid.uuid4().hex,
        "nbf": now,
        "exp": now + 3600,
        **changes,
    }
    signed = jwt.encode(claims, key, "RS256", {"kid": "k", **({"x5t": "t"} if x5t else {})})
    proof = {"client_assertion_type": JWT_BEARER, "client_assertion": signed}
    return {"grant_type": "client_credentials", "scope": JOBS_SCOPE, **proof}


def ask(simulator: Simulator, form: dict[str, str]) -> requests.Response:
    return requests.post(simulator.token_url, data=form, timeout=30)


def test_a_secret_gets_a_token_with_its_scope() -> None:
    with Simulator(make_world(3)) as simulator:
        answer = token(simulator)
        granted = answer.json()
        assert answer.status_code == 200
        assert granted.pop("access_token")
        assert granted == {"expires_in": 3600, "token_type": "Bearer", "scope": JOBS_SCOPE}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "another"}, "invalid_client"),
        ({"client_assertion": "nonsense"}, "invalid_client"),
        ({"scope": "microsoft365backup.restore.readwrite.all"}, "invalid_scope"),
        ({"scope": " ".join(SCOPES[:2])}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_form_is_refused_with_the_error_of_oauth(form: dict[str, str], error: str) -> None:
    with Simulator(make_world(3)) as simulator:
        answer = token(simulator, **form)
        assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_a_signed_assertion_gets_a_token_once(keys: list[rsa.RSAPrivateKey]) -> None:
    with Simulator(make_world(3), public_key=keys[0].public_key()) as simulator:
        form = assertion(simulator, keys[0])
        assert ask(simulator, form).status_code == 200
        assert ask(simulator, form).json() == {"error": "invalid_client"}
        assert ask(simulator, assertion(simulator, keys[0])).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"sub": "another"},
        {"exp": 7300},
        {"exp": -60},
        {"jti": None},
        {"x5t": False},
    ],
    ids=str,
)
def test_an_assertion_that_is_not_as_documented_is_refused(
    keys: list[rsa.RSAPrivateKey], changes: dict[str, Any]
) -> None:
    if "exp" in changes:
        changes = {"exp": int(time.time()) + changes["exp"]}
    with Simulator(make_world(3), public_key=keys[0].public_key()) as simulator:
        assert ask(simulator, assertion(simulator, keys[0], **changes)).json() == {"error": "invalid_client"}


def test_another_key_is_refused(keys: list[rsa.RSAPrivateKey]) -> None:
    with Simulator(make_world(3), public_key=keys[0].public_key()) as simulator:
        assert ask(simulator, assertion(simulator, keys[1])).json() == {"error": "invalid_client"}


def test_tokens_expire_after_their_lifetime_or_on_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = [0.0]
    clock = time.monotonic
    monkeypatch.setattr("avepoint_simulator.tokens.time.monotonic", lambda: clock() + ahead[0])
    with Simulator(make_world(3), token_lifetime=600) as simulator:
        api = Api(simulator)
        ahead[0] = 590
        assert api.get().status_code == 200
        ahead[0] = 601
        assert api.get().status_code == 401
        api = Api(simulator)
        assert api.get().status_code == 200
        simulator.expire_tokens()
        assert api.get().status_code == 401


def test_a_token_opens_what_its_scope_names_and_nothing_else() -> None:
    # Both ends of the range are required.
    activity = "cloudbackupunusualactivitydata?startTime=2026-01-14&finishTime=2026-01-15"
    paths = {
        "jobs": JOBS_SCOPE,
        "cloudbackupjobs": JOBS_SCOPE,
        "cloudbackuplicenseconsumption": "microsoft365backup.subscriptionInfo.read.all",
        activity: "microsoft365backup.unusualActivity.read.all",
        "settings/backup/frequency": "microsoft365backup.settings.read.all",
        "settings/retention-policy": "microsoft365backup.settings.read.all",
    }
    with Simulator(make_world(3)) as simulator:
        api = Api(simulator)
        for scope in SCOPES:
            api.session.headers["Authorization"] = f"Bearer {token(simulator, scope=scope).json()['access_token']}"
            answers = {path: api.get(path).status_code for path in paths}
            assert answers == {path: 200 if needed == scope else 403 for path, needed in paths.items()}
        del api.session.headers["Authorization"]
        assert {api.get(path).status_code for path in paths} == {401}


def test_a_permission_that_is_not_granted_leaves_the_others() -> None:
    with Simulator(make_world(3), scopes=SCOPES[1:]) as simulator:
        assert token(simulator).json() == {"error": "invalid_scope"}
        assert token(simulator, scope=SCOPES[1]).status_code == 200
