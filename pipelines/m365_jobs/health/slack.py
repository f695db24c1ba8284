"""Tells Slack what changed since it was told the last time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dlt
import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.runtime.slack import send_slack_message
from filelock import FileLock

from m365_jobs.errors.explain import NotificationError, UsageError
from m365_jobs.health.checks import Reason
from m365_jobs.health.evaluate import Evaluation, partition_label
from m365_jobs.warehouse import pipeline as warehouse

MOST = 30
"""Lines of each part of a message; Slack cuts what is too long anywhere."""


def hook(pipeline: dlt.Pipeline) -> str:
    """The address of dlt's own setting ``runtime.slack_incoming_hook``.

    Raises:
        UsageError: where it is not set.
    """
    found = pipeline.runtime_config.slack_incoming_hook
    if not found:
        raise UsageError(
            "--slack needs an incoming webhook of Slack: set runtime.slack_incoming_hook in .dlt/secrets.toml or "
            "RUNTIME__SLACK_INCOMING_HOOK in the environment."
        )
    return str(found)


def tell(evaluation: Evaluation, pipeline: dlt.Pipeline, tenants: Iterable[str]) -> bool:
    """Sends what is new and what is over since the last time, if anything; whether it did.

    Only what concerns ``tenants`` is compared and remembered anew, or everything where none is named. What was sent
    is remembered once Slack has taken it, in a file beside the pipeline's folder.

    Raises:
        UsageError: where no webhook is configured.
        NotificationError: where Slack does not take the message.
    """
    address, asked = hook(pipeline), set(tenants)
    now = {_key(one): _line(one) for one in evaluation.reasons}
    path = Path(pipeline.pipelines_dir) / f"{warehouse.PIPELINE}.health.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    here = warehouse.fingerprint(pipeline)
    with FileLock(path.with_suffix(".lock")):
        memory: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        told = memory.get(here, {})
        before = {key: line for key, line in told.items() if not asked or json.loads(key)[1] in asked}
        new = [line for key, line in now.items() if key not in before]
        over = [line for key, line in before.items() if key not in now]
        if not new and not over:
            return False
        _send(address, _message(evaluation, new, over), _patience())
        others = {key: line for key, line in told.items() if key not in before}
        _replace(path, memory | {here: others | now})
    return True


def _key(reason: Reason) -> str:
    """What makes it the same the next time: not its text, whose ages and counts change."""
    return json.dumps([reason.kind, reason.tenant, reason.location, reason.object_type, reason.about])


def _line(reason: Reason) -> str:
    partition = partition_label(reason.tenant, reason.location, reason.object_type)
    text = f"{partition}: {reason.text}" if partition else reason.text
    return f"*{reason.kind.replace('_', ' ')}* {_escaped(text)}"


def _escaped(text: str) -> str:
    """As Slack wants it, so that nothing in a text becomes a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _message(evaluation: Evaluation, new: list[str], over: list[str]) -> str:
    parts = [f"*Microsoft 365 backups: {'UNHEALTHY' if evaluation.problems else 'healthy'}*"]
    for title, lines in (("New:", new), ("Over:", over)):
        if lines:
            parts += [title, *(f"• {line}" for line in lines[:MOST])]
        if len(lines) > MOST:
            parts.append(f"… and {len(lines) - MOST} more: run m365-jobs health")
    return "\n".join(parts)


def _patience() -> float:
    """Seconds to wait for an answer: dlt's own setting ``runtime.request_timeout``."""
    return float(dlt.config.get("runtime.request_timeout", float) or RuntimeConfiguration.request_timeout)


def _send(address: str, message: str, patience: float) -> None:
    """Sends with dlt's helper, which itself waits for ever: hence beside, in a thread that nobody waits for longer than
    ``patience`` seconds."""
    failures: list[BaseException] = []

    def send() -> None:
        try:
            send_slack_message(address, message)
        except BaseException as error:
            failures.append(error)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    sending.join(patience)
    if sending.is_alive():
        raise _not_taken(f"no answer within {patience:g} s")
    for error in failures:
        if not isinstance(error, requests.RequestException):
            raise error
        # Its text holds the address, which is a secret.
        answer = f"it answered {error.response.status_code}" if error.response is not None else type(error).__name__
        raise _not_taken(answer)


def _not_taken(why: str) -> NotificationError:
    return NotificationError(
        f"Slack did not take the message ({why}). Look at runtime.slack_incoming_hook and the network; the next run "
        "sends it again."
    )


def _replace(path: Path, memory: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(memory, indent=1), encoding="utf-8")
    fresh.replace(path)
