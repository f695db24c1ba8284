"""Test ``python -m avepoint_simulator``, as the benchmarks use it."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.avepoint_simulator.conftest import Api

COMMAND = [sys.executable, "-m", "avepoint_simulator"]


def test_it_serves_the_given_behaviour_until_its_input_closes() -> None:
    options = ["--jobs", "30", "--order", "oldest", "--reading", "start", "--generations", "2", "--dialect"]
    options += ["count_suffix=Number", "max_page_size=5", "link=none", "--fault", "redirect=3", "--drift", "remove=1"]
    process = subprocess.Popen([*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    where: Any = SimpleNamespace(**json.loads(process.stdout.readline()))
    api = Api(cast(Any, where), 2)
    (rows, paging), (_, after) = api.page(pageSize=20), api.page()
    starts = [row["startTime"] for row in rows]
    assert (len(rows), starts) == (5, sorted(starts))
    assert (set(paging), after["totalNumber"]) == ({"totalNumber"}, paging["totalNumber"] - 1)
    assert api.get().status_code == 302
    process.stdin.write("\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"requests": 3, "most_in_flight": 1}
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_an_unknown_option_of_a_dialect_is_wrong_usage() -> None:
    for option in (
        ["--behavior", "depth=3"],
        ["--behavior", "longer_ranges=no"],
        ["--dialect", "link=somewhere"],
        ["--fault", "flood=3"],
        ["--drift", "shake=1"],
    ):
        done = subprocess.run([*COMMAND, *option], input="", capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "avepoint_simulator: error: " in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_that_departs_from_the_documentation_is_started_by_its_switches() -> None:
    switches = ["depth_limit=4", 'parameter_answers={"location": "empty", "objectType=2": 400}', "clock_skew_hours=-48"]
    options = ["--jobs", "30", "--primary-location", "NAM", "--locations", "NAM", "--behavior", *switches]
    process = subprocess.Popen([*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    where: Any = SimpleNamespace(**json.loads(process.stdout.readline()))
    api = Api(cast(Any, where))
    assert (len(api.ids()), api.ids(location="NAM"), api.get(objectType=2).status_code) == (4, set(), 400)
    process.communicate(timeout=30)
