"""What stands between browsers and the app: who may ask, files that do not change, and something to see at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from avepoint_m365.config import is_loopback
from starlette.responses import PlainTextResponse, Response

FILES = re.compile(r"/assets/[\w.\-]+")
"""Files of marimo's, whose names change with what they hold."""


class OwnPagesOnly:
    """Refuses what other web sites make a browser ask of loopback, where no token keeps them out: requests that name
    another origin, or another host, which is how names that change their address get in."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if _is_ours(host, origin) or scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("This dashboard shows itself on its own address only; see --host.", 403)
            await refusal(scope, receive, send)


def _is_ours(host: str, origin: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "") and (not origin or urlsplit(origin).netloc == host)
    except ValueError:  # of a name that is none, such as a bracket
        return False


class FilesAtHand:
    """Hands out the page's 250 files from memory, and lets browsers keep them: from the disk each takes ten times as
    long, and a browser that comes again would ask for every one whether it changed."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._held: dict[str, Response] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not FILES.fullmatch(scope["path"]):
            await self._application(scope, receive, send)
            return
        path = scope["path"]
        if path not in self._held:
            answer = await _answer(self._application, scope, receive)
            if answer.status_code != 200:
                await answer(scope, receive, send)
                return
            answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
            self._held[path] = answer
        await self._held[path](scope, receive, send)


class FirstLook:
    """Puts the most important parts into the page itself, to be seen until the app has come to life in the browser,
    which takes it a second or two."""

    def __init__(self, application: Any, look: Callable[[], str]) -> None:
        """``look`` gives HTML, or nothing where there is nothing to be seen; it may take its time."""
        self._application, self._look = application, look

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self._application(scope, receive, send)
            return
        answer = await _answer(self._application, scope, receive)
        # Without the right token it is not the page that comes but the way to the log-in.
        if answer.status_code == 200 and (look := await run_sync(self._look)):
            page = re.sub(rb"<body[^>]*>", lambda body: body[0] + FIRST.replace("LOOK", look).encode(), answer.body)
            answer = _Answer(200, answer.raw_headers, page)
        await answer(scope, receive, send)


FIRST = """
<div id="first-look" class="m365" aria-busy="true">LOOK</div>
<script>
  (function () {
    const first = document.getElementById("first-look");
    const alive = () => document.querySelector("#root section.m365 h2, #root .m365 .note");
    const watch = new MutationObserver(() => { if (alive()) { first.remove(); watch.disconnect(); } });
    watch.observe(document.documentElement, {childList: true, subtree: true});
  })();
</script>
"""


CONDITIONS = (b"if-none-match", b"if-modified-since", b"if-range", b"range")
"""Headers with which a browser asks for less than the whole."""


class _Answer(Response):
    """An answer of the application as a whole."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        super().__init__(body, status)
        kept = [(name, value) for name, value in headers if name.lower() not in (b"content-length", b"etag")]
        self.raw_headers = [*kept, (b"content-length", str(len(body)).encode())]


async def _answer(application: Any, scope: Any, receive: Any) -> _Answer:
    """What the application answers, as a whole, though the browser may have it already."""
    status, headers, body = 500, list[tuple[bytes, bytes]](), bytearray()

    async def take(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    asked = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() not in CONDITIONS]}
    await application(asked, receive, take)
    return _Answer(status, headers, bytes(body))
