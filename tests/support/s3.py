"""Serve objects like S3, with the requests that delta-rs and s3fs use and the faults that a test plans."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

from tests.support.project import ROOT

BUCKET = "lake"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DATE = "2026-03-01T00:00:00.000Z"
CONTROL = "/_control"
HTTP_DATE = "Sun, 01 Mar 2026 00:00:00 GMT"


REFUSED = "refused"
ANSWERED_LATE = "answered 503 after it was done"


@dataclass
class Fault:
    """Describe a fault of each ``every``-th matching request after ``skip`` requests, ``times`` times at most."""

    kind: str
    pattern: str = ""
    """Pattern of method and key, for example ``PUT .*_delta_log``."""
    times: int | None = None
    """None for no limit."""
    skip: int = 0
    every: int = 1
    seen: int = 0

    def meets(self, request: str) -> bool:
        """Return True if the fault affects a request, and count the request if it matches."""
        if self.times == 0 or not re.match(self.pattern, request):
            return False
        self.seen += 1
        if self.seen <= self.skip or self.seen % self.every:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Store:
    """Hold the objects of a bucket by key, and answer requests."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault: Fault | None = None
        self.asked = 0
        self.failed: list[str] = []
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer a request, or fail as planned."""
        parts = urlsplit(target)
        if parts.path == CONTROL:
            return self._control(body)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        with self._lock:
            self.asked += 1
            request = f"{method} {key}"
            fault = self.fault if self.fault and self.fault.meets(request) else None
            if fault:
                self.failed.append(request)
            if fault and fault.kind == REFUSED:
                return Reply(503, SLOW_DOWN)
            reply = self._do(method, key, query, headers, body)
            return Reply(503, SLOW_DOWN) if fault else reply

    def _control(self, body: bytes) -> Reply:
        """Plan or remove a fault if the body says so, and return the requests since the last plan."""
        with self._lock:
            met = {"asked": self.asked, "failed": self.failed}
            if body:
                given = json.loads(body)
                self.fault, self.asked, self.failed = Fault(**given) if given else None, 0, []
            return Reply(200, json.dumps(met).encode())

    def _do(self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        if "AWS4-HMAC-SHA256" not in headers.get("authorization", ""):
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        if not key:
            return self._remove_many(body) if "delete" in query else self._list(query)
        if "uploads" in query or "uploadId" in query:
            return self._upload(method, key, query, body)
        if method == "PUT":
            return self._put(key, headers, body)
        if method == "DELETE":
            self.objects.pop(key, None)
            return Reply(204)
        return self._get(key, headers)

    def _put(self, key: str, headers: dict[str, str], body: bytes) -> Reply:
        there = self.objects.get(key)
        if headers.get("if-none-match") == "*" and there is not None:
            return Reply(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        if headers.get("if-match") and (there is None or headers["if-match"] != etag(there)):
            return Reply(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        if source := headers.get("x-amz-copy-source"):
            body = self.objects[unquote(source).lstrip("/").removeprefix(f"{BUCKET}/")]
        self.objects[key] = body
        result = f"<CopyObjectResult><ETag>{etag(body)}</ETag><LastModified>{DATE}</LastModified></CopyObjectResult>"
        return Reply(200, result.encode() if source else b"", {"ETag": etag(body)})

    def _get(self, key: str, headers: dict[str, str]) -> Reply:
        if (body := self.objects.get(key)) is None:
            return Reply(404, b"<Error><Code>NoSuchKey</Code><Message>Not found.</Message></Error>")
        stamps = {"ETag": etag(body), "Last-Modified": HTTP_DATE, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
        if not asked:
            return Reply(200, body, stamps)
        size = len(body)
        first = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first >= size:
            return Reply(416, b"<Error><Code>InvalidRange</Code></Error>")
        return Reply(206, body[first : last + 1], stamps | {"Content-Range": f"bytes {first}-{last}/{size}"})

    def _list(self, query: dict[str, str]) -> Reply:
        """List all matching objects in a single answer, and ignore the largest number that the client allows."""
        prefix, delimiter, after = (query.get(name, "") for name in ("prefix", "delimiter", "start-after"))
        objects, folders = [], set()
        for key in sorted(self.objects):
            if not key.startswith(prefix) or key <= after:
                continue
            folder, below, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if below:
                folders.add(prefix + folder + delimiter)
            else:
                objects.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{DATE}</LastModified><ETag>"
            f"{escape(etag(self.objects[key]))}</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in objects
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)
        )
        head = f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
        count = f"<KeyCount>{len(objects) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys>"
        return Reply(200, f"<ListBucketResult>{head}{count}{contents}{common}</ListBucketResult>".encode())

    def _remove_many(self, body: bytes) -> Reply:
        keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
        for key in keys:
            self.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return Reply(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def _upload(self, method: str, key: str, query: dict[str, str], body: bytes) -> Reply:
        """Receive an object in parts."""
        if method == "POST" and "uploads" in query:
            number = f"upload{len(self._uploads)}"
            self._uploads[number] = {}
            ids = f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{number}</UploadId>"
            return Reply(200, f"<InitiateMultipartUploadResult>{ids}</InitiateMultipartUploadResult>".encode())
        parts = self._uploads[query["uploadId"]]
        if method == "PUT":
            parts[int(query["partNumber"])] = body
            return Reply(200, b"", {"ETag": etag(body)})
        if method == "POST":
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            result = f"<ETag>{escape(etag(self.objects[key]))}</ETag>"
            return Reply(200, f"<CompleteMultipartUploadResult>{result}</CompleteMultipartUploadResult>".encode())
        return Reply(204)


def etag(body: bytes) -> str:
    """Return the ETag of a content."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    """Read requests for the store and write its replies."""

    protocol_version = "HTTP/1.1"
    # The body is sent as a separate packet, and would wait until the client has confirmed the headers.
    disable_nagle_algorithm = True
    store: Store

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = {name.lower(): value for name, value in self.headers.items()}
        reply = self.store.answer(self.command, self.path, given, body)
        self.send_response(reply.status)
        headers = {"Content-Type": "application/xml", **reply.headers}
        if reply.status != 204:
            headers["Content-Length"] = str(len(reply.body))
        for name, value in headers.items():
            self.send_header(name, value)
        # A client that has failed may have closed its connection.
        with suppress(ConnectionError):
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


class Server(ThreadingHTTPServer):
    """Serve each connection in a thread."""

    daemon_threads = True
    request_queue_size = 64


@dataclass
class Met:
    """Hold the number of requests to a store since a fault was planned, and the failed ones."""

    asked: int
    failed: list[str]
    """Method and key of each request that failed."""


@dataclass
class S3:
    """Control a store in its own process: calls of delta-rs would block the threads of this process."""

    url: str

    def fail(self, kind: str, pattern: str = "", **more: Any) -> None:
        """Let requests fail from now on; see ``Fault``."""
        self._control(asdict(Fault(kind, pattern, **more)))

    def heal(self) -> Met:
        """Let no request fail from now on; return the requests since the plan, and the failed ones."""
        return Met(**self._control(None))

    def _control(self, plan: dict[str, Any] | None) -> dict[str, Any]:
        with urlopen(Request(self.url + CONTROL, json.dumps(plan).encode()), timeout=60) as response:
            result: dict[str, Any] = json.load(response)
        return result


@contextmanager
def s3() -> Iterator[S3]:
    """Yield an empty store that listens on loopback."""
    command = [sys.executable, "-m", "tests.support.s3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield S3(process.stdout.readline().strip())
        finally:
            process.terminate()


def main() -> None:
    """Serve an empty store until this process ends; print its address."""
    Handler.store = Store()
    with Server(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
