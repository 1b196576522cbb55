"""Register a version whose packaged code differs from the code of this checkout."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from lectern.artifacts.source_code import texts_digest
from lectern.atomic import write_json
from lectern.registry.audit_log import describe_version
from lectern.registry.packaged_code import code_digest, read_package
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_manifest import MANIFEST
from lectern.registry.version_record import ModelVersionRecord

Change = Callable[[str], str]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def register_other_code(client: MlflowClient, name: str, folder: Path, file: str, change: Change) -> ModelVersionRecord:
    """Register the files of the champion again, with a change in one file of the packaged code."""
    champion = RegisteredModel(client, name).get("champion")
    files = folder / "files"
    shutil.copytree(local_file_uri_to_path(champion.source), files)
    old = f"lectern_{code_digest(champion.task)[:12]}"
    path = files / "code" / old / file
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    digest = texts_digest(read_package(files, old))
    new = f"lectern_{digest[:12]}"
    for module in [files / "pyfunc.py", *files.rglob("code/**/*.py")]:
        module.write_text(module.read_text().replace(old, new))
    (files / "code" / old).rename(files / "code" / new)
    tags = client.get_model_version(name, str(champion.number)).tags
    manifest = replace(champion.manifest, code=digest, commit=COMMIT)
    write_json(files / MANIFEST, asdict(manifest))
    tags |= {"lectern.identity": manifest.identity.digest}
    version = client.create_model_version(name, files.absolute().as_uri(), champion.run_id, tags=tags)
    return RegisteredModel(client, name).get(str(version.version))


def commit_decision(version: ModelVersionRecord) -> None:
    """Commit an audit log in the current folder. Its decision contains the code digest of a version."""
    write_decision(version)
    for arguments in (
        ["init", "--quiet"],
        ["add", "--force", "registry"],
        ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message=Promote a version"],
    ):
        subprocess.run(["git", *arguments], check=True)


def write_decision(version: ModelVersionRecord) -> None:
    """Write a decision about a version to the audit log in the current folder."""
    Path("registry").mkdir(exist_ok=True)
    decision = {
        "when": "2026-01-01T00:00:00+00:00",
        "who": {"user": "ada", "host": "laptop"},
        "action": "promote",
        "from": None,
        "to": describe_version(version),
    }
    Path("registry", f"{version.name}.jsonl").write_text(json.dumps(decision) + "\n")
