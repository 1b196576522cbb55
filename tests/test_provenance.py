"""Test that a run records the commit of the code and configs that it used, or a commit with the suffix `-dirty`."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from checkout import Checkout

RECORD = "from lectern.tracking.provenance import git_commit; print(git_commit())"
CODE, CONFIG = "src/lectern/training/optimizers.py", "conf/model/digits_cnn.yaml"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return Checkout(tmp_path_factory.mktemp("original") / "lectern").folder


@pytest.fixture
def checkout(original, tmp_path) -> Checkout:
    """Return a checkout without uncommitted changes."""
    checkout = Checkout.__new__(Checkout)
    checkout.folder = shutil.copytree(original, tmp_path / "lectern", symlinks=True)
    return checkout


def recorded(checkout: Checkout, code: str = RECORD, **environment: str) -> str:
    """Return the commit that a process records if it imports the package of a checkout."""
    return checkout.do(sys.executable, "-c", code, **environment).strip()


def head(checkout: Checkout) -> str:
    return checkout.git("rev-parse", "HEAD").strip()


def edit_same_size(path: Path) -> None:
    """Change a digit of a file. The size and the times of the file stay the same."""
    before = path.stat()
    text = path.read_text()
    changed = text.replace("1", "2", 1)
    assert changed != text
    path.write_text(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_clean_checkout_records_its_commit(checkout):
    assert recorded(checkout) == head(checkout)


def test_results_untracked_notes_and_bytecode_are_no_changes(checkout):
    for path in ("metrics/demo-digits.json", "registry/mnist.jsonl", "dvc.lock", "notes.txt", "conf/model/notes.md~"):
        (checkout / path).parent.mkdir(exist_ok=True)
        (checkout / path).write_text("{}")
    assert list((checkout / "src").rglob("*.pyc")) or recorded(checkout)
    assert recorded(checkout) == head(checkout)


@pytest.mark.parametrize("path", [CODE, CONFIG, "params.yaml", "pipelines/train.py"])
def test_a_changed_file_is_recorded_although_its_size_and_times_are_those_of_the_index(checkout, path):
    checkout.git("config", "core.trustctime", "false")
    checkout.git("config", "core.checkStat", "minimal")
    # This time is older than the git index, so git trusts the recorded times.
    old = (checkout / path).stat().st_mtime_ns - 10**12
    os.utime(checkout / path, ns=(old, old))
    checkout.git("update-index", "--refresh")
    (checkout / path).write_text((checkout / path).read_text() + "# 1\n")
    os.utime(checkout / path, ns=(old, old))
    checkout.git("commit", "--quiet", "--all", "--message=Add a comment")
    edit_same_size(checkout / path)
    assert checkout.git("status", "--porcelain") == ""
    assert recorded(checkout) == f"{head(checkout)}-dirty"


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_changed_file_that_git_skips_is_recorded(checkout, mark):
    checkout.git("update-index", mark, CONFIG)
    (checkout / CONFIG).write_text((checkout / CONFIG).read_text() + "# a comment\n")
    assert checkout.git("status", "--porcelain") == ""
    assert recorded(checkout) == f"{head(checkout)}-dirty"


@pytest.mark.parametrize(
    "path",
    ["src/lectern/tasks/digits/model/more.py", "src/torchmetrics.py", "conf/model/more.yaml", "pipelines/json.py"],
)
def test_code_that_is_not_committed_is_recorded_even_if_git_ignores_it(checkout, path):
    (checkout / ".git/info/exclude").write_text("more.*\ntorchmetrics.py\njson.py\n")
    (checkout / path).write_text("")
    assert checkout.git("status", "--porcelain") == ""
    assert recorded(checkout) == f"{head(checkout)}-dirty"


def test_a_deleted_file_is_recorded(checkout):
    checkout.git("update-index", "--skip-worktree", CODE)
    (checkout / CODE).unlink()
    assert recorded(checkout) == f"{head(checkout)}-dirty"


def test_a_file_that_is_staged_and_restored_is_no_change(checkout):
    before = (checkout / CODE).read_text()
    (checkout / CODE).write_text("")
    checkout.git("add", CODE)
    (checkout / CODE).write_text(before)
    assert recorded(checkout) == head(checkout)


def test_a_git_hook_of_another_repository_does_not_change_the_commit(checkout, tmp_path):
    """A git hook sets GIT_DIR and GIT_INDEX_FILE for all commands that the hook runs."""
    other = tmp_path / "other"
    checkout.git("init", "--quiet", str(other))
    checkout.git("-C", str(other), "commit", "--quiet", "--allow-empty", "--message=Another project")
    hook = {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / ".git/index")}
    assert recorded(checkout, **hook) == head(checkout)


def test_a_replaced_commit_is_not_mistaken_for_the_recorded_one(checkout):
    original = head(checkout)
    (checkout / CODE).write_text("")
    checkout.git("commit", "--quiet", "--all", "--message=Another tree")
    checkout.git("replace", original, "HEAD")
    checkout.git("reset", "--quiet", "--soft", original)
    assert recorded(checkout) == f"{original}-dirty"


def test_an_archive_inside_another_repository_has_no_commit(checkout, tmp_path):
    """An unpacked source archive must not record the commit of the project that contains it."""
    shutil.rmtree(checkout / ".git")
    assert recorded(checkout) == "unknown"
    checkout.do("git", "init", "--quiet", str(tmp_path))
    checkout.do("git", "-C", str(tmp_path), "commit", "--quiet", "--allow-empty", "--message=Another project")
    assert recorded(checkout) == "unknown"


def test_a_checkout_inside_another_repository_is_compared_with_its_own_folder(checkout, tmp_path):
    shutil.rmtree(checkout / ".git")
    checkout.do("git", "init", "--quiet", str(tmp_path))
    checkout.do("git", "-C", str(tmp_path), "add", ".")
    checkout.do("git", "-C", str(tmp_path), "commit", "--quiet", "--message=Lectern in a folder")
    assert recorded(checkout) == head(checkout)
    (checkout / CONFIG).write_text("")
    assert recorded(checkout) == f"{head(checkout)}-dirty"


def test_configs_of_another_checkout_are_compared_with_the_commit_of_the_package(checkout, tmp_path):
    """`dvc exp run --queue` and a second git worktree have their own configs, but can import the first package."""
    checkout.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"))
    in_second = f"import os; os.chdir({str(tmp_path / 'second')!r})\n{RECORD}"
    assert recorded(checkout, in_second) == head(checkout)
    (tmp_path / "second" / CONFIG).write_text("")
    assert recorded(checkout, in_second) == f"{head(checkout)}-dirty" and recorded(checkout) == head(checkout)


def test_bytecode_of_an_earlier_content_is_recorded(checkout):
    """Python runs old bytecode if the size and the modification time in seconds of the source have not changed."""
    import_module = "from lectern.training import world_size; print(world_size.__doc__)\n"
    (checkout / "src/lectern/training/world_size.py").write_text('"""Version 1."""\n')
    assert recorded(checkout, import_module) == "Version 1."
    edit_same_size(checkout / "src/lectern/training/world_size.py")
    checkout.git("commit", "--quiet", "--all", "--message=Change the version")
    output = recorded(checkout, import_module + RECORD)
    assert output.splitlines() == ["Version 1.", f"{head(checkout)}-dirty"]


def test_a_changed_submodule_is_recorded(checkout, tmp_path):
    library = tmp_path / "library"
    checkout.git("init", "--quiet", str(library))
    (library / "code.py").write_text("1")
    checkout.git("-C", str(library), "add", ".")
    checkout.git("-C", str(library), "commit", "--quiet", "--message=Library")
    checkout.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "library")
    checkout.git("commit", "--quiet", "--all", "--message=Add a submodule")
    assert recorded(checkout) == head(checkout)
    checkout.git("config", "submodule.library.ignore", "all")
    edit_same_size(checkout / "library/code.py")
    assert checkout.git("status", "--porcelain") == ""
    assert recorded(checkout) == f"{head(checkout)}-dirty"
