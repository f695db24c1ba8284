"""Complete statements at the prompt of ``query``: tables, columns, and the words of SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from sqlglot import exp

from m365_jobs.marts.catalog import VIEWS, tables, views
from m365_jobs.marts.dialects import dialect_of
from m365_jobs.warehouse.reader import Reader

KEYWORDS = re.findall(
    r"\w+",
    "ALL AND AS ASC BETWEEN BY CASE CAST COUNT CROSS DESC DISTINCT ELSE END EXCEPT EXISTS EXPLAIN EXTRACT FALSE FILTER "
    "FROM FULL GROUP HAVING ILIKE IN INNER INTERSECT INTERVAL IS JOIN LAST LATERAL LEFT LIKE LIMIT NOT NULL NULLS "
    "OFFSET ON OR ORDER OUTER OVER PARTITION RIGHT SELECT SUM THEN TRUE UNION USING VALUES WHEN WHERE WINDOW WITH "
    "AVG MAX MIN COALESCE CURRENT_DATE CURRENT_TIMESTAMP DATE_TRUNC LOWER NOW NULLIF ROUND ROW_NUMBER UPPER",
)
"""Words of queries that DuckDB, PostgreSQL and most others know."""

TABLE_NEXT = ("from", "join")

CATALOG = """
SELECT c.table_name, c.column_name FROM information_schema.columns AS c
WHERE c.table_schema = %s ORDER BY c.table_name, c.ordinal_position
"""

STRINGS_AND_COMMENTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*\n|/\*.*?\*/", re.DOTALL)
"""Strings and comments that are closed."""

TYPED_WORD = re.compile(r'(?:"?(?P<owner>\w+)"?\.)?"?(?P<word>\w*)$')
"""The word before the cursor, and the table, alias or dataset before its dot."""


@dataclass(frozen=True)
class Names:
    """Hold the names to offer: the dataset, and its tables and views with their columns."""

    dataset: str
    columns: Mapping[str, Sequence[str]]


def documented(dataset: str) -> Names:
    """Return the names of the tables and views that loads create."""
    return Names(
        dataset, {relation.name: [column.name for column in relation.columns] for relation in (*tables(), *views())}
    )


def stored_names(reader: Reader) -> Names:
    """Return the names in the catalog of the dataset.

    On destinations without a readable catalog, and before the first load, return the documented names.
    """
    dataset = exp.to_table(reader.table("jobs"), dialect=reader.dialect).db
    columns: dict[str, list[str]] = {}
    if dialect_of(reader.dialect).has_catalog:
        for row in reader.rows(CATALOG, dataset):
            columns.setdefault(row["table_name"], []).append(row["column_name"])
    return Names(dataset, columns) if columns else documented(dataset)


@dataclass
class Words(Completer):
    """Complete the word before the cursor, with the columns of the tables that the whole statement names."""

    names: Names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield the completions, the most likely first; none within a string or a comment."""
        before = STRINGS_AND_COMMENTS.sub(" ", document.text_before_cursor)
        if re.search(r"'|--|/\*", before):
            return
        typed = TYPED_WORD.search(before)
        assert typed is not None
        word, owner = typed["word"], typed["owner"]
        if not word and not owner and complete_event.text_inserted:
            return  # After a blank, only the Tab key asks for completions.
        offered = set()
        for name, about in self._candidates(before[: typed.start()], owner, document.text):
            if _fits(name, word) and name not in offered:
                offered.add(name)
                text = name.lower() if about == "SQL" and word and word == word.lower() else name
                yield Completion(text, -len(word), display_meta=about)

    def _candidates(self, before: str, owner: str | None, statement: str) -> Iterator[tuple[str, str]]:
        """Yield names that may follow the text ``before``, each with a description."""
        columns, used = self.names.columns, self._used_tables(statement)
        if owner:
            yield from self._columns_of([used.get(owner.lower(), owner.lower())])
            if owner.lower() == self.names.dataset.lower():
                yield from self._tables()
            return
        words = re.findall(r"\w+", before)
        if words and words[-1].lower() in TABLE_NEXT:
            yield from self._tables()
            yield self.names.dataset, "dataset"
            return
        if words:
            yield from self._columns_of(sorted(set(used.values())) or columns)
            yield from self._tables()
        yield from ((keyword, "SQL") for keyword in KEYWORDS)

    def _used_tables(self, statement: str) -> dict[str, str]:
        """Return the tables of a statement by their names and aliases, in lower case."""
        any_table = "|".join(re.escape(name) for name in sorted(self.names.columns, key=len, reverse=True))
        mentions = rf'(?:\bFROM|\bJOIN|,)\s+(?:\w+\.)?"?({any_table})"?\b(?:\s+(?:AS\s+)?(\w+))?'
        used = {}
        for mention in re.finditer(mentions, STRINGS_AND_COMMENTS.sub(" ", statement), re.IGNORECASE):
            name = mention[1].lower()
            used[name] = name
            if mention[2] and mention[2].upper() not in KEYWORDS:
                used[mention[2].lower()] = name
        return used

    def _columns_of(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        tables_by_column: dict[str, list[str]] = {}
        for name in names:
            for column in self.names.columns.get(name, ()):
                tables_by_column.setdefault(column, []).append(name)
        for column, table_names in tables_by_column.items():
            yield column, ", ".join(table_names) if len(table_names) < 4 else "column"

    def _tables(self) -> Iterator[tuple[str, str]]:
        for name in self.names.columns:
            yield name, "view" if name in VIEWS else "table"


def _fits(name: str, word: str) -> bool:
    """Return whether a name continues the typed word; dlt's names, which begin with _, need a typed _."""
    return name.lower().startswith(word.lower()) and (not name.startswith("_") or word.startswith("_"))
