"""Remove files of a lake that a killed load, or a full disk, left empty or cut off.

dlt and pyiceberg write some JSON files in place. A cut one is the newest of its kind, so each load would fail to read
it. Object stores show a file only once it is whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m365_jobs.warehouse.destinations.lake_tables import NAMES


def remove_cut_files(client: Any, pipeline_name: str, min_age: float) -> list[Path]:
    """Remove cut files of a local lake, and return them. The caller holds the lease of the pipeline's tenant.

    What a removed file described is written again, or was never committed. Files younger than ``min_age`` seconds stay,
    since another tenant's load may be writing them.
    """
    if not client.config.is_local_filesystem:
        return []
    cut = [file for file in _candidates(client, pipeline_name) if _is_cut(file, min_age)]
    for file in cut:
        file.unlink(missing_ok=True)
    return cut


def _candidates(client: Any, pipeline_name: str) -> Iterator[Path]:
    """Yield the files that a load reads: the newest state, all schemas, the newest metadata of each Iceberg table."""
    states = Path(client.get_table_dir(client.schema.state_table_name)).glob(f"{pipeline_name}__*.jsonl")
    # The name ends with the load's id, which is a time, and a hash.
    yield from sorted(states, key=lambda file: file.name.rsplit("__", 2)[1])[-1:]
    yield from Path(client.get_table_dir(client.schema.version_table_name)).glob("*__*.jsonl")
    for name in NAMES:
        metadata = sorted((Path(client.get_table_dir(name)) / "metadata").glob("*.metadata.json"))
        # Iceberg may be told to compress its metadata.
        yield from (file for file in metadata[-1:] if not file.name.endswith(".gz.metadata.json"))


def _is_cut(file: Path, min_age: float) -> bool:
    try:
        if time.time() - file.stat().st_mtime < min_age:
            return False
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return False  # Another load has removed it.
    except ValueError:
        return True
    return False
