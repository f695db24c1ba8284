"""Test the published package: its description on a package index, and one version everywhere."""

import json
import re
import subprocess
import sys

from tests.support.project import ROOT

LINK = re.compile(r"\]\(([^)]*)\)")


def test_the_description_on_a_package_index_has_no_link_into_the_repository() -> None:
    """Test the links of the README: a package index shows it without the files beside it."""
    command = [sys.executable, "-m", "hatchling", "metadata"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    readme = json.loads(done.stdout)["readme"]
    assert readme["content-type"] == "text/markdown"
    text = readme["text"]
    assert [link for link in LINK.findall(text) if not link.startswith("https://")] == []
    for line in ("# AvePoint M365 Jobs", "make run", "| load my tenant | install, first real load |"):
        assert line in text.splitlines()
