"""Serve the dashboard: pages drawn on the server, for browsers with or without JavaScript."""

from __future__ import annotations

import secrets
import socket

from avepoint_m365.config import is_loopback

from m365_jobs.errors.explain import UsageError
from m365_jobs.warehouse.target import Target

EVERYWHERE = ("", "0.0.0.0", "::")
"""Ways to say: all addresses of this machine."""


def serve(pipeline: Target, tenants: tuple[str, ...], host: str, port: int, every: float) -> None:
    """Serve the dashboard of a warehouse until the process is interrupted; its URL is printed on stderr.

    ``every`` is the number of seconds after which pages draw themselves anew.

    Raises:
        UsageError: where the address cannot be listened on, or for an unknown tenant.
    """
    import uvicorn

    from m365_jobs.reports.dashboard.app import application, overview
    from m365_jobs.reports.dashboard.live import Live
    from m365_jobs.terminal import print_line

    live = Live(pipeline, tenants, every)
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    # The first page is read and drawn before a browser waits for it.
    overview(*live.page(live.visible, None, patience=0), {}, live.visible)
    config = uvicorn.Config(application(live, token, every), log_level="warning", lifespan="off", server_header=False)
    query = f"?access_token={token}" if token else ""
    print_line(f"Dashboard: http://{_name(host)}:{listening.getsockname()[1]}/{query}")
    if token:
        print_line("Everyone with this URL can look in. It is not encrypted: put a proxy with TLS before it.")
    print_line("Ctrl+C ends it.")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return


def _name(host: str) -> str:
    """Return what browsers call an address. They would take 0.0.0.0 and :: for their own machine."""
    if host in EVERYWHERE:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The name of this machine may lead to an address of either kind.
        both = host == "::" and socket.has_dualstack_ipv6()
        made = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another with --host and --port."
        ) from error
    # asyncio sends small parts at once only where a socket says that it is TCP, which create_server leaves out.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
