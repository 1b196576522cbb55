"""Add the commands `lectern translate` and `lectern by-length`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lectern.artifacts.paths import REPORTS
from lectern.errors import UserError

if TYPE_CHECKING:  # The import of torch is slow.
    from lectern.tasks.translation.model.module import Translator

BATCH_LINES = 64


def register_commands(app: typer.Typer) -> None:
    """Add the commands of this task."""
    app.command()(translate)
    app.command("by-length")(by_length)


def translate(
    name: Annotated[
        str, typer.Argument(help="name of a registered model, which is the name of its dataset, such as multi30k_en_de")
    ],
    text: Annotated[
        str | None,
        typer.Argument(help="the sentence to translate; if it is missing, each line of standard input is translated"),
    ] = None,
    beam: Annotated[
        int, typer.Option(help="number of partial translations that the search keeps; 1 means greedy search")
    ] = 5,
    n_best: Annotated[
        int, typer.Option(help="number of translations per sentence; if the number is above 1, scores are printed")
    ] = 1,
    attention: Annotated[
        Path | None, typer.Option(help="write the attention map of the sentence to this PNG file")
    ] = None,
) -> None:
    """Translate a sentence, or each line of standard input, with the champion.

    Example: lectern translate multi30k_en_de "A man is riding a bicycle." --attention map.png
    """
    if text is not None and not text.strip():
        raise UserError("The sentence is empty. Enter a sentence to translate.")
    lines = [text] if text is not None else read_lines(sys.stdin.buffer.read())
    if attention and len(lines) != 1:
        raise UserError(f"--attention draws one sentence, but the input has {len(lines)} lines.")
    module = load_translator(name)
    if attention:
        draw_attention(module, lines[0], beam, attention)
    for output in translate_lines(module, lines, beam, n_best):
        print("\n".join(output))


def load_translator(name: str) -> "Translator":
    """Load the champion. Raises UserError if the champion is not a translation model."""
    from lectern.registry.versions import load_champion
    from lectern.tasks.translation.model.module import Translator

    module = load_champion(name)
    if not isinstance(module, Translator):
        raise UserError(f"{name} is not a translation model. Choose a model of a translation dataset.")
    return module


def translate_lines(module: "Translator", lines: list[str], beam: int, n_best: int) -> Iterator[list[str]]:
    """Yield the output lines of each input line. An empty line stays empty. A progress bar is shown for long input."""
    from tqdm import tqdm

    prepared = [prepare_line(module, number, line) for number, line in enumerate(lines, 1)]
    unit = f" x {BATCH_LINES} lines"
    for start in tqdm(range(0, len(lines), BATCH_LINES), unit=unit, disable=len(lines) <= BATCH_LINES):
        batch = prepared[start : start + BATCH_LINES]
        translations = iter(module.predict([ids for ids in batch if ids], beam=beam, n_best=n_best))
        yield from (format_translations(next(translations), n_best) if ids else [""] for ids in batch)


def prepare_line(module: "Translator", number: int, line: str) -> list[int]:
    """Return the token ids of a line, or an empty list for an empty line. Errors contain the number of the line."""
    from lectern.tasks.translation.data.format.cleaning import normalize
    from lectern.tasks.translation.data.format.sentences import prepare

    try:
        return prepare([line], module.facts)[0] if normalize(line) else []
    except UserError as error:
        raise UserError(f"Line {number}: {error}") from error


def format_translations(translations: list[tuple[str, float]], n_best: int) -> list[str]:
    """Return the text of each translation. If `n_best` is above 1, the score is printed before the text."""
    return [text if n_best == 1 else f"{score:.4f}\t{text}" for text, score in translations]


def read_lines(data: bytes) -> list[str]:
    """Split UTF-8 text into lines. Raises UserError if the text is not UTF-8."""
    try:
        return data.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"Line {line} of the input is not UTF-8. Convert the input with `iconv -t UTF-8`.") from error


def draw_attention(module: "Translator", text: str, beam: int, path: Path) -> None:
    """Draw the attention map of a sentence. Raises UserError if the network has no attention."""
    from lectern.tasks.translation.data.format.sentences import prepare
    from lectern.tasks.translation.report import plots

    attention_map = module.attention(prepare([text], module.facts)[0], beam)
    if attention_map is None:
        raise UserError(
            "This champion has no attention, so there is no map to draw. To promote a version with attention, run "
            "`lectern promote NAME --version N`."
        )
    plots.draw_attention([attention_map], path)


def by_length(
    experiments: Annotated[list[str], typer.Argument(help="names of evaluated experiments of the same dataset")],
    out: Annotated[Path, typer.Option(help="the PNG to write")] = Path("by_length.png"),
) -> None:
    """Draw how the score of experiments depends on the length of the sentence.

    Example: lectern by-length en-de-seq2seq en-de-attention
    """
    import pandas as pd

    from lectern.tasks.translation.report import plots

    tables = {}
    for experiment in experiments:
        path = REPORTS / experiment / "items.parquet"
        if not path.is_file():
            raise UserError(f"{path} does not exist. Run `dvc repro evaluate@{experiment}`.")
        tables[experiment] = pd.read_parquet(path)
    plots.draw_score_by_length(tables, out)
    print(f"Wrote {out}", file=sys.stderr)
