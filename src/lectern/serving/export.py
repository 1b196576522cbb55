"""A registered version to an ONNX file that gives the same answers, attached to the version."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.digests import file_digest
from lectern.errors import UserError
from lectern.serving.champions import load
from lectern.task_modules import has_task_module, task_module

TOLERANCE = 1e-4  # the largest difference from PyTorch's own answers
SIZES = (1, 2, 7)  # rows that are compared: another number than the one it was traced with


def export(client: MlflowClient, version: ModelVersion, out: Path | None = None) -> tuple[str, float]:
    """Write the file, compare it, and attach it to the version's run; returns where it lies and the difference.

    Raises UserError for a task or a network that cannot be exported, and where the answers differ.
    """
    champion = load(client, version)
    if not has_task_module(champion.task, "serving.onnx"):
        raise UserError(f"{version.name}: models of {champion.task.replace('_', ' ')} are not exported to ONNX.")
    room = task_module(champion.task, "serving.onnx")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{version.tags['lectern.experiment']}.onnx"
        write(room, champion.module, path)
        difference = compare(room, champion.module, path)
        if not difference <= TOLERANCE:
            raise UserError(
                f"ONNX answers differ by {difference:.2g} from PyTorch's; at most {TOLERANCE:g} is allowed."
            )
        if out:
            out.write_bytes(path.read_bytes())
        client.log_artifact(version.run_id, str(path), "onnx")
        attach(client, version, path, difference)
    return f"runs:/{version.run_id}/onnx/{path.name}", difference


def write(room, module, path: Path) -> None:
    """Trace the network with any number of rows."""
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            room.exportable(module).eval(),
            (room.example(module, 2),),
            str(path),
            input_names=[room.INPUT],
            output_names=[room.OUTPUT],
            dynamic_shapes=({0: rows},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.inference_mode()
def compare(room, module, path: Path) -> float:
    """The largest difference of any output, from another number of rows each time."""
    import onnxruntime

    session, network = onnxruntime.InferenceSession(str(path)), room.exportable(module).eval()
    differences = []
    for rows in SIZES:
        inputs = room.example(module, rows)
        (answered,) = session.run(None, {room.INPUT: inputs.numpy()})
        differences.append(np.abs(answered - network(inputs).numpy()).max())
    return float(max(differences))


def attach(client: MlflowClient, version: ModelVersion, path: Path, difference: float) -> None:
    """The version tells where its file is, what its bytes are, and how near its answers."""
    told = {"uri": f"runs:/{version.run_id}/onnx/{path.name}", "sha256": file_digest(path), "difference": difference}
    for key, value in told.items():
        client.set_model_version_tag(version.name, version.version, f"lectern.onnx_{key}", str(value))
