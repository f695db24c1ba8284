"""The dashboard: a marimo app, served to browsers by this process."""

from __future__ import annotations

import secrets
import socket
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt
from avepoint_m365.config import is_loopback

from m365_jobs.dashboard.live import Live
from m365_jobs.errors import UsageError

_live: list[Live] = []


def live() -> Live:
    """The warehouse that this process shows; the app's way to it, since marimo runs the app from its file."""
    return _live[-1]


def serve(pipeline: dlt.Pipeline, tenants: tuple[str, ...], host: str, port: int) -> None:
    """Shows a warehouse until the process is interrupted. Says on stderr where.

    Raises:
        UsageError: where the address cannot be listened on.
    """
    import uvicorn

    from m365_jobs.charts import drawing
    from m365_jobs.charts.figures import Filter
    from m365_jobs.console import say

    # What takes a second the first time is done before anyone waits for it.
    drawing.svg(drawing.outcomes([], Filter()))
    _live.append(Live(pipeline, tenants))
    # Tells of a tenant that nobody knows before a page would.
    live().version()
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    server = uvicorn.Server(uvicorn.Config(_application(token), log_level="warning", lifespan="off"))
    name = f"[{host}]" if ":" in host else host
    say(f"Dashboard: http://{name}:{listening.getsockname()[1]}/{f'?access_token={token}' if token else ''}")
    if token:
        say("Whoever has this address can look in. It is not encrypted: put a proxy with TLS before it.")
    say("Ctrl+C ends it.")
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another with --host and --port."
        ) from error


def _application(token: str | None) -> Any:
    import marimo

    from m365_jobs.charts import html

    head = f"<style>{html.css()}{(files(__package__) / 'app.css').read_text(encoding='utf-8')}</style>"
    builder = marimo.create_asgi_app(quiet=True, token=token, html_head=head)
    application = builder.with_app(path="", root=str(Path(__file__).with_name("app.py"))).build()
    return application if token else OwnPagesOnly(application)


class OwnPagesOnly:
    """Refuses what other web sites make a browser ask of loopback, where no token keeps them out: requests that name
    another origin, or another host, which is how names that change their address get in."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import PlainTextResponse

        headers = dict(scope.get("headers", ()))
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        ours = is_loopback(urlsplit(f"//{host}").hostname or "") and (not origin or urlsplit(origin).netloc == host)
        if ours or scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("This dashboard shows itself on its own address only; see --host.", 403)
            await refusal(scope, receive, send)
