"""Copy the code that a version needs into the version, under a unique package name.

A process can load versions of several tasks, several versions of one model, and an installed Lectern. The package of a
version is therefore renamed from `lectern` to `lectern_<digest of its code>`.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version as installed_version
from modulefinder import ModuleFinder
from pathlib import Path

from lectern.artifacts.digests import content_digest
from lectern.artifacts.source_code import source_digest
from lectern.task_modules import task_module

PACKAGE = Path(__file__).parents[1]
PYFUNC = PACKAGE / "registry" / "pyfunc.py"  # MLflow runs a copy of this file when it loads a version
REQUIRED = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "safetensors", "jaxtyping", "numpy", "pandas")
IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE.name}(?=[.\s])", re.MULTILINE)
DIGEST_LENGTH = 12  # number of characters of the code digest in the package name


def copy_code(task: str, folder: Path) -> tuple[Path, Path]:
    """Copy the files that a version imports to a folder. Return the paths of the script and the package.

    Only the imported files are copied, because a tracking server needs one request per file.
    """
    name = f"{PACKAGE.name}_{code_digest(task)[:DIGEST_LENGTH]}"
    for path in imported_files(task):
        copy_renamed(path, folder / name / path.relative_to(PACKAGE), name)
    script = folder / PYFUNC.name
    copy_renamed(PYFUNC, script, name)
    return script, folder / name


def copy_renamed(path: Path, copy: Path, name: str) -> None:
    """Copy a source file, and change the name of the package in its import statements."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, copy)
    copy.write_text(IMPORT.sub(rf"\g<1>{name}", path.read_text()))


@contextmanager
def importable(package: Path) -> Iterator[None]:
    """Make a package importable inside the block, because MLflow runs the script while it saves a model."""
    sys.path.insert(0, str(package.parent))
    try:
        yield
    finally:
        sys.path.remove(str(package.parent))
        for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
            del sys.modules[name]


@cache
def code_digest(task: str) -> str:
    """Return the digest of the code that a version of this task runs, without comments and docstrings.

    The code also defines the signature of the version.
    """
    return source_digest([PYFUNC, *imported_files(task)], PACKAGE)


@cache
def requirements_digest(task: str) -> str:
    return content_digest(requirements(task))


def requirements(task: str) -> list[str]:
    """Return the packages that a version needs, with the installed releases."""
    names = (*REQUIRED, *getattr(task_module(task, "serving.inference_api"), "REQUIRED", ()))
    return [pinned_requirement(name) for name in names]


def imported_files(task: str) -> list[Path]:
    """Return the files of the package that the saved model of a task imports, directly or indirectly."""
    finder = ModuleFinder([str(PACKAGE.parent)])
    finder.load_file(str(PYFUNC))
    for module in ("model.module", "serving.inference_api"):  # imported by their names when the model is loaded
        finder.import_hook(f"{PACKAGE.name}.tasks.{task}.{module}")
    modules = [module for name, module in finder.modules.items() if name.split(".")[0] == PACKAGE.name]
    return sorted(Path(path) for module in modules if (path := getattr(module, "__file__", None)))


def pinned_requirement(name: str) -> str:
    """Return `torch==2.13.0` for torch, without the label of a local build such as `+cpu`."""
    return f"{name}=={installed_version(name).split('+')[0]}"
