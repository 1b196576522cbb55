"""Define the commands that serve registered models, predict for files of inputs, and export models to ONNX."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lectern.cli.output import Json, connect, print_json, print_text
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
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="further name that requests may have in the header Host; this option can be repeated"),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="allow other machines to send requests without an API key")
    ] = False,
) -> None:
    """Serve the champions with a web page and an API.

    A promotion or rollback changes the served version without a restart of the server.

    Example: lectern serve --port 8080
    """
    connect()
    from lectern.serving.server import serve
    from lectern.serving.settings import read_settings

    serve(read_settings(host=host, port=port), allowed_host or [], insecure)


def predict(
    name: VersionName,
    input: Annotated[Path, typer.Option(help="file or folder with the inputs: images, a video or a table")],
    output: Annotated[Path, typer.Option(help="name of the .csv or .parquet file to create")],
    param: Annotated[
        list[str] | None, typer.Option(help="parameter of the prediction as name=value; this option can be repeated")
    ] = None,
    bad_rows: Annotated[
        Path | None,
        typer.Option(
            help="name of a .csv file to create with the rows that cannot be predicted; the other rows are predicted, "
            "and the exit code is 0. Without this option, nothing is written and the exit code is 1"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing files")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="delete the finished parts of an unfinished run with the same output")
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict for all inputs in a file or a folder with a registered model, by default with its champion.

    If the command is killed, or if it refuses a row of the input, run the same command again to continue. Finished
    predictions of unchanged rows are not repeated.

    Example: lectern predict mnist --input drawings --output answers.csv
    """
    client = connect()
    from lectern.serving.batch_predict import OutputPaths, predict_to_table

    paths = OutputPaths(output, bad_rows, overwrite, restart)
    predicted = predict_to_table(client, name, input, paths, read_params(param or []))
    if as_json:
        counts = {"rows": predicted.rows, "bad_rows": predicted.bad_rows}
        print_json({"model": name, "output": str(output), **counts})
        return
    print_text(f"{output}: {predicted.rows:,} rows")
    if bad_rows:
        print_text(f"{bad_rows}: {predicted.bad_rows:,} rows of the input cannot be predicted")


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
    print_text(f"{uri}: the predictions differ from those of PyTorch by at most {difference:.2g}")


def read_params(words: list[str]) -> dict[str, Any]:
    """Convert arguments such as `beam=5` to a dict of parameters. A value that is not JSON is a string.

    Raises UserError if an argument has no `=` or if a parameter is repeated.
    """
    params: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--param is {word!r}; expected name=value, such as --param beam=5.")
        if name in params:
            raise UserError(f"--param {name} is given twice. Give each parameter once.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params
