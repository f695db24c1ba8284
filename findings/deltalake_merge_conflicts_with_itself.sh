#!/usr/bin/env bash
# Show that a merge fails as a conflict although it was committed, if the answer to the commit was lost.
#
# Versions: deltalake 1.6.6
# Behaviour: The storage stores the commit and answers 503, as S3 may do. delta-rs sends the commit again, and the
#   storage answers that the file exists. delta-rs assumes that another writer created the file, and raises
#   CommitFailedError. The rows are in the table. In the same situation an append succeeds, but creates two versions
#   with the same data file.
# Expected: delta-rs recognises its own commit, or the error says that the outcome is unknown.
# Why it matters: The error advises to run the query again. If the merge adds rows, they are then stored twice. A
#   program that stores a lease or a counter with such commits believes that it lost them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -qq 'deltalake==1.6.6' 'pyarrow==26.0.1'
cat > storage.py <<'PY'
"""Serve a bucket in memory. It stores the commits of versions 1 and 3, but answers 503."""
import hashlib
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

OBJECTS, LATE = {}, ["1.json", "3.json"]

class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self):
        key = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["If-None-Match"] and key in OBJECTS:
            return self.answer(412)
        OBJECTS[key] = body
        late = [name for name in LATE if re.search(rf"_delta_log/0+{name}$", key)]
        if late:
            LATE.remove(late[0])
            return self.answer(503)
        return self.answer(200, ETag=self.tag(body))

    def do_GET(self):
        parts = urlsplit(self.path)
        if "list-type" in parts.query:
            asked = parse_qs(parts.query)
            prefix, after = asked.get("prefix", [""])[0], asked.get("start-after", [""])[0]
            keys = [key.removeprefix("/lake/") for key in sorted(OBJECTS)]
            found = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(OBJECTS['/lake/' + key])}</Size><ETag>x</ETag>"
                "<LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents>"
                for key in keys if key.startswith(prefix) and key > after
            )
            return self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())
        body = OBJECTS.get(unquote(parts.path))
        if body is None:
            return self.answer(404)
        stamps = {"ETag": self.tag(body), "Last_Modified": "Sun, 01 Mar 2026 00:00:00 GMT"}
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        if not part:
            return self.answer(200, body, **stamps)
        first = int(part[1]) if part[1] else max(len(body) - int(part[2]), 0)
        last = int(part[2]) if part[1] and part[2] else len(body) - 1
        shown = body[first : last + 1]
        return self.answer(206, shown, Content_Range=f"bytes {first}-{first + len(shown) - 1}/{len(body)}", **stamps)

    do_HEAD = do_GET

    def do_DELETE(self):
        OBJECTS.pop(unquote(urlsplit(self.path).path), None)
        self.answer(204)

    def tag(self, body):
        return f'"{hashlib.md5(body).hexdigest()}"'

    def log_message(self, *args):
        """Print nothing."""

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
venv/bin/python - <<'PY'
import subprocess, sys
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError

storage = subprocess.Popen([sys.executable, "storage.py"], stdout=subprocess.PIPE, text=True)
options = {
    "aws_access_key_id": "id", "aws_secret_access_key": "key", "aws_region": "eu-central-1",
    "aws_endpoint_url": f"http://127.0.0.1:{storage.stdout.readline().strip()}", "aws_allow_http": "true",
}
place = {"table_uri": "s3://lake/table", "storage_options": options}

def state():
    # Not to_pyarrow_table(): up to a quarter of the processes then abort at their exit, with code 134. A thread of
    # pyarrow frees a buffer of Python while Python ends.
    table = DeltaTable(**place)
    rows = pa.table(QueryBuilder().register("t", table).execute("SELECT n FROM t").read_all())
    return table.version(), sorted(rows["n"].to_pylist())

try:
    write_deltalake("s3://lake/table", pa.table({"n": [1]}), storage_options=options)
    write_deltalake("s3://lake/table", pa.table({"n": [2]}), mode="append", storage_options=options)
    appended = state()
    try:
        merger = DeltaTable(**place).merge(pa.table({"n": [3]}), "t.n = s.n", source_alias="s", target_alias="t")
        merger.when_not_matched_insert_all().execute()
        error = "none"
    except CommitFailedError as failure:
        error = str(failure).splitlines()[0]
    merged = state()
finally:
    storage.terminate()
print("append: version", appended[0], "rows", appended[1])
print("merge:", error)
print("after the merge: version", merged[0], "rows", merged[1])
shown = appended == (2, [1, 2]) and merged == (3, [1, 2, 3]) and "concurrent" in error
raise SystemExit(0 if shown else "The behaviour differs from the description.")
PY
