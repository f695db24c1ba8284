"""Control access: on loopback only the machine's own pages, elsewhere only clients with the access token."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from avepoint_m365.config import is_loopback
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "m365_dashboard"
PARAMETER = "access_token"

HEADERS = {
    # Nothing from elsewhere, no script or style but the two files of this server.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SafeHeaders:
    """Add headers that keep browsers from loading or sending anything elsewhere, and proxies from keeping pages."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Add the headers to the start of a response."""

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._application(scope, receive, send_with_headers)


class OwnPagesOnly:
    """Refuse what other web sites make a browser ask of loopback, where no token is needed.

    Refused are requests that name another origin, or another host, since DNS names can change their address.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 403 to requests of other origins, and pass on all others."""
        if scope["type"] == "http":
            headers = dict(scope.get("headers", ()))
            host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
            if not is_own(host, origin):
                text = "Access denied: this dashboard answers on its own address only. See --host."
                await PlainTextResponse(text, 403)(scope, receive, send)
                return
        await self._application(scope, receive, send)


def is_own(host: str, origin: str) -> bool:
    """Return True for a host on loopback, and an origin that is the same, if there is one."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "") and (not origin or urlsplit(origin).netloc == host)
    except ValueError:  # not a host name, such as a bracket
        return False


class TokenNeeded:
    """Ask for the access token: in the URL, a cookie, or a header ``Authorization: Bearer``."""

    def __init__(self, application: Any, token: str, denied: Any) -> None:
        """Keep ``denied``, which returns the page on which a token can be entered."""
        self._application, self._token, self._denied = application, token, denied

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer requests without a valid token, and pass on all others."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._application(scope, receive, send)
            return
        request = Request(scope, receive)
        await (await self._answer(request) or self._application)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return the answer to a request without a session; None for one with a session."""
        if request.method == "POST" and request.url.path.endswith("/login"):
            body = (await request.body())[:4096].decode("utf-8", "replace")
            if self._is_token(dict(parse_qsl(body)).get(PARAMETER, "")):
                return self._session(request, "./")
            return self._denied(request, True)  # type: ignore[no-any-return]
        if PARAMETER in request.query_params:
            if not self._is_token(request.query_params[PARAMETER]):
                return self._denied(request, True)  # type: ignore[no-any-return]
            rest = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != PARAMETER])
            # Relative, so that it leads to the right place behind a proxy under a path.
            page = request.url.path.rpartition("/")[2]
            return self._session(request, f"./{page}{'?' if rest else ''}{rest}")
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._cookie.encode()):
            return None
        if scheme.lower() == "bearer" and self._is_token(bearer):
            return None
        return self._denied(request, False)  # type: ignore[no-any-return]

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    @property
    def _cookie(self) -> str:
        return hashlib.sha256(f"session of {self._token}".encode()).hexdigest()

    def _session(self, request: Request, page: str) -> Response:
        answer = RedirectResponse(page, 303)
        secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        # Without a path the browser sends it to this folder only, whatever path a proxy gives the dashboard.
        answer.set_cookie(COOKIE, self._cookie, path=None, secure=secure, httponly=True, samesite="strict")
        return answer
