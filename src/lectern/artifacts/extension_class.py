"""Import a class that a config names as `package.module:Class`, from a package that `conf/config.yaml` allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

from lectern.artifacts.extension_files import FOLDER, ROOT, Record, record_class
from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import CONFIG
from lectern.config import check_value, nearest
from lectern.errors import UserError

Kind = TypeVar("Kind")
FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
KEY = "allowed_packages"
OWN = "lectern"  # name of this package in configs and model folders
IS_PACKAGED = ROOT != OWN  # whether this code is the packaged code of a registered version


def is_reference(name: object) -> bool:
    """Return whether the name of a class in a config has the form `package.module:Class`."""
    return isinstance(name, str) and ":" in name


def allowed_packages() -> list[str]:
    """Return the packages whose classes a config can name."""
    allowed = read_mapping(CONFIG).get(KEY, [OWN]) if CONFIG.is_file() else [OWN]
    check_value(KEY, allowed, list[str], str(CONFIG))
    return [str(name) for name in allowed]


def check_allowed_packages(config: Mapping[str, Any]) -> None:
    """Raise UserError if the command line changes the allowed packages, because later stages read the config file."""
    if config.get(KEY, allowed_packages()) != allowed_packages():
        raise UserError(f"{KEY} cannot be set on the command line. Change {CONFIG}, which all stages read.")


def import_class(reference: str, kind: type[Kind], where: str, more: Sequence[str] = ()) -> type[Kind]:
    """Import a class, which must be a subclass of `kind`.

    `more` contains packages that are allowed in addition to those in `conf/config.yaml`. Raises UserError if the
    package is not allowed, or if the module or the class is missing or of another kind.
    """
    if not FORM.fullmatch(reference):
        raise UserError(f"{where}: class is {reference!r}; expected package.module:Class, such as my_package.nets:Net.")
    name, _, class_name = reference.partition(":")
    check_allowed(name, f"{where}: {reference}:", more)
    module = import_extension(name, where)
    found = getattr(module, class_name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UserError(f"{where}: {name} has no class {class_name!r}{nearest(class_name, classes)}")
    if not isinstance(found, type) or not issubclass(found, kind):
        raise UserError(
            f"{where}: {reference} is {found!r}; expected a subclass of {kind.__module__}.{kind.__qualname__}."
        )
    if not IS_PACKAGED:
        check_allowed(found.__module__, f"{where}: {reference} is defined in {found.__module__}, and", more)
    return found


def check_allowed(module: str, subject: str, more: Sequence[str]) -> None:
    """Raise UserError if neither a module nor a package that contains the module is allowed."""
    if IS_PACKAGED:
        return
    allowed = [*allowed_packages(), *more]
    if not any(module == name or module.startswith(f"{name}.") for name in allowed):
        raise UserError(
            f"{subject} the package {module.partition('.')[0]} is not allowed. Allowed: {', '.join(allowed)}. If you "
            f"trust the package, add it to {KEY} in {CONFIG}."
        )


def import_extension(name: str, where: str) -> ModuleType:
    """Import a module. The packaged code of a version imports the copy of the module that the version contains."""
    try:
        return import_module(actual_name(name))
    except ModuleNotFoundError as error:
        if error.name and f"{actual_name(name)}.".startswith(f"{error.name}."):
            raise UserError(
                f"{where}: Python found no module {name}. Install the package {name.partition('.')[0]} in this "
                "environment, or put it in the folder src of this checkout."
            ) from error
        raise UserError(f"{where}: the module {name} cannot be imported: {error}. Install the module.") from error
    except Exception as error:  # a module can raise every exception when it is imported
        raise UserError(
            f"{where}: the module {name} cannot be imported: {type(error).__name__}: {error}. Correct the module."
        ) from error


def actual_name(module: str) -> str:
    """Return the name under which this process imports a module."""
    package, dot, rest = module.partition(".")
    if package == OWN:
        return f"{ROOT}{dot}{rest}"
    copied = f"{ROOT}.{FOLDER}"
    return f"{copied}.{module}" if IS_PACKAGED and has_module(copied) and has_module(f"{copied}.{package}") else module


def has_module(name: str) -> bool:
    return find_spec(name) is not None


def describe_class(reference: str, kind: type[Any], where: str, more: Sequence[str] = ()) -> Record:
    """Return the record of a class, which enters the checkpoint key and the metadata of a model."""
    return record_class(reference, import_class(reference, kind, where, more).__module__)


def find_references(section: Any) -> Iterator[str]:
    """Yield the values of all keys `class` in nested mappings that have the form `package.module:Class`."""
    if isinstance(section, Mapping):
        if is_reference(section.get("class")):
            yield section["class"]
        for value in section.values():
            yield from find_references(value)


def common_base(classes: Sequence[type[Kind]], default: type[Kind]) -> type[Kind]:
    """Return the most specific class of Lectern from which all classes inherit, or `default` if there is none."""
    bases = [each for each in classes[0].__mro__ if all(issubclass(other, each) for other in classes)]
    return next((each for each in bases if each.__module__.partition(".")[0] == ROOT), default)
