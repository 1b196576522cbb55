"""Define the commands `lectern write` and `lectern memory`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lectern.artifacts.paths import REPORTS
from lectern.errors import UserError
from lectern.user_files.output_path import check_output_path
from lectern.user_files.plain_text import check_argument


def register_commands(app: typer.Typer) -> None:
    """Add the commands of the task language_model to the command line interface."""
    app.command("write")(write)
    app.command("memory")(memory)


def write(
    name: Annotated[str, typer.Argument(help="name of a registered model, for example shakespeare")],
    prompt: Annotated[str, typer.Option(help="text to continue")] = "",
    length: Annotated[int, typer.Option(help="number of characters to generate")] = 400,
    temperature: Annotated[
        float,
        typer.Option(
            help="with 0, the most likely character is selected; "
            "with 1, characters are drawn from the predicted probabilities"
        ),
    ] = 1.0,
    top_k: Annotated[
        int,
        typer.Option(help="number of most likely characters from which a character is drawn; 0 means all characters"),
    ] = 0,
    top_p: Annotated[
        float, typer.Option(help="total probability of the most likely characters from which a character is drawn")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="random seed; equal seeds give equal texts")] = 0,
) -> None:
    """Generate a text with the champion of a language model and print it one character at a time.

    Example: lectern write shakespeare --prompt "KING LEAR" --length 1000
    """
    import pandas as pd

    from lectern.registry.model_params import validate_params
    from lectern.serving.champions import load_champion
    from lectern.tasks.language_model.data.format.alphabet import find_unknown_characters

    check_argument("--prompt", prompt)
    params = validate_params(
        "language_model",
        {"length": length, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed},
    )
    champion = load_champion(name, "language_model")
    unknown = find_unknown_characters(prompt, champion.model.facts)
    if unknown:
        print(
            f"lectern: {name} has not been trained on the characters {' '.join(map(repr, unknown))}",
            file=sys.stderr,
        )
    characters = champion.model.iterate("stream", pd.DataFrame({"prompt": [prompt]}), params)
    print(prompt, end="", flush=True)
    for character in characters:
        print(character, end="", flush=True)
    print()


def memory(
    experiments: Annotated[
        list[str], typer.Argument(help="names of evaluated experiments, for example char-rnn char-gru")
    ],
    out: Annotated[Path, typer.Option(help="path of the PNG file to create")] = Path("memory.png"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
) -> None:
    """Draw how much context several language models use.

    Example: lectern memory char-rnn-small char-gru-small char-lstm-small
    """
    from lectern.tasks.language_model.report.plots import draw_context_length

    check_output_path("--out", out, [".png"], overwrite)
    draw_context_length({name: read_details(name) for name in experiments}, out)
    print(out)


def read_details(experiment: str) -> dict[str, Any]:
    """Return the content of `details.json` in the report of an experiment.

    Raises UserError if the experiment has no report of a language model.
    """
    path = REPORTS / experiment / "details.json"
    details: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if "loss_after_reset" not in details:
        raise UserError(f"{path} is not the report of a language model. Run `dvc repro evaluate@{experiment}` first.")
    return details
