"""Decide how rows reach PostgreSQL: by COPY of a CSV file, or by INSERT statements if a text is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc


def format_choice() -> Callable[[Any, Any], Any]:
    """Return a step for a resource that marks each table of rows with the file format of its way to PostgreSQL.

    dlt loads CSV by COPY, in a third of the processor time of INSERT statements. The format of the last rows
    of a table is that of all of them. So a table keeps INSERT statements once some of its rows had an empty text.
    """
    tables_with_empty_texts: set[str] = set()

    def choose(item: Any, meta: Any) -> Any:
        name = (getattr(meta, "hints", None) or {}).get("table_name")
        if not isinstance(name, str) or not isinstance(item, pa.Table):
            return item
        if has_empty_texts(item):
            tables_with_empty_texts.add(name)
        hints: Any = {**meta.hints, "file_format": "insert_values" if name in tables_with_empty_texts else "csv"}
        return dlt.mark.with_hints(item, hints, create_table_variant=True)

    return choose


def has_empty_texts(rows: pa.Table) -> bool:
    """Return whether a text of the rows is empty: dlt lets COPY read such texts as null."""
    texts = (column for column in rows.columns if pa.types.is_string(column.type))
    return any(pc.any(pc.equal(text, "")).as_py() for text in texts)
