"""Find the source files, the version and the digest of a class that a config names as `package.module:Class`."""

import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any, NamedTuple

from lectern.artifacts.source_code import texts_digest
from lectern.errors import UserError

ROOT = __name__.partition(".")[0]  # `lectern`, or `lectern_<digest>` in the packaged code of a version
FOLDER = "extensions"  # folder of a version's packaged code with the files of other packages
INSTALLED = {"site-packages", "dist-packages"}  # folders in which pip and Debian install packages
Sources = Mapping[str, Path]  # maps the name of a source file, such as `shapes/networks.py`, to its path


class Record(NamedTuple):
    """The identity of a class: its package, the version of the package, and the digest of its source files."""

    reference: str  # such as `shapes.networks:SmallCNN`
    package: str
    version: str | None  # None if the package was not installed with pip
    digest: str

    def to_dict(self) -> dict[str, Any]:
        return {"class": self.reference, "package": self.package, "version": self.version, "digest": self.digest}


class OtherPackages:
    """Contains the names of all modules that do not belong to a package."""

    def __init__(self, package: str):
        self.package = package

    def __contains__(self, name: object) -> bool:
        # ModuleFinder reads the file __init__.py of a package under the name `__init__`
        return str(name).partition(".")[0] not in (self.package, "__init__")


@cache  # the record of an imported class must not change if its file changes later
def record_class(reference: str, module: str) -> Record:
    """Return the record of a class. `module` is the name of the imported module that defines the class."""
    package = module.partition(".")[0]
    sources = {name: path.read_text("utf-8") for name, path in find_sources(module).items()}
    return Record(reference, package, installed_version(package), texts_digest(sources))


def find_sources(module: str) -> Sources:
    """Return the source files of a module, and of the modules of the same package that the module imports.

    If the package is installed in `site-packages`, return only the file of the module, because the version of the
    package identifies the other files.
    """
    package = module.partition(".")[0]
    file = source_file(module)
    root = file.parents[module.count(".") + (file.name == "__init__.py")]
    if is_installed(file):
        return {file.relative_to(root).as_posix(): file}
    finder = ModuleFinder([str(root)], excludes=OtherPackages(package))
    finder.import_hook(module)
    found = [Path(path) for each in finder.modules.values() if (path := getattr(each, "__file__", None))]
    return {path.relative_to(root).as_posix(): path for path in sorted(found)}


def source_file(module: str) -> Path:
    """Return the file of an imported module. Raises UserError if a parent is no Python file."""
    names = module.split(".")
    parents = [".".join(names[: count + 1]) for count in range(len(names))]
    for name in parents:
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or not file.endswith(".py"):
            found = "the folder has no __init__.py" if file is None else f"found {file}"
            raise UserError(f"The module {name} is no Python file: {found}. Lectern needs the source code of a class.")
    return Path(str(sys.modules[module].__file__))


def is_installed(file: Path) -> bool:
    return not INSTALLED.isdisjoint(file.parts)


def distributions(package: str) -> list[str]:
    """Return the names of the distributions that contain a package, such as `pytorch-lightning`."""
    return list(packages_distributions().get(package, []))


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None if pip did not install the package."""
    return next((version(name) for name in distributions(package)), None)


def packaged_sources(module: str) -> dict[str, str]:
    """Return a dict that maps names of files to source code: the files that a registered version needs for a module.

    A version contains no files of installed packages. The other packages become parts of the version's own package, so
    that one process can load versions with different code. The import statements are changed accordingly.
    """
    package, sources = module.partition(".")[0], find_sources(module)
    if package == ROOT or any(map(is_installed, sources.values())):
        return {}
    return {f"{FOLDER}/{name}": move_imports(path, package) for name, path in sources.items()}


def move_imports(path: Path, package: str) -> str:
    """Return the source code of a file that imports the modules of its package from `lectern.extensions`.

    Raises UserError if the file imports its package in a form that cannot be changed.
    """
    text = path.read_text("utf-8")
    # the form `import shapes.networks as networks` can be changed, but not `import shapes` and `import os, shapes`
    other_form = rf"^\s*import (?!{package}[.\w]* as \w+\s*(#|$))[^#\n]*(?<![.\w]){package}\b"
    if whole := re.search(other_form, text, re.MULTILINE):
        raise UserError(
            f"{path} contains `{whole[0].strip()}`, which cannot be copied into a registered version. "
            f"Write `from {package} import ...` instead."
        )
    return re.sub(rf"^(\s*(?:from|import) )({package})(?=[.\s])", rf"\g<1>{ROOT}.{FOLDER}.\g<2>", text, flags=re.M)
