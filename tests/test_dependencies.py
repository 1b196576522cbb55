"""Test that the dependencies of a stage in dvc.yaml include every module that the stage imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lectern.registry import packaged_code
from lectern.stages.experiments import code_dependencies
from lectern.task_modules import task_names

ROOT = Path(__file__).parents[1]
STAGES = ("download", "preprocess", "train", "evaluate", "register")
STARTS_STAGES = "parses the command line and the config; it computes no output"
TRACKING = "writes to the tracking store and explains its errors; no output depends on it"
WRITER = "replaces files atomically; it does not change their content"
# maps each stage and path below src/lectern to the reason why changes of the path do not change the output
EXCEPTIONS: dict[str, dict[str, str]] = {
    stage: {
        "stages/stage.py": STARTS_STAGES,
        "stages/config_files.py": STARTS_STAGES,
        "stages/help_text.py": STARTS_STAGES,
        "tracking": TRACKING,
    }
    for stage in STAGES
}
for _stage in STAGES[:-1]:  # a registered version contains these files, so the stage register depends on them
    EXCEPTIONS[_stage] |= {
        "current_checkout.py": "selects the checkout whose code runs; this code is a dependency itself",
        "task_modules.py": "finds modules by name; those modules are dependencies themselves",
        "config.py": "checks config sections; their values are parameters of the stage",
        "errors.py": "defines exceptions",
        "atomic.py": WRITER,
    }
EXCEPTIONS["download"] |= {
    "artifacts": "names folders and computes digests; every file is checked against a pinned digest",
    "tasks": "makes sample files; their content is checked against a pinned or recorded digest",
}
EXCEPTIONS["preprocess"] |= {"cluster/array_jobs.py": "starts processes; it does not change what they compute"}
EXCEPTIONS["train"] |= {"debugging": "runs only with debug=..., and writes no output of the stage"}
for _stage in ("train", "evaluate", "register"):
    EXCEPTIONS[_stage] |= {"stages/experiments.py": "reads the lists in dvc.yaml"}
EXCEPTIONS["register"] |= {"plotting.py": "draws plots of the report, which is an input of this stage"}


def module_file(source: Path, name: str) -> Path | None:
    """Return the file of a module or package below a source folder."""
    path = source.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def imported_names(path: Path, task: str) -> tuple[str, ...]:
    """Return the name of every module that a file may import, at the top level or inside functions."""
    return tuple(name for node in ast.walk(ast.parse(path.read_text())) for name in names_of(node, task))


def names_of(node: ast.AST, task: str) -> Iterator[str]:
    """Yield the modules that a node of a syntax tree imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and is_task_module(node):
        yield f"lectern.tasks.{task}.{ast.literal_eval(node.args[1])}"


def is_task_module(call: ast.Call) -> bool:
    """Return whether a call is `task_module(task, "a.constant.name")`."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return name == "task_module" and len(call.args) == 2 and isinstance(call.args[1], ast.Constant)


@cache
def imported_files(script: Path, source: Path, task: str) -> set[Path]:
    """Return every file that a script imports, directly or indirectly, without empty packages."""
    files, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        files.add(path)
        found = {module_file(source, name) for name in imported_names(path, task)}
        waiting += [file for file in found if file is not None and file not in files]
    return {file for file in files if file.name != "__init__.py"} - {script}


def has_code(path: Path) -> bool:
    """Return whether a file contains more than a docstring."""
    return len(ast.parse(path.read_text()).body) > 1


@cache
def stage_files(stage: str, task: str) -> set[Path]:
    """Return the files that a stage imports, and the files that the register stage copies into a version."""
    copied = set(packaged_code.imported_files(task)) if stage == "register" else set()
    imported = imported_files(ROOT / "pipelines" / f"{stage}.py", ROOT / "src", task)
    return imported | set(filter(has_code, copied))


def is_below(path: Path, parents: list[Path]) -> bool:
    return any(path == parent or parent in path.parents for parent in parents)


@cache
def unlisted(stage: str, task: str) -> list[str]:
    """Return the imported files that dvc.yaml does not list as dependencies of a stage."""
    listed = code_dependencies(stage, task, ROOT)
    files = stage_files(stage, task)
    return sorted(str(path.relative_to(ROOT / "src/lectern")) for path in files if not is_below(path, listed))


@pytest.mark.parametrize("task", task_names())
@pytest.mark.parametrize("stage", STAGES)
def test_every_imported_module_is_a_dependency_or_an_exception(stage, task):
    allowed = [Path(path) for path in EXCEPTIONS[stage]]
    assert [path for path in unlisted(stage, task) if not is_below(Path(path), allowed)] == []


@pytest.mark.parametrize("task", task_names())
def test_every_file_with_code_that_a_version_contains_is_a_dependency_of_register(task):
    """Otherwise the server refuses a version whose code differs, and DVC does not register the outputs again."""
    listed = code_dependencies("register", task, ROOT)
    copied = [path for path in packaged_code.imported_files(task) if has_code(path)]
    assert [path for path in copied if not is_below(path, listed)] == [] and len(copied) > 20


@pytest.mark.parametrize("stage", STAGES)
def test_every_exception_is_needed(stage):
    needed = {path for task in task_names() for path in unlisted(stage, task)}
    unneeded = [entry for entry in EXCEPTIONS[stage] if not any(is_below(Path(path), [Path(entry)]) for path in needed)]
    assert unneeded == [] and all(EXCEPTIONS[stage].values())


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_is_imported_for_some_task(stage):
    used = set()
    for task in task_names():
        files = stage_files(stage, task)
        listed = code_dependencies(stage, task, ROOT)[1:]  # The first dependency is the script of the stage.
        used |= {index for index, path in enumerate(listed) if any(is_below(file, [path]) for file in files)}
    assert used == set(range(len(code_dependencies(stage, "digits", ROOT)) - 1))


@pytest.mark.parametrize("task", task_names())
def test_train_depends_on_neither_report_nor_serving(task):
    paths = [path.parts for path in code_dependencies("train", task, ROOT)]
    assert not [parts for parts in paths if {"report", "serving"} & set(parts)]


def test_indirect_function_level_and_named_imports_are_found(tmp_path):
    package = tmp_path / "lectern"
    (package / "tasks/toy/model").mkdir(parents=True)
    (package / "first.py").write_text("def late():\n    from lectern import second\n")
    (package / "second.py").write_text("task_module(task, 'model.module')\n")
    (package / "unused.py").write_text("")
    (package / "tasks/toy/model/module.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text("from lectern.first import late\n")
    names = {path.name for path in imported_files(script, tmp_path, "toy")}
    assert names == {"first.py", "second.py", "module.py"}
