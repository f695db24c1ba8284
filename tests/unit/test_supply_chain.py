"""Test that each direct dependency has a reason, each lock has hashes, and the bill of materials is complete."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.project import ROOT, extras

PAGE = ROOT / "docs" / "explanation" / "dependencies.md"
NAME = re.compile(r"[A-Za-z0-9_.-]+")
MODULES = {"PyJWT": "jwt"}
"""Package to the module that code imports, if their names differ."""


def core() -> set[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return {name_of(item) for item in declared}


def name_of(requirement: str) -> str:
    result = NAME.match(requirement)
    assert result
    return result[0]


def explained() -> list[tuple[str, ...]]:
    """Return the rows of the page: package and reason, or package, extra and reason."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "package"]


def test_each_direct_dependency_has_its_reason() -> None:
    wanted = {(name, "") for name in core()}
    wanted |= {(name_of(item), extra) for extra, some in extras().items() if extra != "all" for item in some}
    results = [(row[0], row[1] if len(row) == 3 else "") for row in explained()]
    assert sorted(results) == sorted(wanted)
    assert all(len(row[-1]) > 5 for row in explained())


def test_each_dependency_of_the_core_is_imported() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("sources", "pipelines")
        for file in (ROOT / folder).rglob("*.py")
    )
    modules = {name: MODULES.get(name, name) for name in core()}
    assert [
        name for name, module in modules.items() if not re.search(rf"^\s*(import|from) {module}\b", code, re.M)
    ] == []


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_each_pinned_package_has_hashes(lock: str) -> None:
    pins = re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8").strip())
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_the_bill_of_materials_names_each_package_of_the_core(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.cdx.json"
    options = ["--pyproject", "pyproject.toml", "--output-file", str(bill)]
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements-core.lock", *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    document = json.loads(bill.read_text(encoding="utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements-core.lock").read_text(encoding="utf-8"), re.M)
    assert {(component["name"], component["version"]) for component in document["components"]} == set(pins)
    assert document["metadata"]["component"]["name"] == "avepoint-m365-jobs"
