"""Translate queries to the dialect of a destination, with marks for values, tables and rows of the configuration.

A translation lasts longer than most queries: two thirds of the time of ``health``. So those of the commands that watch
are shipped. ``make views`` writes the files; a test compares them with what sqlglot renders.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from sqlglot import exp

from m365_jobs.marts.dialects import SHIPPED
from m365_jobs.marts.render import CONFIGURED, expanded

MARK = re.compile("\0(\\w+):(\\w*)\0")
"""Marks a value, a table or rows of the configuration in a translated query. No SQL contains NUL."""

VALUE, TABLE, ROWS = "value", "table", "rows"
"""Kinds of marks."""


def translate(query: str, dialect: str, fill: Callable[[str, str], str]) -> str:
    """Return a query of DuckDB's dialect in another one; ``fill`` returns the SQL for a mark's kind and name."""
    text = _shipped(dialect).get(_key(query)) or _translated(query, dialect)
    return MARK.sub(lambda mark: fill(mark[1], mark[2]), text)


def _key(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


@cache
def _shipped(dialect: str) -> dict[str, str]:
    if dialect not in SHIPPED:
        return {}
    file = files(__package__) / "rendered" / "queries" / f"{dialect}.json"
    shipped: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return shipped


@lru_cache(maxsize=1_000)
def _translated(query: str, dialect: str) -> str:
    """Return the translated query, with a mark for each value, table of the warehouse and configured rows."""
    translated = expanded(query, dialect, {name: exp.var(f"\0{ROWS}:{name}\0") for name in CONFIGURED})
    for placeholder in list(translated.find_all(exp.Placeholder)):
        placeholder.replace(exp.var(f"\0{VALUE}:{placeholder.name}\0"))
    local = {cte.alias for cte in translated.find_all(exp.CTE)}

    def mark_table(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Table) or node.db or node.name in local:
            return node
        return exp.alias_(exp.Table(this=exp.var(f"\0{TABLE}:{node.name}\0")), node.alias_or_name, table=True)

    return translated.transform(mark_table, copy=False).sql(dialect, comments=False)


def shipped_file(queries: Iterable[str], dialect: str) -> str:
    """Return the text of the shipped file of a dialect."""
    texts = {_key(query): _translated(query, dialect) for query in queries}
    return json.dumps(texts, indent=1, sort_keys=True) + "\n"


def write_queries(queries: Iterable[str]) -> None:
    """Write the shipped file of each dialect."""
    folder = Path(__file__).with_name("rendered") / "queries"
    folder.mkdir(parents=True, exist_ok=True)
    for dialect in SHIPPED:
        text = shipped_file(queries, dialect)
        (folder / f"{dialect}.json").write_text(text, encoding="utf-8", newline="\n")
