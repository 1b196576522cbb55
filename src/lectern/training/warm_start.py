"""Start a training from the weights of a trained model (`init_from` in a model config) instead of random weights."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from lectern.artifacts.digests import file_digest
from lectern.artifacts.model_metadata import INIT_FROM, read_metadata
from lectern.artifacts.paths import MODELS
from lectern.artifacts.pipeline_variables import train_stage
from lectern.config import call, nearest
from lectern.errors import UserError
from lectern.stages.experiments import read_experiments, read_pre_trained
from lectern.training.checkpointing import last_valid_checkpoint
from lectern.training.distributed import is_first_process
from lectern.training.module import TrainableModule
from lectern.training.warm_start_fit import is_part_of, list_tensors
from lectern.training.warm_start_rows import match_rows

FOLDER = re.compile(rf"{MODELS}/(\w[\w.-]*)")  # a model folder of an experiment, relative to the checkout


@dataclass(frozen=True)
class InitFrom:
    """The section `init_from` of a model config. The text `models/NAME` is short for `{model: models/NAME}`."""

    model: str  # model folder of an experiment
    parts: list[str] | None = None  # names of submodules whose weights are copied; None for all weights


@dataclass(frozen=True)
class WarmStart:
    """The model from whose weights a training starts, and the parts of the model that are copied."""

    experiment: str
    weights: str  # sha256 of weights.safetensors
    parts: tuple[str, ...] = ()  # empty for all weights
    earlier: Mapping[str, Any] | None = None  # record of the model from which the training of this model started

    @property
    def folder(self) -> Path:
        return MODELS / self.experiment

    @property
    def record(self) -> dict[str, Any]:
        """The entry in the metadata of the trained model. The entry is also part of the checkpoint key."""
        more = {"parts": list(self.parts), INIT_FROM: self.earlier}
        return {
            "experiment": self.experiment,
            "weights": self.weights,
            **{key: value for key, value in more.items() if value},
        }


def read_warm_start(section: Any, where: str) -> WarmStart | None:
    """Return the model that `init_from` of a model config selects, or None without `init_from`.

    Raises UserError if the section is wrong, or if the selected model folder is missing, incomplete or damaged.
    """
    if section is None:
        return None
    where = f"{where}, {INIT_FROM}"
    chosen: InitFrom = call(InitFrom, {"model": section} if isinstance(section, str) else section, where)
    match = FOLDER.fullmatch(chosen.model)
    if match is None:
        raise UserError(
            f"{where} is {chosen.model!r}; expected {MODELS}/EXPERIMENT, the model folder of an experiment, such as "
            f"{MODELS}/mnist-cnn. Absolute paths and paths outside {MODELS}/ are not supported."
        )
    if chosen.parts is not None and not all(chosen.parts or [""]):
        raise UserError(
            f"{where}.parts is {chosen.parts!r}; expected the names of parts such as [network.encoder]. To copy all "
            "weights, remove parts."
        )
    experiment = match[1]
    check_source(experiment, where)
    earlier, weights = read_metadata(MODELS / experiment).get(INIT_FROM), MODELS / experiment / "weights.safetensors"
    return WarmStart(experiment, file_digest(weights), tuple(chosen.parts or ()), earlier)


def check_source(experiment: str, where: str) -> None:
    """Raise UserError if the model folder of an experiment is incomplete, or if its weights are damaged."""
    folder = MODELS / experiment
    missing = [name for name in ("module.json", "weights.safetensors") if not (folder / name).is_file()]
    if missing:
        known = read_experiments() | read_pre_trained()
        if experiment not in known:
            raise UserError(f"{where}: there is no experiment {experiment!r}{nearest(experiment, list(known))}")
        raise UserError(
            f"{where}: {folder} lacks {' and '.join(missing)}, because the experiment {experiment} has not been "
            f"trained. Run `dvc repro {train_stage(experiment)}`."
        )
    try:
        list_tensors(folder)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{where}: {folder}/weights.safetensors is damaged ({error}). Run `dvc repro {train_stage(experiment)}`."
        ) from error


def initialize(module: TrainableModule, warm_start: WarmStart | None, folder: Path) -> None:
    """Copy the weights of the selected model to a new module, unless the training resumes from a checkpoint.

    `folder` is the run directory of the training. Every rank calls `initialize`.
    """
    if warm_start and last_valid_checkpoint(folder / "last.ckpt") is None:
        copy_weights(module, warm_start)


def copy_weights(module: TrainableModule, warm_start: WarmStart) -> None:
    """Copy the weights of a model to a module.

    `check_fit` has checked the names and shapes. Raises UserError if the weights have changed since this check.
    """
    path = warm_start.folder / "weights.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if is_part_of(name, warm_start.parts)}
    if file_digest(path) != warm_start.weights:
        raise UserError(f"{path} was replaced while this training started. Run the same command again.")
    theirs = read_metadata(warm_start.folder)["hyperparameters"]
    own, rows = module.state_dict(), module.warm_start_rows
    tensors, notes = match_rows(tensors, own, rows, theirs, dict(module.hparams))
    module.load_state_dict(tensors, strict=not warm_start.parts)
    if is_first_process():
        count = ", ".join([f"{len(tensors)} of {len(own)} tensors", *notes])
        print(f"lectern: the training starts from the weights of {warm_start.folder} ({count})", file=sys.stderr)
