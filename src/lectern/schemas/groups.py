"""Build the JSON Schema of each config group from the functions and classes that read its files."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytorch_lightning as pl

from lectern.artifacts.model_folder import list_classes
from lectern.artifacts.paths import SCHEMAS
from lectern.atomic import write_json
from lectern.cluster.site import Site
from lectern.config import Dataset, Model
from lectern.debugging.presets import PRESETS
from lectern.download.fetch import SOURCES
from lectern.download.repack import Archive
from lectern.registry.gate_rules import cost_within_factor, metric_within_tolerance
from lectern.schemas.signatures import Schema, choose_by, object_schema, signature_schema, type_schema
from lectern.sweeps.search_space import Choices, Range
from lectern.task_modules import task_module, task_names
from lectern.training import fit as training
from lectern.training import trainer_config
from lectern.training.callbacks import KeepBest
from lectern.training.early_stopping import StopEarly
from lectern.training.plan import FROM_FIT
from lectern.training.warm_start import FOLDER, InitFrom

MODEL_FOLDER: Schema = {"type": "string", "pattern": f"^{FOLDER.pattern}$"}  # models/EXPERIMENT
REFERENCE: Schema = {"type": "string", "pattern": r"^\w+(\.\w+)*:\w+$"}  # package.module:Class


def write_schemas(folder: Path = SCHEMAS) -> list[Path]:
    """Write `<group>.json` for each config group, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{group}.json" for group in GROUPS]
    for path in paths:
        write_json(path, build_schema(path.stem))
    return paths


def build_schema(group: str) -> Schema:
    """Return the JSON Schema of the files in `conf/<group>`."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"conf/{group}", **GROUPS[group]()}


def origin_schema() -> Schema:
    """Return the schema of an origin: its name, its licence, and the keys of one kind of source."""
    text: Schema = {"type": "string"}
    kinds = []
    for kind, function in SOURCES.items():
        schema = signature_schema(function, positional=1)
        if kind == "archive":
            schema["properties"]["archive"] = signature_schema(Archive)
        schema["properties"] |= {"name": text, "licence": text}
        schema["required"] = sorted([*schema["required"], "name", "licence"])
        kinds.append(schema)
    return {"oneOf": kinds}


def dataset_schema() -> Schema:
    """Return the schema of a dataset. The section `preprocess` depends on the task."""
    schema = signature_schema(Dataset)
    preprocess = {task: task_module(task, "data.preprocess").preprocess for task in task_names()}
    sections = {task: signature_schema(function, positional=2) for task, function in preprocess.items()}
    schema["properties"]["task"] = {"enum": [*task_names()]}
    schema["properties"]["guards"] = {"type": "object", "additionalProperties": {"anyOf": guard_schemas()}}
    schema["allOf"] = choose_by("task", {task: {"properties": {"preprocess": part}} for task, part in sections.items()})
    return schema


def guard_schemas() -> list[Schema]:
    return [
        signature_schema(cost_within_factor, positional=3),
        signature_schema(metric_within_tolerance, positional=3),
    ]


def model_schema() -> Schema:
    """Return the schema of a model. The sections `batches` and `module` depend on the task."""
    fit = signature_schema(training.fit, positional=3, more=("folder", "trainer", "best", "on_records", "name"))
    fit["properties"]["early_stopping"] = signature_schema(StopEarly, more=FROM_FIT)
    fit["properties"]["callbacks"] = {"type": "array", "items": {"type": "object", **require_reference()}}
    init_from = signature_schema(InitFrom)
    init_from["properties"]["model"] = MODEL_FOLDER
    schema = signature_schema(Model)
    schema["properties"] |= {
        "task": {"enum": [*task_names()]},
        "fit": {"type": "object", "additionalProperties": fit},
        "best": signature_schema(KeepBest),
        "init_from": {"anyOf": [MODEL_FOLDER, init_from, {"type": "null"}]},
    }
    schema["allOf"] = choose_by("task", {task: {"properties": task_sections(task)} for task in task_names()})
    return schema


def task_sections(task: str) -> dict[str, Schema]:
    """Return the schemas of the sections `batches` and `module` of a task's models."""
    batches = signature_schema(task_module(task, "model.loader").load, more=("processed", "split", "seed"))
    modules = {name: signature_schema(each, more=("facts",)) for name, each in list_classes(task).items()}
    module = {
        "type": "object",
        "required": ["class"],
        "properties": {"class": {"anyOf": [{"enum": sorted(modules)}, REFERENCE]}},
    }
    for part in modules.values():
        part["properties"]["class"] = {"type": "string"}
    return {"batches": batches, "module": {**module, "allOf": choose_by("class", modules)}}


def require_reference() -> Schema:
    """Return the keywords of a section with the class of another package."""
    return {"required": ["class"], "properties": {"class": REFERENCE}}


def trainer_schema() -> Schema:
    """Return the schema of a trainer: the arguments of Lightning's Trainer that Lectern does not set, and `threads`."""
    refused = {
        *trainer_config.IN_FIT_SECTION,
        *trainer_config.SET_BY_LECTERN,
        *trainer_config.PREVENT_EXACT_RESUME,
    }
    names = [name for name in inspect.signature(pl.Trainer).parameters if name not in refused]
    schema = signature_schema(pl.Trainer, more=refused)
    ranges = {name: type_schema(hint) for name, hint in trainer_config.RANGES.items()}
    return object_schema({name: schema["properties"][name] for name in names} | ranges, ["threads"])


def debug_schema() -> Schema:
    """Return the schema of a debug preset. The keys depend on the name of the preset."""
    kinds = []
    for name, function in PRESETS.items():
        schema = signature_schema(function, positional=1)
        schema["properties"]["name"] = {"const": name}
        schema["required"] = sorted([*schema["required"], "name"])
        kinds.append(schema)
    return {"oneOf": kinds}


def sweep_schema() -> Schema:
    """Return the schema of a search space, which maps keys of the model config to ranges or choices."""
    return {"type": "object", "additionalProperties": {"anyOf": [signature_schema(Range), signature_schema(Choices)]}}


GROUPS: dict[str, Callable[[], Schema]] = {
    "origin": origin_schema,
    "dataset": dataset_schema,
    "model": model_schema,
    "trainer": trainer_schema,
    "cluster": partial(signature_schema, Site),
    "sweep": sweep_schema,
    "debug": debug_schema,
}
