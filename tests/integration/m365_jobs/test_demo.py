"""The demo's promise: the warehouse it leaves is what its simulator holds, row for row."""

import re
from pathlib import Path

import pytest
from m365_jobs.cli import demo

from tests.support.truth import in_warehouse, on_server


def test_the_demo_leaves_what_the_simulator_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    simulator = demo.run_demo(700)
    assert in_warehouse(tmp_path / "m365_warehouse.duckdb", "simulated") == on_server(simulator.world, False)
    said = capsys.readouterr().err
    # Whoever compares the two must not find jobs missing.
    (told,) = re.findall(r"A simulated tenant with ([\d,]+) jobs", said)
    assert f"Read {told} jobs" in said
