"""Test that the Kubernetes manifests are valid, match the code, and run without root rights and without passwords."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lectern.cluster.submit import required_job_size

ROOT = Path(__file__).parents[1]
VERSION = "1.33"


def read_manifests() -> list[dict[str, Any]]:
    """Return all objects, with the pods of the PyTorchJob as a PodTemplate, because its schema is not in Kubernetes."""
    objects = [each for path in ROOT.glob("cluster/kubernetes*.yaml") for each in yaml.safe_load_all(path.read_text())]
    job = next(each for each in objects if each["kind"] == "PyTorchJob")
    workers = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]
    objects[objects.index(job)] = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {}, "template": workers}
    return objects


MANIFESTS = {each["kind"]: each for each in read_manifests()}
PODS = [MANIFESTS["PodTemplate"]["template"]["spec"], MANIFESTS["Deployment"]["spec"]["template"]["spec"]]


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_fits_the_schema_of_kubernetes(manifest):
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_wrong_key_does_not_fit_the_schema():
    wrong = {**MANIFESTS["Service"], "spec": {"selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("pod", PODS, ids=["training", "server"])
def test_a_pod_has_no_root_rights_and_reads_passwords_from_secrets(pod):
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    secrets = {each["name"] for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}
    assert secrets >= {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


def test_the_server_is_started_with_options_that_exist():
    from typer.main import get_command

    from lectern.cli import full_app

    (container,) = MANIFESTS["Deployment"]["spec"]["template"]["spec"]["containers"]
    program, name, *options = container["args"]
    command = get_command(full_app()).commands[name]
    assert program == "lectern" and command.make_context(name, list(options)).params["host"] == "0.0.0.0"
    probes = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {"/healthz", "/readyz"}


def test_the_kubernetes_example_matches_an_existing_training(monkeypatch):
    monkeypatch.chdir(ROOT)
    job = yaml.safe_load((ROOT / "cluster/kubernetes.yaml").read_text())
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    size = required_job_size([*container["command"], *container["args"]])
    assert size.nodes == worker["replicas"] and size.processes_per_node == int(job["spec"]["nprocPerNode"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == size.processes_per_node and size.gpu
