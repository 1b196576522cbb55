"""Write the config files of a new origin and a new dataset, after all checks have passed."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lectern.artifacts.paths import RAW
from lectern.atomic import atomic_file, remove_leftovers, temporary_directory
from lectern.config import check_section
from lectern.download.fetch import SOURCES
from lectern.download.repack import Archive
from lectern.errors import UserError
from lectern.new_dataset.config_text import format_dataset, format_origin
from lectern.new_dataset.request import Request, check_request
from lectern.new_dataset.sources import Source, open_source
from lectern.new_dataset.template import DatasetTemplate
from lectern.task_modules import task_module

SCRATCH = "add-dataset"  # name of the temporary folder for downloads


@dataclass(frozen=True)
class AddedDataset:
    """The config files that were written, the keys without a value, and the model config of the first experiment."""

    config_files: list[Path]
    missing_keys: list[str]
    model: str


def add_dataset(request: Request) -> AddedDataset:
    """Read or download the files of a new origin, and write the config files of the origin and the dataset.

    Raises UserError before anything is written if an argument is wrong, or if the files cannot be read.
    """
    check_request(request)
    RAW.mkdir(parents=True, exist_ok=True)
    remove_leftovers(RAW, SCRATCH)
    with temporary_directory(RAW, SCRATCH) as scratch, open_source(request, scratch) as source:
        template = fill_template(request, source)
    origin, dataset = request.config_files
    origin_text, dataset_text = format_origin(request, source), format_dataset(request, template)
    check_origin(source, origin_text, str(origin))
    with atomic_file(origin) as origin_part, atomic_file(dataset) as dataset_part:
        origin_part.write_text(origin_text, encoding="utf-8")
        dataset_part.write_text(dataset_text, encoding="utf-8")
    return AddedDataset([origin, dataset], template.missing_keys(), template.model)


def fill_template(request: Request, source: Source) -> DatasetTemplate:
    """Return the task's template for the files, with the values of the user."""
    template: DatasetTemplate = task_module(request.task, "dataset_template").fill_template(source.files)
    return template.with_values(request.settings)


def check_origin(source: Source, text: str, where: str) -> None:
    """Raise UserError if the download stage would refuse the origin, or if a reader of YAML would change a value."""
    (kind,) = set(SOURCES) & set(source.section)
    check_section(SOURCES[kind], source.section, where, positional=1)
    if "archive" in source.section:
        check_section(Archive, source.section["archive"], f"{where}, archive")
    try:
        contents = [yaml.safe_load(text), OmegaConf.to_container(OmegaConf.create(text))]
    except (yaml.YAMLError, OmegaConfBaseException):
        contents = [{}]
    for content in contents:
        assert isinstance(content, dict)
        if {key: content.get(key) for key in source.section} != source.section:
            raise UserError(f"{where}: a file name or an address cannot be written to a config. Rename the files.")
