"""`lectern translate` and `lectern by-length`: sentences to translations, and reports to a picture."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from lectern.artifacts.paths import REPORTS
from lectern.errors import UserError

LINES = 64  # translated together


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(translate)
    app.command("by-length")(by_length)


def translate(
    name: Annotated[str, typer.Argument(help="a registered model, named after its data set: multi30k_en_de")],
    text: Annotated[str | None, typer.Argument(help="a sentence; without it, the lines of standard input")] = None,
    beam: Annotated[int, typer.Option(help="beginnings kept while searching; 1 is greedy")] = 5,
    n_best: Annotated[int, typer.Option(help="translations shown, as lines of score and text")] = 1,
    attention: Annotated[Path | None, typer.Option(help="draw where it looked to this PNG")] = None,
) -> None:
    """Translate with the champion, a sentence or a file.

    Example: lectern translate multi30k_en_de "A man is riding a bicycle." --attention map.png
    """
    if text is not None and not text.strip():
        raise UserError("The sentence is empty, so there is nothing to translate.")
    lines = [text] if text is not None else read_lines(sys.stdin.buffer.read())
    if attention and len(lines) != 1:
        raise UserError(f"--attention draws one sentence; there are {len(lines)}. Give it as the second argument.")
    module = load_translator(name)
    if attention:
        draw_attention(module, lines[0], beam, attention)
    for found in translate_lines(module, lines, beam, n_best):
        print("\n".join(found))


def load_translator(name: str):
    """The champion, if it is a translator."""
    from lectern.registry.versions import load_champion
    from lectern.tasks.translation.model.module import Translator

    module = load_champion(name)
    if not isinstance(module, Translator):
        raise UserError(f"{name} is a {type(module).__name__}, which translates nothing. See: lectern registry list")
    return module


def translate_lines(module, lines: list[str], beam: int, n_best: int) -> Iterator[list[str]]:
    """The output lines of each line, in order; an empty line stays one. Long input shows how far it is."""
    from tqdm import tqdm

    prepared = [prepare_line(module, number, line) for number, line in enumerate(lines, 1)]
    for start in tqdm(range(0, len(lines), LINES), unit=f" x {LINES} lines", disable=len(lines) <= LINES):
        part = prepared[start : start + LINES]
        found = iter(module.predict([ids for ids in part if ids], beam=beam, n_best=n_best))
        yield from (tell(next(found), n_best) if ids else [""] for ids in part)


def prepare_line(module, number: int, line: str) -> list[int]:
    """Ids of a line, none for an empty one. Raises UserError that names the line."""
    from lectern.tasks.translation.data.format.cleaning import normalise
    from lectern.tasks.translation.data.format.sentences import prepare

    try:
        return prepare([line], module.facts)[0] if normalise(line) else []
    except UserError as error:
        raise UserError(f"Line {number}: {error}") from error


def tell(translations: list[tuple[str, float]], n_best: int) -> list[str]:
    """The text alone, or score and text of each."""
    return [text if n_best == 1 else f"{score:.4f}\t{text}" for text, score in translations]


def read_lines(data: bytes) -> list[str]:
    """Standard input's lines. Raises UserError where they are not UTF-8."""
    try:
        return data.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"Line {line} of the input is not UTF-8. Convert it first: iconv -t UTF-8") from error


def draw_attention(module, text: str, beam: int, path: Path) -> None:
    from lectern.tasks.translation.data.format.sentences import prepare
    from lectern.tasks.translation.report import plots

    looks = module.attention(prepare([text], module.facts)[0], beam)
    if looks is None:
        raise UserError(
            "This champion squeezes the sentence into one vector and never looks back, so there is no attention to "
            "draw. Promote another: lectern promote NAME --version N"
        )
    plots.draw_attention([looks], path)


def by_length(
    experiments: Annotated[list[str], typer.Argument(help="evaluated experiments: those of one data set compare")],
    out: Annotated[Path, typer.Option(help="the picture")] = Path("by_length.png"),
) -> None:
    """Draw how well experiments translate sentences of different length, in one picture.

    Example: lectern by-length en-de-seq2seq en-de-attention
    """
    import pandas as pd

    from lectern.tasks.translation.report import plots

    tables = {}
    for experiment in experiments:
        path = REPORTS / experiment / "items.parquet"
        if not path.is_file():
            raise UserError(f"{path} is not there. Evaluate first: dvc repro evaluate@{experiment}")
        tables[experiment] = pd.read_parquet(path)
    plots.draw_score_by_length(tables, out)
    print(f"Drawn: {out}", file=sys.stderr)
