"""Trace a fine-tuned version back to the model that provided its first weights, and to the data of that model."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lectern.artifacts.digests import file_digest
from lectern.artifacts.model_metadata import INIT_FROM
from lectern.artifacts.paths import MODELS, ExperimentPaths
from lectern.artifacts.pipeline_variables import train_stage
from lectern.registry.lineage_links import Link, processed_link, source_links, stage_link
from lectern.registry.stage_status import StageStatus
from lectern.registry.version_record import ModelVersionRecord
from lectern.stages.experiments import read_experiments


def warm_start_links(version: ModelVersionRecord, status: StageStatus) -> Iterator[Link]:
    """Yield the links of each model from whose weights the training of a version started, directly or indirectly."""
    record, traced = version.manifest.init_from, {version.dataset}
    experiments = read_experiments()
    while record:
        name = record["experiment"]
        yield source_model_link(record)
        if name not in experiments:
            yield Link(f"{name}: data", "unknown", f"experiments.yaml has no experiment {name}")
        else:
            paths = experiments[name].paths
            for link in model_links(paths, status, with_data=paths.dataset not in traced):
                yield replace(link, name=f"{name}: {link.name}")
            traced.add(paths.dataset)
        record = record.get(INIT_FROM)


def source_model_link(record: Mapping[str, Any]) -> Link:
    """Return the link of the weights that were copied at the start of a training."""
    name = record["experiment"]
    path = MODELS / name / "weights.safetensors"
    parts = f", parts {', '.join(record['parts'])}" if record.get("parts") else ""
    value = f"{path.parent} weights {record['weights']}{parts}"
    if not path.is_file():
        return Link("init_from", value, f"{path} does not exist; run `dvc repro {train_stage(name)}` or `dvc pull`")
    return Link("init_from", value, "" if file_digest(path) == record["weights"] else "trained again since")


def model_links(paths: ExperimentPaths, status: StageStatus, with_data: bool) -> Iterator[Link]:
    """Yield the links from the sources of the data of an experiment to its train stage."""
    if with_data:
        yield from source_links(paths, status)
        yield processed_link(paths, None, status)
    yield stage_link(train_stage(paths.experiment), status)
