"""A core without extras says which extra is missing, and the command that installs it."""

import pytest
from m365_jobs.errors.explain import WRONG_USAGE, explain
from m365_jobs.errors.settings_messages import EXTRA_OF_MODULE

from tests.support.project import extras


@pytest.mark.parametrize(("module", "extra"), EXTRA_OF_MODULE.items())
def test_a_missing_extra_is_one_line_with_the_command(module: str, extra: str) -> None:
    failure = explain(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert failure.text == f"{module} is not installed. Run: pip install 'avepoint-m365-jobs[{extra}]'"
    assert failure.exit_code == WRONG_USAGE
    assert extra in extras()
