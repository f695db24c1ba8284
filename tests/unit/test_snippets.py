"""Test that each command and configuration in the README and the documentation is valid."""

import ast
import inspect
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click import ClickException
from m365_jobs.cli.app import app
from m365_jobs.config.alerts import alert_rules
from m365_jobs.config.program_keys import CALENDAR
from m365_jobs.config.tenants import KEYS
from m365_jobs.config.unknown_settings import KNOWN
from m365_jobs.health.channels.configured import settings_table

from tests.support.project import ROOT, extras
from tests.support.reference import arguments
from tests.support.snippets import PAGES, SNIPPETS, Snippet, in_language, inline_code

TOOLS = frozenset(
    {"airflow", "apt-get", "cd", "copy", "cp", "dagster", "dlt", "docker", "kubectl", "marimo", "pg_dump"}
    | {"pip", "pipx", "py", "python", "uv"}
)
"""Other programs that pages show."""

GROUP: Any = typer.main.get_command(app)
OPTIONS = {
    name: {option for parameter in command.params for option in parameter.opts}
    for name, command in (*GROUP.commands.items(), *GROUP.commands["tenant"].commands.items())
}
GENERAL = frozenset({"--help", "--version"})
"""Options without a command."""

SECTION = "sources.avepoint_m365"


def commands(snippet: Snippet) -> list[list[str]]:
    """Return the words of each command without comments. A pipe separates commands; a redirection counts as `cd`."""
    results = []
    for line in snippet.text.replace("\\\n", " ").splitlines():
        if snippet.language == "powershell":
            line = line.replace("\\", "/")
        if snippet.language == "cron":
            line = line.split(None, 5)[5]
        parser = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
        parser.whitespace_split = True
        words: list[str] = []
        for word in parser:
            if set(word) <= set("|>&;"):
                results.append(words)
                words = [] if ">" not in word else ["cd"]
            else:
                words.append(word)
        results.append(words)
    return [words for words in results if words]


def check(words: list[str]) -> None:
    """Parse a command as the program does, without running it."""
    program, *rest = words
    name = program.rsplit("/", 1)[-1]
    if name == "m365-jobs":
        command = GROUP
        while hasattr(command, "commands") and rest[0] not in GENERAL:
            command = command.commands[rest.pop(0)]
        if rest[:1] != ["--version"]:
            command.make_context(name, rest)
    elif name == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert name in TOOLS, f"{name} is not a tool that pages show."
        for word in rest:
            if match := re.search(r"(?:avepoint-m365-jobs|^\.)\[([\w,]+)\]", word):
                assert set(match[1].split(",")) <= set(extras())
            if word.endswith(".lock"):
                assert (ROOT / word).exists()


def test_each_block_names_its_language() -> None:
    known = {"sh", "powershell", "cron", "python", "sql", "toml", "yaml", "text", "mermaid", "nginx"}
    assert {str(snippet): snippet.language for snippet in SNIPPETS if snippet.language not in known} == {}


@pytest.mark.parametrize("snippet", in_language("sh", "powershell", "cron"), ids=str)
def test_commands_are_those_of_the_program(snippet: Snippet) -> None:
    for words in commands(snippet):
        try:
            check(words)
        except ClickException as error:
            pytest.fail(f"{' '.join(words)}: {error.message}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_within_texts_name_real_commands_and_options(path: Path) -> None:
    for code in inline_code(path):
        if code.startswith("m365-jobs "):
            words = re.sub(r"[][]", " ", code).split()[1:]
            name = next((word for word in reversed(words[:2]) if word in OPTIONS), None)
            if name is None:
                assert words[0] in GENERAL, code
                continue
            wrong = [word for word in words if word.startswith("--") and word not in OPTIONS[name] | {"--help"}]
            assert wrong == [], code


@pytest.mark.parametrize("snippet", in_language("toml"), ids=str)
def test_configuration_has_known_keys_only(snippet: Snippet) -> None:
    settings = tomllib.loads(snippet.text)
    assert unknown_keys(settings) == []


@pytest.mark.parametrize("name", [".dlt/config.toml", ".dlt/example.secrets.toml"])
def test_examples_of_configuration_have_known_keys_only(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert unknown_keys(tomllib.loads(text)) == []
    commented = re.sub(r"^# (?=\[[\w.]+\]$|\w+ = )", "", text, flags=re.MULTILINE)
    # A section or key that the file sets twice shows two alternatives; each is parsed alone.
    for part in re.split(r"^(?=\[)", commented, flags=re.MULTILINE):
        keys = {line.partition(" = ")[0]: line for line in part.splitlines()}
        assert unknown_keys(tomllib.loads("\n".join(keys.values()))) == []


def unknown_keys(settings: dict[str, Any]) -> list[str]:
    """Return the keys that this program does not know; destinations have their own tests."""
    source = settings.get("sources", {}).get("avepoint_m365", {})
    wrong = [f"{SECTION}.{key}" for key in source if key not in KNOWN[SECTION]]
    wrong += [f"protection.{key}" for key in source.get("protection", {}) if key not in KNOWN[f"{SECTION}.protection"]]
    for tenant in source.get("tenants", {}).values():
        wrong += [f"tenants.{key}" for key in tenant if key not in {*KEYS, *CALENDAR, "credentials", "trusted_hosts"}]
    alerts = settings.get("alerts", {})
    rules = set(inspect.signature(alert_rules).parameters)
    wrong += [f"alerts.{key}" for key in alerts if key not in rules | {"channels"}]
    for name, channel in alerts.get("channels", {}).items():
        known = settings_table()[channel.get("type", name)]
        wrong += [f"channels.{name}.{key}" for key in channel if key not in {*known, "type"}]
    known_sections = {"sources", "alerts", "destination", "destination_type", "staging_type", "runtime"}
    return wrong + [key for key in settings if key not in known_sections]


@pytest.mark.parametrize("snippet", in_language("python"), ids=str)
def test_python_can_be_parsed(snippet: Snippet) -> None:
    ast.parse(snippet.text)


@pytest.mark.parametrize("snippet", in_language("yaml"), ids=str)
def test_yaml_can_be_parsed(snippet: Snippet) -> None:
    assert list(yaml.safe_load_all(snippet.text))


def test_arguments_of_a_docstring_are_found() -> None:
    text = (
        "Do it.\n\n    Args:\n        one: First\n            part.\n        two: ``b``.\n\n    Raises:\n        E: no."
    )
    assert arguments(text, "Args") == {"one": "First part.", "two": "`b`."}
