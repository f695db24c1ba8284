"""The dashboard: a marimo app, served to browsers by this process."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from avepoint_m365.config import is_loopback

from m365_jobs.errors.explain import UsageError
from m365_jobs.reports.dashboard.live import Live, Unavailable
from m365_jobs.warehouse.target import Target

EVERYWHERE = ("", "0.0.0.0", "::")
"""Ways to say: all addresses that this machine has."""

_live: list[Live] = []


def live() -> Live:
    """The warehouse that this process shows; the app's way to it, since marimo runs the app from its file."""
    return _live[-1]


def serve(pipeline: Target, tenants: tuple[str, ...], host: str, port: int) -> None:
    """Shows a warehouse until the process is interrupted. Says on stderr where.

    Raises:
        UsageError: where the address cannot be listened on, or a tenant is one that nobody knows.
    """
    import uvicorn

    from m365_jobs.cli.terminal import say

    _live.append(Live(pipeline, tenants))
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    _warm()
    server = uvicorn.Server(uvicorn.Config(_application(token), log_level="warning", lifespan="off"))
    query = f"?access_token={token}" if token else ""
    say(f"Dashboard: http://{_name(host)}:{listening.getsockname()[1]}/{query}")
    if token:
        say("Whoever has this address can look in. It is not encrypted: put a proxy with TLS before it.")
    say("Ctrl+C ends it.")
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return


def _name(host: str) -> str:
    """What browsers call an address that is listened on. 0.0.0.0 and :: stand for all that this machine has, and
    browsers elsewhere would take them for their own."""
    if host in EVERYWHERE:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # By its name this machine may be found under an address of either kind.
        both = host == "::" and socket.has_dualstack_ipv6()
        made = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another with --host and --port."
        ) from error
    # asyncio sends small parts at once only where a socket says that it is TCP, which those of create_server do not:
    # each of the page's 250 files would wait for 40 ms.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())


def _application(token: str | None) -> Any:
    import marimo

    from m365_jobs.reports import html
    from m365_jobs.reports.dashboard.serving import FilesAtHand, FirstLook, OwnPagesOnly

    head = f"<style>{html.css()}{(files(__package__) / 'first.css').read_text(encoding='utf-8')}</style>"
    builder = marimo.create_asgi_app(quiet=True, token=token, html_head=head)
    application = builder.with_app(path="", root=str(Path(__file__).with_name("app.py"))).build()
    application = FirstLook(FilesAtHand(application), _look)
    return application if token else OwnPagesOnly(application)


def _warm() -> None:
    """Reads and draws what a page shows first, before anyone waits for it."""
    from m365_jobs.reports import charts
    from m365_jobs.reports.dashboard import parts
    from m365_jobs.reports.metrics import Filter

    # The first drawing takes its time, whatever it shows.
    charts.svg(charts.outcomes([], Filter()))
    with suppress(Unavailable):  # the page says so
        if not (version := live().version()).trouble:
            for part in parts.ALL:
                part(parts.View(live(), version, live().chosen))


def _look() -> str:
    from m365_jobs.reports import html
    from m365_jobs.reports.dashboard import parts

    try:
        version = live().version(patience=0)
        look = "" if version.trouble else parts.first_look(parts.View(live(), version, live().chosen))
        return look and html.title(parts.TITLE) + look
    except Unavailable:
        return ""  # the page says so when it comes to life
