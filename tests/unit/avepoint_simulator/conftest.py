"""Provide a plain HTTP client."""

from dataclasses import dataclass
from typing import Any

import pytest
import requests
from avepoint_simulator import JOBS_SCOPE, Simulator


@dataclass
class Api:
    """Send requests to a simulator with a token of its own."""

    simulator: Simulator
    generation: int = 1
    timeout: float = 30.0

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token(self.simulator).json()['access_token']}"

    def get(self, path: str = "", **params: Any) -> requests.Response:
        path = path or ("jobs", "cloudbackupjobs")[self.generation - 1]
        url = f"{self.simulator.base_url}/backup/m365/{path}"
        return self.session.get(url, params=params, allow_redirects=False, timeout=self.timeout)

    def page(self, **params: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return the jobs of a page, and its total and next link."""
        answer = self.get(**params)
        if answer.status_code == 204:
            return [], {}
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return (body.pop("jobs"), body) if self.generation == 1 else (body["data"], body["metadata"])

    def ids(self, **params: Any) -> set[str]:
        return {job["id"] for job in self.page(pageSize=1000, **params)[0]}


def token(simulator: Simulator, **form: str) -> requests.Response:
    proof = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    given = {"grant_type": "client_credentials", "scope": JOBS_SCOPE, **(proof | form)}
    return requests.post(simulator.token_url, data=given, timeout=30)


@pytest.fixture(params=[1, 2], ids=["first generation", "second generation"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)
