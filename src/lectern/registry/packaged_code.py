"""Copy the prediction code of a version into the files of the version, and extract the packaged code again.

The packaged code is renamed from `lectern` to `lectern_<digest of the code>`. One process can therefore import the code
of several versions and the installed package `lectern`.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version as installed_version
from modulefinder import ModuleFinder
from pathlib import Path

from lectern.artifacts.digests import content_digest
from lectern.artifacts.source_code import texts_digest
from lectern.errors import UserError
from lectern.registry.packaged_extensions import Classes, copied_modules, extension_sources, required_distributions
from lectern.task_modules import has_task_module, task_module

PACKAGE = Path(__file__).parents[1]
PYFUNC = PACKAGE / "registry" / "pyfunc.py"  # script that MLflow executes when it loads a version
REQUIRED = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "safetensors", "jaxtyping", "numpy", "pandas")
IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE.name}(?=[.\s])", re.MULTILINE)
MODULES = ("model.module", "serving.inference_api", "serving.request")  # imported by their names
DIGEST_LENGTH = 12  # number of characters of the code digest in the package name


def copy_code(task: str, folder: Path, classes: Classes = ()) -> tuple[Path, Path]:
    """Copy the source files that predictions of a task need. Return the paths of the script and the package.

    `classes` contains the classes of other packages that the model needs.

    Only files that are imported are copied, because an upload to a tracking server needs one request per file.
    """
    name = f"{PACKAGE.name}_{code_digest(task, classes)[:DIGEST_LENGTH]}"
    for path in imported_files(task, classes):
        copy_renamed(path, folder / name / path.relative_to(PACKAGE), name)
    for file, source in extension_sources(classes).items():
        write_renamed(source, folder / name / file, name)
    script = folder / PYFUNC.name
    copy_renamed(PYFUNC, script, name)
    return script, folder / name


def copy_renamed(path: Path, copy: Path, name: str) -> None:
    """Copy a source file, and replace the package name `lectern` by `name` in the import statements of the copy."""
    write_renamed(path.read_text("utf-8"), copy, name)


def write_renamed(source: str, copy: Path, name: str) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(IMPORT.sub(rf"\g<1>{name}", source), "utf-8")


def extract_code(version_files: Path, digest: str, folder: Path) -> Path:
    """Copy the packaged code of a version to a folder, and return the path of the copy.

    Only Python files are copied, because `digest` does not cover compiled files. Raises UserError if the packaged code
    does not have the digest `digest`, which means that somebody changed the files of the version.
    """
    name = f"{PACKAGE.name}_{digest[:DIGEST_LENGTH]}"
    sources = read_package(version_files, name)
    if texts_digest(sources) != digest or not all(map(is_utf8, sources.values())):
        raise UserError(f"the code in {version_files} is not the code that was registered; somebody changed the files")
    for path, source in sources.items():
        write_renamed(source, folder / name / path, name)
    return folder / name


def read_package(version_files: Path, name: str) -> dict[str, str]:
    """Return a dict that maps the name of each file in a version's packaged code to its source code.

    The import statements contain the original package name `lectern`.
    """
    package = version_files / "code" / name
    files = {path.relative_to(package): path for path in package.rglob("*.py")}
    files[PYFUNC.relative_to(PACKAGE)] = version_files / PYFUNC.name
    renamed = re.compile(rf"^(\s*(?:from|import) ){name}(?=[.\s])", re.MULTILINE)
    try:
        return {
            relative.as_posix(): renamed.sub(rf"\g<1>{PACKAGE.name}", path.read_text("utf-8"))
            for relative, path in files.items()
        }
    except (OSError, ValueError) as error:
        raise UserError(f"the code in {version_files} cannot be read: {error}") from error


def is_utf8(source: str) -> bool:
    """Return whether Python reads the source code as UTF-8.

    A comment in the source code can select a different encoding, which can change the code that Python reads.
    """
    try:
        return tokenize.detect_encoding(io.BytesIO(source.encode()).readline)[0] == "utf-8"
    except SyntaxError:
        return False


@contextmanager
def importable(package: Path) -> Iterator[None]:
    """Make a package importable inside the block.

    To save a model, MLflow executes a script that imports the package.
    """
    sys.path.insert(0, str(package.parent))
    try:
        yield
    finally:
        sys.path.remove(str(package.parent))
        for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
            del sys.modules[name]


@cache
def code_digest(task: str, classes: Classes = ()) -> str:
    """Return the digest of a task's prediction code. Comments and docstrings do not change the digest.

    The prediction code also defines the MLflow signature of the models. Raises UserError if one of the classes of other
    packages cannot be imported.
    """
    files = [PYFUNC, *imported_files(task, classes)]
    own = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in files}
    return texts_digest(own | extension_sources(classes))


@cache
def requirements_digest(task: str, classes: Classes = ()) -> str:
    return content_digest(requirements(task, classes))


def requirements(task: str, classes: Classes = ()) -> list[str]:
    """Return the packages that models of a task need, each with its installed version, such as `torch==2.13.0`."""
    names = (*REQUIRED, *getattr(task_module(task, "serving.inference_api"), "REQUIRED", ()))
    more = [name for name in required_distributions(classes) if name not in names]
    return [pinned_requirement(name) for name in (*names, *more)]


def imported_files(task: str, classes: Classes = ()) -> list[Path]:
    """Return the source files of Lectern that a saved model of a task imports, directly or indirectly."""
    copied = copied_modules(classes)
    finder = ModuleFinder([str(PACKAGE.parent), *map(str, copied.values())])
    finder.load_file(str(PYFUNC))
    for module in MODULES:
        if has_task_module(task, module):
            finder.import_hook(f"{PACKAGE.name}.tasks.{task}.{module}")
    for module in copied:
        finder.import_hook(module)
    modules = [module for name, module in finder.modules.items() if name.split(".")[0] == PACKAGE.name]
    return sorted(Path(path) for module in modules if (path := getattr(module, "__file__", None)))


def pinned_requirement(name: str) -> str:
    """Return a requirement such as `torch==2.13.0`, without the label of a local build such as `+cpu`."""
    return f"{name}=={installed_version(name).split('+')[0]}"
