"""Test secrets that must not be shown, and texts that must not block later loads."""

import re

from avepoint_simulator import Answer, Asked, Simulator

from tests.support.cli import NewUser


def test_a_secret_or_token_that_a_server_echoes_is_not_shown_or_stored(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    tokens: list[str] = []

    def echo(asked: Asked) -> Answer:
        return Answer(403, {"message": f"Bearer {tokens[-1]} and {simulator.client_secret} may not"})

    token = simulator.token

    def remember(form: dict[str, str]) -> Answer:
        answer = token(form)
        tokens.append(answer.body["access_token"])
        return answer

    simulator.token = remember  # type: ignore[method-assign]
    simulator.fault = echo
    message = user.run("load", code=1).stderr
    assert "Bearer *** and *** may not" in message
    checked = user.run("check", code=1)
    assert "Bearer *** and *** may not" in checked.stdout + checked.stderr
    secrets = [*tokens, simulator.client_secret]
    for file in [path for path in user.folder.parent.rglob("*") if path.is_file()]:
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), file
    assert not any(secret in message for secret in secrets)


def test_a_text_that_no_warehouse_can_hold_does_not_block_later_loads(simulator: Simulator, new_user: NewUser) -> None:
    user = new_user(simulator)
    simulator.fault = lambda asked: Answer(403, '{"message": "no \\ud800 right\\u0000"}')
    user.run("load", code=1)
    simulator.fault = None
    user.run("load")
    details = [row[0] for row in user.query("SELECT detail FROM load_runs WHERE status = 'failed'")]
    assert len(details) == 1
    assert re.search("no \ufffd right\ufffd", details[0])
