"""Return texts for settings and packages that are missing or invalid, each with its cure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigValueCannotBeCoercedException,
    FieldLookupTraces,
    LookupTraces,
    ValueNotSecretException,
)
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.exceptions import MissingDependencyException

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": 'a list such as ["a", "b"]',
}
"""What dlt's type hints are called where people read them."""

EXTRAS = {"postgres": "postgres", "deltalake": "lake", "pyiceberg": "lake"}
"""Extras of dlt that are extras of this project under another name."""

EXTRA_OF_MODULE = {
    **dict.fromkeys(("starlette", "uvicorn", "anyio", "jinja2", "markupsafe"), "reports"),
    **dict.fromkeys(("weasyprint", "pypdfium2", "PIL"), "reports"),
    "marimo": "notebook",
    "prompt_toolkit": "prompt",
    "prometheus_client": "prometheus",
    **dict.fromkeys(("psycopg2",), "postgres"),
    **dict.fromkeys(("deltalake", "pyiceberg", "sqlalchemy"), "lake"),
    **dict.fromkeys(("dagster", "dagster_dlt"), "dagster"),
    "airflow": "airflow",
}
"""Module to the extra of this project that installs it."""


def value_not_secret(error: ValueNotSecretException) -> str:
    """Return the text for a secret outside of the secrets."""
    return f"{error.key} must not be in {error.provider_name}. Move it to .dlt/secrets.toml or the environment."


def invalid_toml(error: TomlProviderReadException) -> str:
    """Return the text for a configuration file that cannot be parsed."""
    text = first_paragraph(error)
    if any(_has_backslash(Path(path)) for path in error.full_paths):
        text += " Write Windows paths in single quotes: 'C:\\backup\\warehouse.duckdb'."
    return text


def _has_backslash(path: Path) -> bool:
    try:
        return re.search(r'"[^"\n]*\\[^"\n]*"', path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def extra_missing(module: str) -> str:
    """Return the text for a module of an extra that is not installed."""
    package = module.split(".")[0]
    return f"{package} is not installed. Run: pip install 'avepoint-m365-jobs[{EXTRA_OF_MODULE[package]}]'"


def package_missing(error: MissingDependencyException) -> str:
    """Return the text for a package that dlt needs and does not find."""
    extra = next(
        (ours for word, ours in EXTRAS.items() if any(word in dependency for dependency in error.dependencies)), None
    )
    cure = f"pip install 'avepoint-m365-jobs[{extra}]'" if extra else f"pip install {' '.join(error.dependencies)}"
    return f"{error.caller} needs a package that is not installed. Run: {cure}"


def fields_missing(error: ConfigFieldMissingException) -> str:
    """Return the text for settings without a value."""
    names = ", ".join(_lacking(error.traces))
    return (
        f"The configuration of {error.spec_name} lacks {names}. Set it in .dlt/secrets.toml, in .dlt/config.toml or in "
        "the environment; --verbose lists the names that were tried."
    )


def _lacking(traces: FieldLookupTraces) -> Iterator[str]:
    """Yield the fields without a value.

    A field with fields of its own yields those that it lacks. A field of several forms is named as a whole, since its
    forms lack different ones.
    """
    for field, tried in traces.items():
        match tried:
            case [LookupTraces(traces=inner)]:
                yield from (f"{field}.{lacking}" for lacking in _lacking(inner))
            case _:
                yield field


def value_of_another_type(error: ConfigValueCannotBeCoercedException) -> str:
    """Return the text for a setting of another type."""
    value = f"{error.field_value!r}" if "secret" not in str(error.hint).lower() else "the value"
    name = getattr(error.hint, "__name__", str(error.hint))
    # dlt does not say of which section it is: of the source's, of a destination's, or one of its own.
    ours = error.field_name.startswith("tenants.") or error.field_name in inspect.signature(avepoint_m365).parameters
    return f"{SECTION + '.' if ours else ''}{error.field_name} = {value} is not {TYPES.get(name, name)}."


def first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of an error's text in one line, at most 500 characters."""
    text = str(error).strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", text)[:500]
