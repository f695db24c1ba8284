"""Test that a signal during a step of dlt interrupts the caller; dlt forgets it once the step ends well."""

import signal
from pathlib import Path
from typing import Any

import pytest
from dlt.common.runners import pool_runner
from m365_jobs.errors.exceptions import INTERRUPTED
from m365_jobs.errors.explain import explain
from m365_jobs.warehouse.pipeline import open_pipeline


@pytest.mark.parametrize("step", ["normalize", "load"])
def test_a_signal_during_a_step_of_dlt_interrupts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    pipeline = open_pipeline("contoso", file=tmp_path / "warehouse.duckdb", folder=tmp_path)
    pipeline.extract([{"number": 1}], table_name="numbers")
    if step == "load":
        pipeline.normalize()
    run_pool = pool_runner.run_pool

    def signalled(*arguments: Any) -> Any:
        result = run_pool(*arguments)
        signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(pool_runner, "run_pool", signalled)
        with pytest.raises(BaseException) as raised:  # noqa: PT011
            getattr(pipeline, step)()
    assert explain(raised.value).exit_code == INTERRUPTED
    pipeline.normalize()
    pipeline.load()
    with pipeline.sql_client() as client:
        assert client.execute_sql("SELECT number FROM numbers") == [(1,)]
