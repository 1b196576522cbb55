"""Copy the files of classes from other packages into the packaged code of a version."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lectern.artifacts.extension_class import import_class
from lectern.artifacts.extension_files import (
    ROOT,
    distributions,
    find_sources,
    is_installed,
    packaged_sources,
    record_class,
)
from lectern.artifacts.extension_records import PINNED
from lectern.artifacts.model_metadata import EXTENSIONS

Classes = tuple[str, ...]  # references such as `shapes.networks:SmallCNN`


def model_classes(metadata: Mapping[str, Any]) -> Classes:
    """Return the classes of other packages that a model needs."""
    return tuple(sorted(record["class"] for record in metadata.get(EXTENSIONS, [])))


def defining_module(reference: str) -> str:
    return import_class(reference, object, "the model").__module__


def extension_sources(classes: Classes) -> dict[str, str]:
    """Return the files that the packaged code of a version contains in addition to Lectern's own files.

    The records of the classes are one of these files, so that the digest of the packaged code depends on the names and
    versions of the packages.
    """
    if not classes:
        return {}
    modules = {reference: defining_module(reference) for reference in classes}
    records = [record_class(reference, module).to_dict() for reference, module in modules.items()]
    sources = {f"{PINNED}.py": f"RECORDS = {records!r}\n"}
    for module in modules.values():
        sources |= packaged_sources(module)
    return sources


def copied_modules(classes: Iterable[str]) -> dict[str, Path]:
    """Return a dict that maps each module whose files are copied into a version to the folder of its package."""
    roots = {}
    for module in map(defining_module, classes):
        name, path = next(iter(find_sources(module).items()))
        if module.partition(".")[0] == ROOT or not is_installed(path):
            roots[module] = path.parents[name.count("/")]
    return roots


def required_distributions(classes: Iterable[str]) -> list[str]:
    """Return the names of the installed distributions that contain classes of a model."""
    modules = map(defining_module, classes)
    packages = {module.partition(".")[0] for module in modules if any(map(is_installed, find_sources(module).values()))}
    return sorted({name for package in packages for name in distributions(package)})
