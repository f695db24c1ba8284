"""Change the folder whose configuration dlt reads."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext


@pytest.fixture
def configuration_of() -> Iterator[Callable[[Path], PluggableRunContext]]:
    """Yield a function that lets dlt read the configuration of another folder until the test ends."""
    context = Container()[PluggableRunContext]
    before = context.context.run_dir

    def read(folder: Path) -> PluggableRunContext:
        context.reload(str(folder))
        return context

    yield read
    context.reload(before)
