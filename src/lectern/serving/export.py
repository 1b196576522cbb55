"""Export a registered version to ONNX, and attach the ONNX file to the version."""

import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mlflow import MlflowClient

from lectern.artifacts.digests import file_digest
from lectern.artifacts.model_folder import load_model
from lectern.atomic import atomic_file, write_json
from lectern.errors import UserError
from lectern.registry.version_code import has_checkout_code, other_code_error
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_model_folder, open_repository
from lectern.task_modules import has_task_module, task_module

TOLERANCE = 1e-4  # largest allowed difference between the outputs of ONNX Runtime and PyTorch
# batch sizes of the comparison with PyTorch, to check that the ONNX file accepts any batch size
COMPARED_ROWS = (1, 2, 7)
TRACED_ROWS = 2
FOLDER, CHECK_FILE = "onnx", "export.json"  # in the files of a version


def export(client: MlflowClient, version: ModelVersionRecord, copy_to: Path | None = None) -> tuple[str, float]:
    """Export a version to ONNX, compare the outputs with PyTorch, and add the ONNX file to the files of the version.

    Returns the address of the ONNX file and the largest difference between the outputs. Raises UserError if the task or
    the network cannot be exported, or if the difference is above TOLERANCE.
    """
    if not has_checkout_code(version):
        raise other_code_error(client, version, "the ONNX export needs a checkout with the code of the version")
    if not has_task_module(version.task, "serving.onnx"):
        raise UserError(
            f"{version.name} cannot be exported to ONNX, because the task {version.task} has no module serving/onnx.py."
        )
    onnx_module, module = task_module(version.task, "serving.onnx"), load_model(download_model_folder(client, version))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{version.experiment}.onnx"
        write_onnx(onnx_module, module, path)
        difference = compare_outputs(onnx_module, module, path)
        if not difference <= TOLERANCE:
            raise UserError(
                f"The outputs of the ONNX file differ from PyTorch's outputs by {difference:.2g}; "
                f"at most {TOLERANCE:g} is allowed. No ONNX file was attached to the version."
            )
        if copy_to:
            with atomic_file(copy_to) as part:
                part.write_bytes(path.read_bytes())
        attach_file(client, version, path, difference)
    return f"models:/{version.name}/{version.number}/{FOLDER}/{path.name}", difference


def write_onnx(onnx_module: ModuleType, module: Any, path: Path) -> None:
    """Trace the network with a variable batch size and write the ONNX model to a file."""
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            onnx_module.exportable_network(module).eval(),
            (onnx_module.example_inputs(module, TRACED_ROWS),),
            str(path),
            input_names=[onnx_module.INPUT_NAME],
            output_names=[onnx_module.OUTPUT_NAME],
            dynamic_shapes=({0: rows},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.inference_mode()
def compare_outputs(onnx_module: ModuleType, module: Any, path: Path) -> float:
    """Return the largest difference between ONNX Runtime and PyTorch over several batch sizes."""
    import onnxruntime

    session, network = onnxruntime.InferenceSession(str(path)), onnx_module.exportable_network(module).eval()
    differences = []
    for rows in COMPARED_ROWS:
        inputs = onnx_module.example_inputs(module, rows)
        (outputs,) = session.run(None, {onnx_module.INPUT_NAME: inputs.numpy()})
        differences.append(np.abs(outputs - network(inputs).numpy()).max())
    return float(max(differences))


def attach_file(client: MlflowClient, version: ModelVersionRecord, path: Path, difference: float) -> None:
    """Upload the ONNX file to the files of a version, and a JSON file with its digest and the measured difference."""
    check = path.with_name(CHECK_FILE)
    write_json(check, {"file": path.name, "sha256": file_digest(path), "difference": difference})
    repository = open_repository(client, version.source)
    for file in (path, check):
        repository.log_artifact(str(file), FOLDER)
