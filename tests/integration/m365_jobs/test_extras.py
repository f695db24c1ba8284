"""Test that an installation without extras names the missing extra, and the command that installs it."""

import pytest
from m365_jobs.errors.exceptions import WRONG_USAGE
from m365_jobs.errors.explain import explain
from m365_jobs.errors.settings_messages import EXTRA_OF_MODULE

from tests.support.project import ROOT, extras


@pytest.mark.parametrize(("module", "extra"), EXTRA_OF_MODULE.items())
def test_a_missing_extra_is_one_line_with_the_command(module: str, extra: str) -> None:
    failure = explain(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert failure.text == f"{module} is not installed. Run: pip install 'avepoint-m365-jobs[{extra}]'"
    assert failure.exit_code == WRONG_USAGE
    assert extra in extras()


def test_the_page_names_each_extra_and_shows_the_message() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    of_users = set(extras()) - {"build", "test", "docs", "release"}
    assert {name for name in of_users if f"| `{name}` |" not in page} == set()
    failure = explain(ModuleNotFoundError("No module named 'prometheus_client'", name="prometheus_client"))
    assert f"\nError ({failure.kind}): {failure.text}\n" in page
