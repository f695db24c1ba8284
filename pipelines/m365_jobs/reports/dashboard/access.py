"""Control access as ASGI middleware: same-origin requests on loopback, an access token on other addresses."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from avepoint_m365.config import is_loopback
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION_COOKIE = "m365_dashboard"
TOKEN_PARAMETER = "access_token"
"""Parameter of the URL and of the login form."""

MAX_LOGIN_BYTES = 4096
"""Bytes of a login form that are read; the rest is ignored."""

SECURITY_HEADERS = {
    # Scripts, styles and images of this server only; no inline scripts or styles.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Add headers that stop browsers from contacting other origins, and caches from storing pages."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the start of a response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._application(scope, receive, send_with_headers)


class LoopbackOriginOnly:
    """Refuse requests that another web site makes a browser send to loopback, where no token is needed.

    The header ``Origin`` reveals cross-site requests, the header ``Host`` DNS rebinding.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests of other origins or hosts with 403, and pass on all others."""
        if scope["type"] == "http":
            headers = dict(scope.get("headers", ()))
            host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
            if not is_loopback_origin(host, origin):
                text = "Access denied: this dashboard answers on its own address only. See --host."
                await PlainTextResponse(text, 403)(scope, receive, send)
                return
        await self._application(scope, receive, send)


def is_loopback_origin(host: str, origin: str) -> bool:
    """Return True if ``host`` is on loopback and ``origin`` is empty or the same host; both are header values."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "") and (not origin or urlsplit(origin).netloc == host)
    except ValueError:  # not a host name, such as a bracket
        return False


class TokenAuthentication:
    """Authenticate requests by the access token: in the URL, the login form, a cookie or ``Authorization: Bearer``."""

    def __init__(self, application: ASGIApp, token: str, login_page: Callable[[Request, bool], Response]) -> None:
        """Wrap ``application``. ``login_page`` returns the page for a token; True says that the sent one is invalid."""
        self._application, self._token, self._login_page = application, token, login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests without a valid token, and pass on all others."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._application(scope, receive, send)
            return
        request = Request(scope, receive)
        await (await self._authenticate(request) or self._application)(scope, receive, send)

    async def _authenticate(self, request: Request) -> Response | None:
        """Return the login page or the start of a session; None for an authenticated request."""
        if request.method == "POST" and request.url.path.endswith("/login"):
            form = (await request.body())[:MAX_LOGIN_BYTES].decode("utf-8", "replace")
            if self._is_token(dict(parse_qsl(form)).get(TOKEN_PARAMETER, "")):
                return self._start_session(request, "./")
            return self._login_page(request, True)
        if TOKEN_PARAMETER in request.query_params:
            if not self._is_token(request.query_params[TOKEN_PARAMETER]):
                return self._login_page(request, True)
            query = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != TOKEN_PARAMETER])
            # A relative URL works behind a proxy that serves the dashboard under a path.
            page = request.url.path.rpartition("/")[2]
            return self._start_session(request, f"./{page}{'?' if query else ''}{query}")
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if hmac.compare_digest(request.cookies.get(SESSION_COOKIE, "").encode(), self._session.encode()):
            return None
        if scheme.lower() == "bearer" and self._is_token(bearer):
            return None
        return self._login_page(request, False)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    @property
    def _session(self) -> str:
        """Return the value of the session cookie, from which the token cannot be computed."""
        return hashlib.sha256(f"session of {self._token}".encode()).hexdigest()

    def _start_session(self, request: Request, url: str) -> Response:
        """Return a redirect to ``url`` that sets the session cookie."""
        response = RedirectResponse(url, 303)
        is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        # Without a path the browser sends the cookie to this folder only, whatever path a proxy gives the dashboard.
        response.set_cookie(
            SESSION_COOKIE, self._session, path=None, secure=is_secure, httponly=True, samesite="strict"
        )
        return response
