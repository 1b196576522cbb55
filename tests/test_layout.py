"""Test the rules for the layout of the package: which folder may import which folder, and how long a module may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lectern import task_modules
from lectern.errors import UserError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lectern"
TASKS = task_modules.task_names()
TASK_FILES = {task: sorted((PACKAGE / "tasks" / task).rglob("*.py")) for task in TASKS}
SUBSYSTEM_FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "tasks" not in path.relative_to(PACKAGE).parts]
PIPELINES = sorted((ROOT / "pipelines").glob("*.py"))
SOURCES = [*SUBSYSTEM_FILES, *PIPELINES, *(path for paths in TASK_FILES.values() for path in paths)]
TASK_MODULES = (
    "data.preprocess", "data.samples", "model.module", "model.loader", "model.networks", "report.evaluate",
    "report.baseline", "serving.inference_api", "serving.request",
)  # fmt: skip
# folders of the same task that each folder of a task must not import
FORBIDDEN = {"data": ("model", "report", "serving"), "model": ("report", "serving"), "report": ("serving",)}
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_TOP_LEVEL_FILES = 250, 50, 7


def imported_names(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, at the top level or inside functions."""
    package = ["lectern", *path.relative_to(PACKAGE).parts[:-1]] if path.is_relative_to(PACKAGE) else []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            yield from (".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names)


def imported_tasks(path: Path) -> set[str]:
    """Return the tasks from which a file imports something."""
    names = (name.split(".") for name in imported_names(path))
    return {parts[2] for parts in names if parts[:2] == ["lectern", "tasks"] and len(parts) > 2}


def compares_task_with_constant(node: ast.AST) -> bool:
    """Return whether a node compares a task with a constant, for example `model.task == "digits"` or `match task`."""
    if isinstance(node, ast.Match):
        return is_task(node.subject)
    if not isinstance(node, ast.Compare):
        return False
    operands = [node.left, *node.comparators]
    return any(map(is_task, operands)) and any(has_constant(operand) for operand in operands if not is_task(operand))


def is_task(node: ast.AST) -> bool:
    """Return whether a node is `task`, `x.task` or `x["task"]`."""
    if isinstance(node, ast.Subscript):
        node = node.slice
    return "task" in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "value", None))


def has_constant(node: ast.AST) -> bool:
    """Return whether a node contains a literal string or a constant such as `IMAGE_TASKS`."""
    parts = list(ast.walk(node))
    names = [getattr(part, "id", getattr(part, "attr", "")) for part in parts]
    return any(name.isupper() for name in names) or any(isinstance(getattr(part, "value", None), str) for part in parts)


def test_the_checked_files_exist():
    assert "digits" in TASKS and all(len(files) >= len(TASK_MODULES) for files in TASK_FILES.values())
    assert len(SUBSYSTEM_FILES) >= 25 and {"fit.py", "task_modules.py"} <= {path.name for path in SUBSYSTEM_FILES}
    assert {"download", "preprocess", "train", "evaluate", "register"} <= {path.stem for path in PIPELINES}
    assert sum(len(list(imported_names(path))) for path in SOURCES) > 500


@pytest.mark.parametrize("task", TASKS)
def test_a_task_imports_no_other_task(task):
    imported = {path.name: imported_tasks(path) - {task} for path in TASK_FILES[task]}
    assert not any(imported.values()), imported
    # This assertion shows that the check does find imports.
    assert any(task in imported_tasks(path) for path in TASK_FILES[task])


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_of_a_task_imports_no_folder_of_a_later_stage(folder):
    for task in TASKS:
        prefixes = tuple(f"lectern.tasks.{task}.{later}." for later in FORBIDDEN[folder])
        for path in (PACKAGE / "tasks" / task / folder).rglob("*.py"):
            assert not [name for name in imported_names(path) if f"{name}.".startswith(prefixes)], path


@pytest.mark.parametrize("task", TASKS)
def test_model_imports_only_the_format_of_the_data(task):
    data = f"lectern.tasks.{task}.data"
    for path in (PACKAGE / "tasks" / task / "model").rglob("*.py"):
        names = [name for name in imported_names(path) if f"{name}.".startswith(f"{data}.")]
        assert all(f"{name}.".startswith(f"{data}.format.") for name in names), path


def test_subsystems_and_pipelines_name_no_task():
    """Subsystems and pipelines import the modules of a task through `task_modules` only."""
    named = []
    for path in [*SUBSYSTEM_FILES, *PIPELINES]:
        assert not imported_tasks(path), path
        constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        named += [f"{path.name}:{node.lineno}" for node in constants if node.value in TASKS]
    assert named == []


def test_no_code_branches_on_the_name_of_a_task():
    branches = {}
    for path in SOURCES:
        nodes = ast.walk(ast.parse(path.read_text()))
        branches[str(path)] = [node.lineno for node in nodes if compares_task_with_constant(node)]
    assert not any(branches.values()), {path: lines for path, lines in branches.items() if lines}


@pytest.mark.parametrize(
    ("code", "is_branch"),
    [
        ('if task == "digits": pass', True),
        ('x = model.task in ("digits", "steering")', True),
        ('while config["task"] != "digits": pass', True),
        ("match task:\n    case 'digits': pass", True),
        ("if task in IMAGE_TASKS: pass", True),
        ("if model.task == tasks.DIGITS: pass", True),
        ("if dataset.task != model.task: pass", False),
        ('if dataset["task"] != model["task"]: pass', False),
        ("if task in task_names(): pass", False),
        ("if name == 'digits': pass", False),
    ],
)
def test_the_branch_detector_finds_comparisons_with_constants_only(code, is_branch):
    assert any(map(compares_task_with_constant, ast.walk(ast.parse(code)))) == is_branch


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_the_modules_that_the_stages_use(task):
    for name in TASK_MODULES:
        assert task_modules.has_task_module(task, name), name


def test_unknown_task_is_reported_with_the_known_tasks():
    with pytest.raises(UserError, match=f"'digit'.*{', '.join(TASKS)}"):
        task_modules.task_module("digit", "model.module")


def test_optional_modules_are_found_only_if_they_exist():
    assert task_modules.has_task_module("digits", "model.module")
    assert not task_modules.has_task_module("digits", "missing")
    assert not task_modules.has_task_module("missing", "model.module")


def test_the_package_has_few_files_besides_its_packages():
    files = [path.name for path in PACKAGE.iterdir() if path.is_file()]
    assert len(files) <= MAX_TOP_LEVEL_FILES, files


def test_no_module_has_a_vague_name():
    assert not {path.stem for path in SOURCES} & {"utils", "helpers", "common", "misc"}


def test_modules_and_functions_are_short():
    for path in SOURCES:
        text = path.read_text()
        assert len(text.splitlines()) <= MAX_MODULE_LINES, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or node.lineno) - node.lineno < MAX_FUNCTION_LINES, (path, node.name)


def test_no_type_error_is_ignored():
    assert not [path for path in SOURCES if "type: ignore" in path.read_text()]


def test_every_module_starts_with_a_docstring():
    for path in SOURCES:
        module = ast.parse(path.read_text())
        assert ast.get_docstring(module) and module.body[0].lineno == 1, path
