"""Record the classes of other packages in the metadata of a model, and check the classes when the model is loaded."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lectern.artifacts.extension_class import (
    IS_PACKAGED,
    actual_name,
    describe_class,
    find_references,
    has_module,
    import_class,
)
from lectern.artifacts.extension_files import ROOT, find_sources, is_installed
from lectern.artifacts.model_metadata import EXTENSIONS
from lectern.artifacts.pipeline_variables import train_stage
from lectern.errors import UserError

PINNED = "extension_records"  # module of the packaged code with the records of the classes of other packages
SHOWN = 12  # number of characters of a digest in an error message


def describe_references(section: Mapping[str, Any], kind: type[Any], where: str) -> list[dict[str, Any]]:
    """Return the records of the subclasses of `kind` that a section names as `package.module:Class`."""
    return [describe_class(name, kind, where).to_dict() for name in dict.fromkeys(find_references(section))]


def unlisted_files(records: Iterable[Mapping[str, Any]], listed: Sequence[Path], checkout: Path) -> list[Path]:
    """Return the files of this checkout that the classes need, and that are not below the paths in `listed`."""
    modules = [
        import_class(record["class"], object, "the config", [record["package"]]).__module__ for record in records
    ]
    files = {path.resolve() for module in modules for path in find_sources(module).values()}
    return sorted(
        file.relative_to(checkout)
        for file in files
        if file.is_relative_to(checkout) and not is_installed(file) and not any(map(file.is_relative_to, listed))
    )


def check_extensions(metadata: Mapping[str, Any], folder: Path) -> None:
    """Raise UserError if a class of another package is missing, or differs from the class that was trained.

    The packaged code of a version contains the records and the files of these classes. It uses no other classes.
    """
    records = {record["class"]: record for record in metadata.get(EXTENSIONS, [])}
    if IS_PACKAGED and records:
        pinned = import_module(f"{ROOT}.{PINNED}").RECORDS if has_module(f"{ROOT}.{PINNED}") else []
        records = {record["class"]: record for record in pinned}
    for reference in find_references(metadata):
        if reference not in records:
            raise UserError(
                f"{folder}/module.json is damaged: it has no record of the class {reference}. "
                f"Run `dvc repro {train_stage(folder.name)}`."
            )
    for reference, record in records.items():
        if not (IS_PACKAGED and actual_name(reference.partition(":")[0]).startswith(f"{ROOT}.")):
            check_record(reference, record, folder)


def check_record(reference: str, record: Mapping[str, Any], folder: Path) -> None:
    present = describe_class(reference, object, f"{folder}/module.json").to_dict()
    if present != record:
        raise UserError(
            f"{folder} was trained with {format_record(record)}, but this environment has {format_record(present)}. "
            "Restore the files or the version of the package, or train again: "
            f"dvc repro --single-item --force {train_stage(folder.name)}"
        )


def format_record(record: Mapping[str, Any]) -> str:
    version = f"version {record['version']}, " if record["version"] else ""
    return f"{record['class']} ({version}digest {str(record['digest'])[:SHOWN]})"
