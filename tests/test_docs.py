"""Check that the documentation names only files, commands, options and identifiers that exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import dvc.rwlock
import pytest
import typer
import yaml

from lectern.cli import full_app

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md")])
# The changelog also names files and commands that were removed.
CURRENT_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
SOURCES = ("src", "conf", "tests", "bench", "pipelines", "deploy", "cluster", "demo")
FOLDERS = {*SOURCES, "docs", "metrics", ".github", ".ci"}
SUFFIXES = {".py", ".yaml", ".yml", ".js", ".toml", ".json", ""}
MAX_README_WORDS = 1500


def fenced_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def inline_code(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", text)


def shell_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each shell command in code blocks and in inline code."""
    lines = [line for block in fenced_blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *(code for code in inline_code(page) if " " in code)]:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # The line is a part of a multi-line string.
            continue
        starts = [index for index, word in enumerate(words) if word in ("lectern", "make", "dvc", "python")]
        for start, end in pairwise([*starts, len(words)]):
            yield words[start:end]


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def source_text() -> str:
    """Return the text of all files that can define names: code, configs, scripts and tests."""
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    files += [*ROOT.glob("*.yaml"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    skipped = ("__pycache__", ".dvc", "lectern.egg-info")
    kept = (path for path in files if path.is_file() and path != Path(__file__) and not set(skipped) & set(path.parts))
    return "\n".join(path.read_text(errors="ignore") for path in kept)


def exists(path: str) -> bool:
    """Return whether a path of the checkout exists. The placeholders `<name>` and `NAME` match any name."""
    return any(ROOT.glob(re.sub(r"<[^>]+>|\bNAME\b", "*", path).rstrip("/")))


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the `lectern` command of a command line and its arguments. Fail if the command does not exist."""
    command, rest = typer.main.get_command(full_app()), words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"lectern has no command {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def test_readme_has_at_most_1500_words():
    assert len((ROOT / "README.md").read_text().split()) <= MAX_README_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_the_index_links_to_every_page_of_the_documentation():
    text = (ROOT / "docs" / "index.md").read_text()
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in text]
    assert missing == ["index.md"]


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: page.name)
def test_every_path_in_backticks_exists(page):
    words = [word for code in inline_code(page) for word in code.split()]
    paths = [word for word in words if word.split("/")[0] in FOLDERS and "/" in word and not re.search(r"[*{:=]", word)]
    missing = [path for path in paths if not exists(path.replace("<experiment>", "*"))]
    assert missing == []


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: page.name)
def test_every_identifier_in_backticks_occurs_in_the_sources(page):
    names = [code for code in inline_code(page) if re.fullmatch(r"[A-Za-z_][\w.]*(\(.*\))?", code)]
    last_parts = {name.partition("(")[0].split(".")[-1] for name in names if Path(name).suffix not in (".md", ".png")}
    missing = [name for name in sorted(last_parts) if not re.search(rf"\b{re.escape(name)}\b", source_text())]
    assert missing == []


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: page.name)
def test_every_lectern_command_and_option_exists(page):
    for words in shell_commands(page):
        if words[0] == "lectern" and len(words) > 1 and words[1] != "...":
            command, rest = find_command(words)
            options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            unknown = [word for word in rest if word.startswith("--") and word not in options]
            assert unknown == [] or command.name == "submit", words


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: page.name)
def test_every_make_target_and_pipeline_script_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in shell_commands(page):
        if words[0] == "make":
            named = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)]
            assert set(named) <= targets, words
        elif words[0] == "python" and len(words) > 1 and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: page.name)
def test_every_config_and_experiment_in_a_command_exists(page):
    listed = {name for folder in (".", "demo") for name in read_experiments(ROOT / folder)}
    for words in shell_commands(page):
        for word in words:
            group, equals, name = word.partition("=")
            if equals and group in ("origin", "dataset", "model", "trainer"):
                assert (ROOT / "conf" / group / f"{name}.yaml").is_file(), words
            if words[0] == "dvc" and re.fullmatch(r"(train|evaluate|register)@[\w-]+", word):
                assert word.partition("@")[2] in listed, words


def read_experiments(folder: Path) -> list[str]:
    lists = yaml.safe_load((folder / "experiments.yaml").read_text())
    return [*lists["pre_trained"], *lists["evaluated"]]


def quoted_messages(page: Path, heading: str, columns: int) -> list[str]:
    """Return the messages that the table under a heading quotes in its first columns."""
    section = page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1 : columns + 1] for line in section.splitlines() if line.startswith("| ")]
    return [code for row in rows for cell in row for code in re.findall(r"`([^`]+)`", cell) if " " in code]


@cache
def message_texts() -> list[str]:
    """Return the string literals of the package and of DVC's lock.

    Each inserted value of an f-string is replaced by `...`.
    """
    files = [*(ROOT / "src").rglob("*.py"), Path(dvc.rwlock.__file__)]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    plain = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return plain + [join_literals(node) for node in nodes if isinstance(node, ast.JoinedStr)]


def join_literals(string: ast.JoinedStr) -> str:
    return "".join(part.value if isinstance(part, ast.Constant) else "..." for part in string.values)


@pytest.mark.parametrize(
    ("page", "heading", "columns"), [("README.md", "Troubleshooting", 1), ("docs/cluster.md", "What happens if ...", 2)]
)
def test_every_quoted_message_occurs_in_the_code(page, heading, columns):
    messages = quoted_messages(ROOT / page, heading, columns)
    assert len(messages) >= 3
    missing = [message for message in messages if not any(message in text for text in message_texts())]
    assert missing == []


def test_checks_reject_a_wrong_command():
    with pytest.raises(AssertionError, match="no command"):
        find_command(["lectern", "registry", "burn"])
    assert not exists("src/lectern/no_such_module.py") and exists("src/lectern/tasks/<task>/model")


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_every_github_file_is_valid_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)
