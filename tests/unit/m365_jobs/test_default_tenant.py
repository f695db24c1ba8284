"""Test the label of the tenant without a section of its own."""

import pytest
from avepoint_m365.exceptions import ConfigurationError
from m365_jobs.config.default_tenant import configured_tenant


def test_an_empty_label_is_refused_rather_than_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__AVEPOINT_M365__TENANT", "")
    with pytest.raises(ConfigurationError, match=r"Empty label: sources\.avepoint_m365\.tenant = ''\. Set a name\."):
        configured_tenant()
