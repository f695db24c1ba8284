"""Make texts about settings and packages that are missing or invalid, each with its cure."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from avepoint_m365 import avepoint_m365
from avepoint_m365.config import SECTION
from avepoint_m365.exceptions import SourceError
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigValueCannotBeCoercedException,
    FieldLookupTraces,
    InvalidNativeValue,
    LookupTrace,
    LookupTraces,
    ValueNotSecretException,
)
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.exceptions import MissingDependencyException

from m365_jobs.text import format_time

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": 'a list such as ["a", "b"]',
}
"""Names of dlt's type hints in messages."""

EXTRAS = {"postgres": "postgres", "deltalake": "lake", "pyiceberg": "lake"}
"""Extras of this project, by words in the dependencies that dlt misses."""

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
"""Extras of this project, by the modules that they install."""


def value_not_secret(error: ValueNotSecretException) -> str:
    """Return the text for a secret in a file that is not secret."""
    return (
        f"Misplaced secret: {error.key} must not be in {error.provider_name}. Move it to .dlt/secrets.toml or the "
        "environment."
    )


def invalid_toml(error: TomlProviderReadException) -> str:
    """Return the text for a configuration file that cannot be parsed."""
    texts = {Path(path).absolute(): _text_of(Path(path)) for path in error.full_paths}
    path = next((path for path, text in texts.items() if not _is_toml(text)), Path(error.file_name))
    # dlt puts the parser's message below a line of its own.
    detail = " ".join(str(error).split("\n", 1)[-1].split())[:500].rstrip(".")
    text = f"Invalid TOML: {path}: {detail}. Correct that line."
    if re.search(r'"[^"\n]*\\[^"\n]*"', texts.get(path, "")):
        text += " Write Windows paths in single quotes: 'C:\\backup\\warehouse.duckdb'."
    return text


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def empty_range(since: datetime, until: datetime) -> str:
    """Return the text for a range of --since and --until that holds no moment."""
    begin, end = format_time(since), format_time(until)
    return f"Empty range: --since {begin} must lie before its end, {end}. Set an earlier start."


def extra_missing(module: str) -> str:
    """Return the text for a module of an extra that is not installed."""
    package = module.split(".")[0]
    return f"{package} is not installed. Run: pip install 'avepoint-m365-jobs[{EXTRA_OF_MODULE[package]}]'"


def package_missing(error: MissingDependencyException) -> str:
    """Return the text for a package that dlt needs and does not find."""
    extras = [extra for word, extra in EXTRAS.items() if any(word in dependency for dependency in error.dependencies)]
    extra = extras[0] if extras else None
    cure = f"pip install 'avepoint-m365-jobs[{extra}]'" if extra else f"pip install {' '.join(error.dependencies)}"
    return f"{error.caller} needs a package that is not installed. Run: {cure}"


def fields_missing(error: ConfigFieldMissingException) -> str:
    """Return the text for settings without a value."""
    names = ", ".join(_lacking(error.traces))
    return (
        f"Missing settings: {names}. Set them in .dlt/secrets.toml, in .dlt/config.toml or in the environment; "
        "--verbose lists the names that were tried."
    )


def _lacking(traces: FieldLookupTraces) -> Iterator[str]:
    """Yield the fields without a value, each with the section that dlt looks into first.

    For a field with inner fields, these are yielded. A field of several forms is yielded as a whole, since its forms
    lack different fields.
    """
    for field, lookups in traces.items():
        match lookups:
            case [LookupTraces(traces=inner)]:
                yield from _lacking(inner)
            case [LookupTraces(traces=inner), *_]:
                yield next(_lacking(inner), field).rpartition(".")[0] or field
            case _:
                sections = (lookup.sections for lookup in lookups if isinstance(lookup, LookupTrace))
                yield ".".join([*max(sections, key=len, default=()), field])


def value_of_another_type(error: ConfigValueCannotBeCoercedException) -> str:
    """Return the text for a setting of another type, without the value of a secret."""
    value = f"{error.field_value!r}" if "secret" not in str(error.hint).lower() else "the value"
    type_name = getattr(error.hint, "__name__", str(error.hint))
    # dlt does not report the section of a key: that of the source, of a destination, or of dlt itself.
    parameters = inspect.signature(avepoint_m365).parameters
    is_of_source = error.field_name.startswith("tenants.") or error.field_name in parameters
    key = f"{SECTION}.{error.field_name}" if is_of_source else error.field_name
    return f"Invalid value: {key} = {value} is not {TYPES.get(type_name, type_name)}."


def value_not_parsed(error: InvalidNativeValue) -> str:
    """Return the problem with credentials that are one text."""
    inner = error.inner_exception
    return str(inner) if isinstance(inner, SourceError) else first_paragraph(error)


def first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of an error's text as one line of at most 500 characters."""
    text = str(error).strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", text)[:500]
