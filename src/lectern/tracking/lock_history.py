"""Find the config and the commit of a training in the history of `dvc.lock`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lectern.artifacts.paths import PIPELINE_LOCK, ExperimentPaths
from lectern.artifacts.pipeline_variables import train_stage
from lectern.tracking.git import git, read_blobs

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # CSafeLoader is ten times as fast as SafeLoader
CODE = ("pipelines/", "src/")


@dataclass(frozen=True)
class RecordedTraining:
    """The config and the commit of a training, as found in `dvc.lock` and its history."""

    config: dict[str, Any]  # has the same keys as the config of the train stage
    commit: str  # ends in `-dirty` if no commit contains the code; empty if no commit contains the digest


def find_recorded_training(paths: ExperimentPaths) -> RecordedTraining | None:
    """Return the config and the commit of the training that produced the present model folder.

    The entry of the train stage comes from the oldest commit whose `dvc.lock` contains the digest of the model folder.
    Commits that also contain the code of the training are preferred. If no commit contains the digest, the entry comes
    from the `dvc.lock` in the checkout. Returns None if this `dvc.lock` does not contain the digest either.
    """
    stage, digest, folder = train_stage(paths.experiment), folder_digest(local_files(paths.model)), Path.cwd()
    entries = find_entries(folder, stage, digest)
    if not entries:
        text = PIPELINE_LOCK.read_text(errors="replace") if PIPELINE_LOCK.is_file() else ""
        entry = find_entry(text, stage, digest)
        return RecordedTraining(read_config(entry), "") if entry else None
    clean = [(commit, entry) for commit, entry in entries if has_code(folder, commit, entry)]
    commit, entry = (clean or entries)[0]
    return RecordedTraining(read_config(entry), commit if clean else f"{commit}-dirty")


def find_entries(folder: Path, stage: str, digest: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the commits whose dvc.lock contains the digest as the output of a stage, oldest first.

    Each commit is returned with the entry of the stage in its dvc.lock. First, only commits that add or remove the
    digest are read. If these commits contain no valid entry, all commits are read.
    """
    for filters in ([f"-S{digest}"], []):
        texts = {commit: git(folder, "show", f"{commit}:./{PIPELINE_LOCK}") for commit in find_commits(folder, filters)}
        found = [(commit, find_entry(text, stage, digest)) for commit, text in texts.items()]
        entries = [(commit, entry) for commit, entry in found if entry]
        if entries:
            return entries
    return []


def find_commits(folder: Path, filters: list[str]) -> list[str]:
    """Return the commits that change `dvc.lock`, oldest first.

    Commits of the current branch precede commits of other branches.
    """
    found = [
        git(folder, "log", "--reverse", "--format=%H", *filters, revisions, "--", str(PIPELINE_LOCK)).split()
        for revisions in ("HEAD", "--all")
    ]
    return list(dict.fromkeys(commit for commits in found for commit in commits))


def find_entry(text: str, stage: str, digest: str) -> dict[str, Any] | None:
    """Return the entry of a stage in the text of a dvc.lock, or None if the stage's output does not have the digest."""
    if digest not in text:
        return None
    try:
        entry: dict[str, Any] = yaml.load(text, Loader=LOADER)["stages"][stage]
        return entry if entry["outs"][0]["md5"] == digest else None
    except (yaml.YAMLError, KeyError, TypeError, IndexError):  # someone committed an unfinished merge
        return None


def read_config(entry: dict[str, Any]) -> dict[str, Any]:
    """Build the config of a training from its entry in dvc.lock, which contains overrides and params."""
    config: dict[str, Any] = {}
    for word in entry["cmd"].split():
        key, is_override, value = word.partition("=")
        if is_override:
            config[key] = {"name": value} if key in ("dataset", "model") else value
    for file, section in entry.get("params", {}).items():
        config.setdefault(Path(file).parent.name, {}).update(nest(section))  # conf/model/<name>.yaml
    return config


def nest(section: dict[str, Any]) -> dict[str, Any]:
    """Return a dict in which the dotted key `fit.laptop` of DVC's params is replaced by nested dicts."""
    nested: dict[str, Any] = {}
    for key, value in section.items():
        *parents, last = key.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested


def has_code(folder: Path, commit: str, entry: dict[str, Any]) -> bool:
    """Return whether a commit contains the code that a stage has used according to the entry in dvc.lock."""
    used = {each["path"]: each["md5"] for each in entry["deps"] if each["path"].startswith(CODE)}
    return all(committed_digest(folder, commit, path) == digest for path, digest in used.items())


def committed_digest(folder: Path, commit: str, path: str) -> str:
    """Return the digest that DVC would compute for a file or folder in the commit."""
    listed = git(folder, "ls-tree", "-r", "-z", commit, "--", path).rstrip("\0")
    lines = [line.partition("\t") for line in listed.split("\0") if line]
    blobs = {name: description.split()[2] for description, _, name in lines}
    contents = read_blobs(folder, list(blobs.values()))
    digests = {name: hashlib.md5(contents[blob]).hexdigest() for name, blob in blobs.items() if blob in contents}
    if path in digests:
        return digests[path]
    return folder_digest({name.removeprefix(f"{path}/"): digest for name, digest in digests.items()})


def local_files(folder: Path) -> dict[str, str]:
    """Return a dict that maps the relative path of each file in a folder to the MD5 of the file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in files}


def file_md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def folder_digest(digests: dict[str, str]) -> str:
    """Return the digest of a folder, computed as in DVC from the MD5 of each file."""
    entries = [{"md5": digests[name], "relpath": name} for name in sorted(digests)]
    return f"{hashlib.md5(json.dumps(entries).encode()).hexdigest()}.dir"
