"""Look through all output of a program for texts that it must not write."""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq


def spellings(secret: str) -> Iterator[bytes]:
    """Yield the possible forms of a secret: plain, in JSON, in a URL, in UTF-16, in base64 at any offset."""
    plain = secret.encode()
    yield from (plain, json.dumps(secret)[1:-1].encode(), quote(secret, "").encode(), quote_plus(secret).encode())
    yield secret.encode("utf-16-le")
    for offset in range(3):
        # Three bytes become four characters. Those at both ends depend on the neighbouring bytes, so leave them out.
        whole = base64.b64encode(b"\0" * offset + plain)[4 if offset else 0 : -4]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def leaks(secrets: dict[str, str], written: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return the name of each secret with the place of each text that contains it."""
    forms = {name: set(spellings(secret)) for name, secret in secrets.items()}
    return [
        f"{name} in {where}" for where, text in written for name in forms if any(form in text for form in forms[name])
    ]


def files_under(folder: Path, leave_out: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file, and the unpacked content of compressed files and databases."""
    for path in folder.rglob("*"):
        if path in leave_out or not path.is_file():
            continue
        yield str(path), path.read_bytes()
        yield from ((f"content of {path}", content) for content in _inside(path))


def _inside(path: Path) -> Iterator[bytes]:
    head = path.read_bytes()[:16]
    if head.startswith(b"\x1f\x8b"):
        yield gzip.decompress(path.read_bytes())
    elif head.startswith(b"PAR1"):
        yield repr(pq.read_table(path).to_pylist()).encode()
    elif head[8:12] == b"DUCK":
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            ).fetchall()
            for schema, table in tables:
                rows = connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
                yield repr(rows).encode()
