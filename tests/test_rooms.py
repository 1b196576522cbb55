"""The house keeps its rooms apart: each can be read, changed and removed alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lectern import task_modules
from lectern.errors import UserError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lectern"
ROOMS = task_modules.task_names()
FILES = {room: sorted((PACKAGE / room).rglob("*.py")) for room in ROOMS}
HALL = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in ROOMS]
PIPELINES = sorted((ROOT / "pipelines").glob("*.py"))
LEGS = ("preprocess", "batches", "networks", "module", "report", "answer")  # what every room offers


def imported(path: Path) -> Iterator[str]:
    """The full name of everything that a file imports, wherever in it."""
    package = ["lectern", *path.relative_to(PACKAGE).parts[:-1]] if path.is_relative_to(PACKAGE) else []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            yield from (".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names)


def rooms_reached(path: Path) -> set[str]:
    return {parts[1] for name in imported(path) if (parts := name.split("."))[0] == "lectern" and parts[1] in ROOMS}


def compares_task(node: ast.AST) -> bool:
    """`task == ...`, `x.task in ...`, `x["task"] != ...`, `match task`."""
    if isinstance(node, ast.Match):
        return is_task(node.subject)
    return isinstance(node, ast.Compare) and any(map(is_task, [node.left, *node.comparators]))


def is_task(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        node = node.slice
    return "task" in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "value", None))


def test_the_rooms_and_the_hall_are_found():
    assert "digits" in ROOMS and all(len(files) >= len(LEGS) for files in FILES.values())
    assert len(HALL) >= 25 and {"training.py", "rooms.py"} <= {path.name for path in HALL}
    assert {"download", "preprocess", "train", "evaluate", "register"} <= {path.stem for path in PIPELINES}
    assert sum(len(list(imported(path))) for path in [*HALL, *PIPELINES]) > 200


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_other_room(room):
    reached = {path.name: rooms_reached(path) - {room} for path in FILES[room]}
    assert not any(reached.values()), reached
    assert any(room in rooms_reached(path) for path in FILES[room])  # it does import itself: they would be seen


def test_the_hall_and_the_stages_import_no_room_by_name():
    reached = {path.name: rooms_reached(path) for path in [*HALL, *PIPELINES]}
    assert not any(reached.values()), reached


def test_neither_hall_nor_stages_name_a_room():
    """A room's name in a string would be the same import by another door; docstrings may give examples."""
    named = []
    for path in [*HALL, *PIPELINES]:
        tree = ast.parse(path.read_text())
        docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if hasattr(node, "body") and
                      isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)}  # fmt: skip
        named += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value not in docstrings and node.value in ROOMS
        ]
    assert named == []


def test_nothing_branches_on_a_task():
    paths = [*HALL, *PIPELINES, *sum(FILES.values(), [])]
    found = {}
    for path in paths:
        lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if compares_task(node)]
        found |= {path.relative_to(ROOT).as_posix(): lines} if lines else {}
    assert set(found) <= {"src/lectern/plan.py", "src/lectern/rooms.py"}, found  # does model fit data; is there a room


@pytest.mark.parametrize(
    ("source", "branches"),
    [
        ('if task == "digits": pass', True),
        ('if plan.task != "digits": pass', True),
        ('x = 1 if config["task"] in ("digits",) else 2', True),
        ("match model.task:\n case 1: pass", True),
        ('if name == "task": pass', True),
        ("task = leg(task)", False),
    ],
)
def test_a_branch_on_a_task_would_be_seen(source, branches):
    assert any(map(compares_task, ast.walk(ast.parse(source)))) is branches


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_every_leg(room):
    assert {f"{leg}.py" for leg in LEGS} <= {path.name for path in FILES[room]}


def test_an_unknown_task_is_answered_with_those_there_are():
    with pytest.raises(UserError, match=r"There is no task 'digit'. The tasks are: .*digits"):
        task_modules.task_module("digit", "model.module")


def test_a_leg_that_a_room_lacks_is_known_to_be_missing():
    assert task_modules.has_task_module("digits", "model.module") and not task_modules.has_task_module(
        "digits", "cellar"
    )
    assert not task_modules.has_task_module("cellar", "model.module")


@pytest.mark.parametrize("path", [*HALL, *PIPELINES, *sum(FILES.values(), [])], ids=lambda path: path.name)
def test_every_file_says_first_what_goes_in_and_what_comes_out(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) and tree.body[0].lineno == 1
