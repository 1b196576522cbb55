"""Import this package from the checkout that contains the current folder.

A virtual environment contains the path of only one checkout. A git worktree, a second clone that uses the same
environment, and the temporary folder of `dvc exp run --queue` have source code of their own.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

PACKAGE = __name__.partition(".")[0]


def use_current_checkout() -> None:
    """Replace this package by the package of the checkout that contains the current folder.

    Child processes import the same package, because `PYTHONPATH` is changed, too. Raises ImportError if Python does not
    find the package of the checkout.
    """
    source = find_source(current_folder())
    if source is None or os.path.samefile(source / PACKAGE, Path(__file__).parent):
        return
    if sys.path[0] == str(source):
        raise ImportError(
            f"The current folder is in the checkout {source.parent}, but this environment imports {PACKAGE} from "
            f"{Path(__file__).parent}. Run `make setup` in {source.parent} and activate its virtual environment."
        )
    sys.path.insert(0, str(source))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    import_module(PACKAGE)  # Python keeps the module that is in `sys.modules` at the end of the first import


def find_source(folder: Path | None) -> Path | None:
    """Return the folder `src` of the checkout that contains a folder, or None if no checkout contains it."""
    for parent in (folder, *folder.parents) if folder else ():
        if os.path.isfile(parent / "src" / PACKAGE / "__init__.py"):
            return (parent / "src").resolve()  # in the folder `demo`, `src` is a symbolic link
    return None


def current_folder() -> Path | None:
    """Return the current folder, or None if it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None
