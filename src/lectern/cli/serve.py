"""Commands that answer: serve over the network, predict from files, export to ONNX."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lectern.cli.output import Json, connect, print_json
from lectern.errors import UserError

Model = Annotated[str, typer.Argument(help="a model, or one of its versions: mnist, mnist@3")]


def add_to(app: typer.Typer) -> None:
    for command in (serve, predict, export):
        app.command(rich_help_panel="Ask the champions")(command)


def serve(
    host: Annotated[str | None, typer.Option(help="0.0.0.0 lets others in; set LECTERN_API_KEY before")] = None,
    port: Annotated[int | None, typer.Option(help="8000 by conf/serve.yaml; 0 takes a free one")] = None,
) -> None:
    """A web page and an API over the champions, which follow every promotion and rollback.

    Example: lectern serve --port 8080
    """
    connect()
    from lectern.serving.server import serve
    from lectern.serving.settings import read_settings

    serve(read_settings(host=host, port=port))


def predict(
    name: Model,
    input: Annotated[Path, typer.Option(help="a file or a folder: images, a video, a table with the model's column")],
    output: Annotated[Path, typer.Option(help="a .csv or .parquet that is not there yet")],
    param: Annotated[list[str] | None, typer.Option(help="of the model, as name=value; again for another")] = None,
    as_json: Json = False,
) -> None:
    """Answer a file or a folder with the champion; killed and called again, it goes on where it was.

    Example: lectern predict mnist --input drawings --output answers.csv
    """
    client = connect()
    from lectern.serving.batch_predict import predict

    rows = predict(client, name, input, output, read_params(param or []))
    if as_json:
        print_json({"model": name, "output": str(output), "rows": rows})
        return
    print(f"{output}: {rows:,} rows")


def export(
    name: Model,
    out: Annotated[Path | None, typer.Option(help="write a copy here too: model.onnx")] = None,
    as_json: Json = False,
) -> None:
    """Export a version to ONNX, compare its answers with PyTorch's, and attach the file to the version.

    Example: lectern export mnist --out mnist.onnx
    """
    client = connect()
    from lectern.registry import versions
    from lectern.serving.export import export

    where, difference = export(client, versions.find_named(client, name), out)
    if as_json:
        print_json({"model": name, "uri": where, "difference": difference})
        return
    print(f"{where}: its answers differ from PyTorch's by {difference:.2g} at most")


def read_params(words: list[str]) -> dict:
    """`beam=5` to a name and a number."""
    params = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            params[name] = json.loads(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"--param is {word!r}; it must be name=number, as in --param beam=5.")
    return params
