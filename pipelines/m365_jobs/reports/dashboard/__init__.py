"""Serve the dashboard: pages rendered on the server, for browsers with or without JavaScript."""

from __future__ import annotations

import secrets
import socket

from avepoint_m365.config import is_loopback

from m365_jobs.errors.exceptions import UsageError
from m365_jobs.warehouse.target import Target

WILDCARD_HOSTS = ("", "0.0.0.0", "::")
"""Addresses that stand for all addresses of this machine."""

TOKEN_BYTES = 24
"""Random bytes of an access token."""


def serve(pipeline: Target, tenants: tuple[str, ...], host: str, port: int, refresh_seconds: float) -> None:
    """Serve the dashboard of a warehouse until the process is interrupted, and print its URL on stderr.

    Open pages refresh every ``refresh_seconds``. ``tenants`` are all if empty; a ``port`` of 0 is any that is free.

    Raises:
        UsageError: if the address cannot be listened on, and for an unknown tenant.
    """
    import uvicorn

    from m365_jobs.reports.dashboard.app import application, overview_html
    from m365_jobs.reports.dashboard.cache import PageCache
    from m365_jobs.terminal import print_line

    page_cache = PageCache(pipeline, tenants, refresh_seconds)
    token = None if is_loopback(host) else secrets.token_urlsafe(TOKEN_BYTES)
    listener = _listen(host, port)
    # The first page is read and rendered before a browser waits for it.
    overview_html(*page_cache.page(page_cache.visible, None, lock_timeout=0), {}, page_cache.visible)
    app = application(page_cache, token, refresh_seconds)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False)
    query = f"?access_token={token}" if token else ""
    print_line(f"Dashboard: http://{_url_host(host)}:{listener.getsockname()[1]}/{query}")
    if token:
        print_line("Everyone with this URL can look in. It is not encrypted: put a proxy with TLS before it.")
    print_line("Ctrl+C ends it.")
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return


def _url_host(host: str) -> str:
    """Return the host of a URL to an address. Browsers would read 0.0.0.0 and :: as their own machine."""
    if host in WILDCARD_HOSTS:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        UsageError: if the address is in use, unknown or not permitted.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The name of this machine may resolve to an IPv4 or an IPv6 address.
        is_dual_stack = host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=is_dual_stack)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another with --host and --port."
        ) from error
    # asyncio disables Nagle's algorithm only on a socket of protocol TCP, which create_server leaves at 0.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listener.detach())
