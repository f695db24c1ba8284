"""Test that this program's defaults of dlt yield to the configuration, and leave dlt's own providers empty."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dlt
import pytest
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.load.configuration import LoaderConfiguration
from m365_jobs.config import dlt_defaults
from m365_jobs.config.dlt_defaults import DltDefaults, set_default

KEY = "load.truncate_staging_dataset"


def test_a_default_is_set_once_and_for_its_pipeline_alone(
    configuration_of: Callable[[Path], Any], tmp_path: Path
) -> None:
    configuration_of(tmp_path)
    assert [set_default(f"one.{KEY}", True), set_default(f"one.{KEY}", False)] == [True, False]
    assert dlt.config.get(KEY) is None
    for pipeline, truncates in (("one", True), ("other", False)):
        with Container().injectable_context(ConfigSectionContext(pipeline_name=pipeline, sections=("load",))):
            configuration = resolve_configuration(LoaderConfiguration(), accept_partial=True)
        assert configuration.truncate_staging_dataset is truncates


def test_dlt_asks_no_file_for_a_default(configuration_of: Callable[[Path], Any], tmp_path: Path) -> None:
    """Hold what saves 4 % of a small load: dlt skips empty providers."""
    configuration_of(tmp_path)
    set_default("runtime.log_level", "ERROR")
    asked = [provider for provider in dlt.config.config_providers if not provider.is_empty]
    assert [type(provider).__name__ for provider in asked] == ["EnvironProvider", DltDefaults.__name__]


@pytest.mark.parametrize("place", ["variable", "file"])
def test_the_configuration_overrides_a_default(
    place: str, configuration_of: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "variable":
        monkeypatch.setenv("RUNTIME__LOG_LEVEL", "ERROR")
    else:
        (tmp_path / ".dlt").mkdir()
        (tmp_path / ".dlt" / "config.toml").write_text('[runtime]\nlog_level = "ERROR"\n')
    configuration_of(tmp_path)
    assert not set_default("runtime.log_level", "CRITICAL")
    assert dlt.config.get("runtime.log_level") == "ERROR"


def test_tenants_side_by_side_set_a_default_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test two writers at once: otherwise a tenant fails because the provider is registered twice."""
    both, providers = threading.Barrier(2), list[DltDefaults]()

    def get(key: str) -> Any:
        result = providers[0].get_value(key.split(".")[1], None, None, "runtime")[0] if providers else None
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.5)  # let the other thread read before this thread writes
        return result

    fake = SimpleNamespace(get=get, config_providers=providers, register_provider=providers.append)
    monkeypatch.setattr(dlt_defaults, "dlt", SimpleNamespace(config=fake))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: set_default("runtime.dlthub_telemetry", False), range(2)))
    assert sorted(results) == [False, True]
    assert [provider.values for provider in providers] == [{("runtime", "dlthub_telemetry"): False}]
