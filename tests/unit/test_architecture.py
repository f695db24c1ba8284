"""Check the architecture: layers point down, no import circles, short modules, and each name is used once.

Imports inside functions count. Imports for type checkers alone (``if TYPE_CHECKING``) do not: they never run.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("sources", "pipelines")
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40

LAYERS = {
    "avepoint_m365": (
        ("avepoint_m365",),
        ("cursor_hints", "lookup", "source_config", "resources"),
        ("rows",),
        ("companions",),
        ("extract",),
        ("state",),
        ("api",),
        ("credentials",),
        ("config",),
        # The credentials of the configuration create client credentials, which import neither.
        ("api.auth", "api.certificate"),
        ("created", "endpoints", "parse"),
        ("schema",),
        ("constants", "exceptions", "futures", "text"),
    ),
    "m365_jobs": (
        ("__main__", "airflow", "dagster", "destinations", "m365_jobs"),
        ("cli", "notebook"),
        ("orchestrators", "tenant_change"),
        ("reports",),
        ("health",),
        ("load",),
        ("locks",),
        ("warehouse",),
        ("marts",),
        ("config",),
        ("schema",),
        ("errors",),
        ("terminal", "waiting"),
        ("text",),
        ("stderr",),
    ),
}
"""Layers of a package, from top to bottom; a module may import its own layer and those below."""

FORBIDDEN = {
    "avepoint_m365": {"m365_jobs", "avepoint_simulator"},
    "avepoint_simulator": {"m365_jobs", "avepoint_m365"},
}
"""Packages that a package must not import."""


def module_name(path: Path) -> str:
    """Return the import name of a module or package."""
    parts = path.with_suffix("").relative_to(ROOT).parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for tree in TREES for path in sorted((ROOT / tree).rglob("*.py"))}


def imports(name: str, path: Path) -> set[str]:
    """Return the modules of the project that a module imports, in functions as well."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), package)) - {name}


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from _imports(statement, package)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in MODULES)
        elif isinstance(child, ast.ImportFrom):
            levels = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            source = ".".join([*levels, *([child.module] if child.module else [])])
            for alias in child.names:
                yield from [item for item in (f"{source}.{alias.name}", source) if item in MODULES][:1]
        yield from _imports(child, package)


IMPORTS = {name: imports(name, path) for name, path in MODULES.items()}


def layer(name: str) -> int | None:
    """Return the number of a module's layer, by the longest entry that names it; None for a package without layers."""
    top, _, rest = name.partition(".")
    if top not in LAYERS:
        return None
    parts = (rest or top).split(".")
    places = {entry: number for number, entries in enumerate(LAYERS[top]) for entry in entries}
    for length in range(len(parts), 0, -1):
        if (number := places.get(".".join(parts[:length]))) is not None:
            return number
    raise AssertionError(f"{name} is in no layer. Add it to LAYERS.")


def test_layers_point_down() -> None:
    """Compare the layers of a module and of each module that it imports."""
    wrong = []
    for name, imported in IMPORTS.items():
        for other in imported:
            same_tree = name.partition(".")[0] == other.partition(".")[0]
            if same_tree and "." in other and (layer(name) or 0) > (layer(other) or 0):
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_imports_have_no_circles() -> None:
    """Order all modules by their imports."""
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"Import circle: {' -> '.join(error.args[1])}.")


def test_source_and_simulator_know_nothing_above_them() -> None:
    """Look for imports of the pipeline in the source, and of either in the simulator."""
    wrong = [
        f"{name} imports {other}"
        for name, imported in IMPORTS.items()
        for other in imported
        if other.partition(".")[0] in FORBIDDEN.get(name.partition(".")[0], ())
    ]
    assert wrong == []


def test_modules_are_short() -> None:
    """Count the lines of each module."""
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_functions_are_short() -> None:
    """Count the lines of each function's body, without signature and docstring."""
    wrong = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
                if (size := (node.end_lineno or 0) - first.lineno + 1) > LONGEST_FUNCTION:
                    wrong[f"{name}.{node.name}"] = size
    assert wrong == {}


def test_public_names_are_used_once() -> None:
    """List the classes and functions of all modules by name, without private ones (leading underscore)."""
    homes = defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                homes[node.name].append(name)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_public_functions_of_the_source_are_typed_without_any() -> None:
    """Read the signatures of public functions and methods; those of functions within functions are private."""
    wrong = []
    for name, path in MODULES.items():
        if name.split(".")[0] != "avepoint_m365":
            continue
        for node in _public(ast.parse(path.read_text(encoding="utf-8"))):
            annotations = [argument.annotation for argument in ast.walk(node.args) if isinstance(argument, ast.arg)]
            if any(used == "Any" for used in _names([*annotations, node.returns])):
                wrong.append(f"{name}.{node.name}")
    assert wrong == []


def _public(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in (*tree.body, *(member for owner in classes for member in owner.body)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def _names(annotations: list[ast.expr | None]) -> Iterator[str]:
    for annotation in filter(None, annotations):
        yield from (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name))
