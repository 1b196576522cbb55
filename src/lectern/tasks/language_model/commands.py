"""`lectern write NAME`: what the champion writes after a prompt, as it comes; `lectern memory`: cells side by side."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lectern.artifacts.paths import REPORTS
from lectern.errors import UserError


def add_to(app: typer.Typer) -> None:
    """Register the commands that only this room has."""
    app.command("write")(write)
    app.command("memory")(memory)


def write(
    name: Annotated[str, typer.Argument(help="a registered model, named after its data set: shakespeare")],
    prompt: Annotated[str, typer.Option(help="what the text begins with")] = "",
    length: Annotated[int, typer.Option(help="characters to write")] = 400,
    temperature: Annotated[float, typer.Option(help="0 is always the likeliest, 1 as learned")] = 1.0,
    top_k: Annotated[int, typer.Option(help="keep this many of the likeliest; 0 keeps all")] = 0,
    top_p: Annotated[float, typer.Option(help="keep the likeliest that are together so likely")] = 1.0,
    seed: Annotated[int, typer.Option(help="the same seed writes the same text")] = 0,
) -> None:
    """Write on after a prompt, character by character.

    Example: lectern write shakespeare --prompt "KING LEAR" --length 1000
    """
    from lectern.tasks.language_model.data.format.alphabet import prepare, unknown_characters
    from lectern.tasks.language_model.model.generation import stream

    module = load_writer(name)
    strange = unknown_characters(prompt, module.facts)
    if strange:
        print(f"lectern: {name} never saw {' '.join(map(repr, strange))}; read as unknown", file=sys.stderr)
    characters = stream(
        module, prepare(prompt, module.facts), length, seed, temperature=temperature, top_k=top_k, top_p=top_p
    )
    print(prompt, end="", flush=True)
    for character in characters:
        print(character, end="", flush=True)
    print()


def load_writer(name: str):
    """The champion, if it is a language model."""
    from lectern.registry.versions import load_champion
    from lectern.tasks.language_model.model.module import CharacterModel

    module = load_champion(name)
    if not isinstance(module, CharacterModel):
        raise UserError(f"{name} is a {type(module).__name__}, which writes nothing. See: lectern registry list")
    return module


def memory(
    experiments: Annotated[list[str], typer.Argument(help="evaluated experiments: char-rnn char-lstm char-gru")],
    out: Annotated[Path, typer.Option(help="the picture to write")] = REPORTS / "memory.png",
) -> None:
    """Draw how far back several networks remember, on one picture.

    Example: lectern memory char-rnn-small char-gru-small char-lstm-small
    """
    from lectern.tasks.language_model.report.plots import draw_memory

    draw_memory({name: read_details(name) for name in experiments}, out)
    print(out)


def read_details(experiment: str) -> dict:
    path = REPORTS / experiment / "details.json"
    details = json.loads(path.read_text()) if path.is_file() else {}
    if "after_reset" not in details:
        raise UserError(f"{path} is no report of a language model. Evaluate it first: dvc repro evaluate@{experiment}")
    return details
