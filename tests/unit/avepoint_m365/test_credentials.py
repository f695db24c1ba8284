"""Test credentials that the configuration gives as one text, as vaults store them."""

import json

import pytest
from avepoint_m365.credentials import AvePointCredentials
from dlt.common.configuration.exceptions import InvalidNativeValue
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, configspec
from m365_jobs.errors.explain import explain

VARIABLE = "SOURCES__AVEPOINT_M365__CREDENTIALS"
SECRET = "very-secret"


@configspec
class Settings(BaseConfiguration):
    credentials: AvePointCredentials = None  # type: ignore[assignment]


def resolved() -> AvePointCredentials:
    return resolve_configuration(Settings(), sections=("sources", "avepoint_m365")).credentials


def test_credentials_may_be_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"client_id": "me", "client_secret": SECRET}))
    credentials = resolved()
    assert (credentials.client_id, credentials.client_secret) == ("me", SECRET)


def test_a_variable_completes_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"client_id": "me"}))
    monkeypatch.setenv(f"{VARIABLE}__CLIENT_SECRET", SECRET)
    credentials = resolved()
    assert (credentials.client_id, credentials.client_secret) == ("me", SECRET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SECRET, "is not a JSON object"),
        (json.dumps([SECRET]), "is not a JSON object"),
        (json.dumps({"client_ident": SECRET}), "Known are: client_id"),
        (json.dumps({"client_id": 5, "client_secret": SECRET}), "client_id is not a text"),
    ],
)
def test_another_text_is_refused_and_not_shown(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InvalidNativeValue, match=message) as raised:
        resolved()
    assert SECRET not in str(raised.value)
    failure = explain(raised.value)
    assert (failure.kind, failure.text) == ("config", str(raised.value.inner_exception))
