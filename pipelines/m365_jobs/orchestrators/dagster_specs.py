"""Describe the assets of Dagster: keys, descriptions and columns of tables and views."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import dlt
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.marts.catalog import Relation, tables, views
from m365_jobs.orchestrators.dagster_warehouse import DagsterWarehouse
from m365_jobs.warehouse import pipeline as warehouse

FAMILIES = {
    "jobs": ("jobs", "jobs__backup_details", "jobs__job_errors"),
    "load_records": ("load_audit", "load_runs", "load_check_failures"),
}
"""Tables of each asset; the first one determines its row count."""


class AssetSpecs:
    """Describe the assets to Dagster before they are loaded."""

    def __init__(self, place: DagsterWarehouse, translator: DagsterDltTranslator) -> None:
        with TemporaryDirectory() as folder:
            self._pipeline = warehouse.open_pipeline(
                configured_tenant(), place.destination, place.dataset, folder=Path(folder)
            )
        self._translator = translator

    def table(self, name: str, relations: tuple[Relation, ...], **more: Any) -> dg.AssetSpec:
        """Return the spec of an asset, with the columns of its tables or its view."""
        resource: Any = dlt.resource([], name=name)
        spec = self._translator.get_asset_spec(DltResourceTranslatorData(resource=resource, pipeline=self._pipeline))
        first, *others = map(_columns, relations)
        columns: dict[str, Any] = {"dagster/column_schema": first}
        columns |= {relation.name: schema for relation, schema in zip(relations[1:], others, strict=True)}
        about = " ".join(f"{relation.name}: {relation.about}" for relation in relations)
        return spec.replace_attributes(description=about, **more).merge_attributes(metadata=columns)

    def family(self, name: str, **more: Any) -> dg.AssetSpec:
        """Return the spec of the asset for a family of tables (``FAMILIES``)."""
        by_name = {table.name: table for table in tables()}
        return self.table(name, tuple(by_name[table] for table in FAMILIES[name.removesuffix("_by_day")]), **more)

    def views(self) -> Iterator[dg.AssetSpec]:
        """Yield the specs of the views, which Dagster shows and never materialises."""
        sources = [self.family(name).key for name in FAMILIES]
        for view in views():
            yield self.table(view.name, (view,), deps=sources)


def _columns(relation: Relation) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(column.name, column.type, column.description) for column in relation.columns])
