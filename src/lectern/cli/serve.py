"""Define the commands that serve registered models, predict for files of inputs, and export models to ONNX."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lectern.cli.output import Json, connect, print_json
from lectern.errors import UserError
from lectern.user_files.output_path import check_output_path

VersionName = Annotated[
    str, typer.Argument(help="name of a registered model or of one of its versions, such as mnist or mnist@3")
]


def register_commands(app: typer.Typer) -> None:
    for command in (serve, predict, export):
        app.command(rich_help_panel="Use models")(command)


def serve(
    host: Annotated[
        str | None, typer.Option(help="IP address on which the server listens; for 0.0.0.0, set LECTERN_API_KEY first")
    ] = None,
    port: Annotated[int | None, typer.Option(help="port on which the server listens; 0 selects a free port")] = None,
) -> None:
    """Serve the champions with a web page and an API.

    A promotion or rollback changes the served version without a restart of the server.

    Example: lectern serve --port 8080
    """
    connect()
    from lectern.serving.server import serve
    from lectern.serving.settings import read_settings

    serve(read_settings(host=host, port=port))


def predict(
    name: VersionName,
    input: Annotated[Path, typer.Option(help="file or folder with the inputs: images, a video or a table")],
    output: Annotated[Path, typer.Option(help="name of the .csv or .parquet file to create")],
    param: Annotated[
        list[str] | None, typer.Option(help="parameter of the prediction as name=value; this option can be repeated")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    as_json: Json = False,
) -> None:
    """Predict for all inputs in a file or a folder with a registered model, by default with its champion.

    If the command is killed, run the same command again to continue.

    Example: lectern predict mnist --input drawings --output answers.csv
    """
    client = connect()
    from lectern.serving.batch_predict import predict_to_table

    rows = predict_to_table(client, name, input, output, read_params(param or []), overwrite)
    if as_json:
        print_json({"model": name, "output": str(output), "rows": rows})
        return
    print(f"{output}: {rows:,} rows")


def export(
    name: VersionName,
    out: Annotated[Path | None, typer.Option(help="path for an additional copy of the ONNX file")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    as_json: Json = False,
) -> None:
    """Export a version to ONNX, compare the predictions of ONNX and PyTorch, and attach the ONNX file to the version.

    Example: lectern export mnist --out mnist.onnx
    """
    if out:
        check_output_path("--out", out, [".onnx"], overwrite)
    client = connect()
    from lectern.registry.versions import find_version
    from lectern.serving.export import export

    uri, difference = export(client, find_version(client, name), out)
    if as_json:
        print_json({"model": name, "uri": uri, "difference": difference})
        return
    print(f"{uri}: the predictions differ from those of PyTorch by at most {difference:.2g}")


def read_params(words: list[str]) -> dict[str, Any]:
    """Convert arguments such as `beam=5` to a dict of parameters. Raises UserError if a value is not a number."""
    params = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            params[name] = json.loads(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"--param is {word!r}; expected name=number, such as --param beam=5.")
    return params
