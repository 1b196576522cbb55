"""Define the commands that add config files to the checkout."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # importing NumPy is slow
    from lectern.new_dataset.write import AddedDataset

PANEL = "Add data"


def register_commands(app: typer.Typer) -> None:
    group = typer.Typer(help="Write the config files of new data.", no_args_is_help=True)
    group.callback()(lambda: None)  # without a callback, a group with one command has no subcommand
    group.command("dataset")(add_dataset)
    app.add_typer(group, name="add", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(schemas)


def schemas() -> None:
    """Write the JSON Schemas of the config files to conf/schema, from which editors check and complete the files.

    Run this command after a change of a parameter that a config file sets.

    Example: lectern schemas
    """
    from lectern.schemas.groups import write_schemas

    print("\n".join(map(str, write_schemas())))


def add_dataset(
    name: Annotated[str, typer.Argument(help="name of the new origin and of the new dataset")],
    task: Annotated[str, typer.Option(help="name of a folder in src/lectern/tasks, such as digits")],
    licence: Annotated[str, typer.Option("--licence", "--license", help="licence of the data, in a few words")],
    path: Annotated[
        Path | None, typer.Option("--from", help="folder with the files, one file, or an archive on this machine")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="address of a file or of one archive; this option can be repeated")
    ] = None,
    inside: Annotated[
        str, typer.Option(help="folder of the files in the archive; the default is the folder that contains all files")
    ] = "",
    members: Annotated[
        list[str] | None,
        typer.Option(help="shell pattern that selects files of the archive or folder; this option can be repeated"),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the section `preprocess` of the dataset; this option can be repeated"),
    ] = None,
    description: Annotated[str, typer.Option(help="one sentence about the data, written as a comment")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing config files")] = False,
) -> None:
    """Write the config files of a new origin and a new dataset, with the sizes and SHA-256 digests of all files.

    The files are downloaded or read once. docs/adding-a-dataset.md has an example for each task.

    Example: lectern add dataset kannada --task digits --licence "CC BY 4.0" --from downloads/kannada
    """
    from lectern.new_dataset.request import Request, parse_settings
    from lectern.new_dataset.write import add_dataset

    values = parse_settings(setting or [])
    request = Request(name, task, licence, description, path, url or [], inside, members or [], values, overwrite)
    print_next_steps(name, task, path, add_dataset(request))


def print_next_steps(name: str, task: str, path: Path | None, added: "AddedDataset") -> None:
    """Print the written files, and what the user has to do before DVC can run the new stages."""
    for file in added.config_files:
        print(f"Wrote {file}")
    if added.missing_keys:
        keys = " and ".join(added.missing_keys)
        print(f"\nIn {added.config_files[1]}, replace ??? with the values of {keys}.")
    if path is not None:
        print_mirror_steps(name, path)
    experiment = name_experiment(name, added.model)
    print(
        f"\nAdd each line below its heading, which the file already has, to experiments.yaml:\n\n"
        f"origins:\n  - {name}\n"
        f"datasets:\n  {name}: {{task: {task}, origin: {name}}}\n"
        f"experiments:\n  {experiment}: {{dataset: {name}, task: {task}, model: {added.model}}}\n\n"
        f"Then run:\n\n  dvc repro preprocess@{name}\n  dvc repro register@{experiment}"
    )


def name_experiment(dataset: str, model: str) -> str:
    """Return the name of a new experiment, which is not the name of an existing experiment."""
    from lectern.stages.experiments import read_experiments

    experiments, name = read_experiments(), f"{dataset}-{model.replace('_', '-')}"
    while name in experiments:
        name += "-new"
    return name


def print_mirror_steps(name: str, path: Path) -> None:
    """Print how to put files without an address into a mirror, from which the download stage reads them."""
    from lectern.download.http import is_url
    from lectern.errors import hide_credentials

    print(
        "\nThe files have no public address. Everybody who runs the download stage needs the files in the folder\n"
        f"{name}/ of a mirror, and the environment variable LECTERN_MIRROR with the address of the mirror."
    )
    chosen = os.environ.get("LECTERN_MIRROR", "")
    if is_url(chosen):
        print(f"Upload the files to {hide_credentials(chosen).rstrip('/')}/{name}/.")
        return
    source = path.resolve() if path.is_dir() else path.resolve().parent
    mirror = Path(chosen or (source.parent if source.name == name else Path.home() / "lectern-mirror"))
    commands = [] if chosen else [f"export LECTERN_MIRROR={shlex.quote(str(mirror))}"]
    if (mirror / name).resolve() != source:
        folder = shlex.quote(f"{mirror / name}/")
        copied = shlex.quote(f"{path}/." if path.is_dir() else str(path))
        commands.insert(0, f"mkdir -p {folder} && cp -R {copied} {folder}")
    if commands:
        print("\n".join(["On this machine, run:\n", *(f"  {command}" for command in commands)]))
