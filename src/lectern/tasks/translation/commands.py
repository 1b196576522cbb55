"""Add the commands `lectern translate` and `lectern by-length`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lectern.artifacts.paths import REPORTS
from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.user_files.output_path import check_output_path
from lectern.user_files.plain_text import check_argument, decode_text

if TYPE_CHECKING:  # importing torch is slow
    from lectern.serving.champions import Champion

BATCH_LINES = 64


def register_commands(app: typer.Typer) -> None:
    """Add the commands of the task translation to the command line interface."""
    app.command()(translate)
    app.command("by-length")(by_length)


def translate(
    name: Annotated[
        str, typer.Argument(help="name of a registered model, which is the name of its dataset, such as multi30k_en_de")
    ],
    text: Annotated[
        str | None,
        typer.Argument(help="sentence to translate; without this argument, each line of standard input is translated"),
    ] = None,
    beam: Annotated[
        int, typer.Option(help="number of partial translations that the search keeps; 1 means greedy search")
    ] = 5,
    n_best: Annotated[
        int, typer.Option(help="number of translations per sentence; with more than 1, scores are also printed")
    ] = 1,
    attention: Annotated[
        Path | None, typer.Option(help="path of a PNG file to which the attention map of the sentence is written")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
) -> None:
    """Translate a sentence, or each line of standard input, with the champion of a model.

    Example: lectern translate multi30k_en_de "A man is riding a bicycle." --attention map.png
    """
    from lectern.registry.model_params import validate_params
    from lectern.serving.champions import load_champion

    check_argument("TEXT", text or "")
    validate_params("translation", {"beam": beam, "n_best": n_best})
    if text is not None and not text.strip():
        raise UserError("The sentence is empty. Enter a sentence to translate.")
    lines = [text] if text is not None else split_lines(decode_text(sys.stdin.buffer.read(), "The input"))
    if attention and len(lines) != 1:
        raise UserError(f"--attention draws the attention map of one sentence, but the input has {len(lines)} lines.")
    if attention:
        check_output_path("--attention", attention, [".png"], overwrite)
    champion = load_champion(name, "translation")
    if attention:
        draw_attention(champion, lines[0], beam, attention)
    for output in translate_lines(champion, lines, beam, n_best):
        print("\n".join(output))


def translate_lines(champion: "Champion", lines: list[str], beam: int, n_best: int) -> Iterator[list[str]]:
    """Yield a list of `n_best` output lines for each input line. The output lines of an empty line are empty.

    A progress bar is shown if the input has more than BATCH_LINES lines.
    """
    from tqdm import tqdm

    has_text = [check_line(champion, number, line) for number, line in enumerate(lines, 1)]
    unit = f" x {BATCH_LINES} lines"
    for start in tqdm(range(0, len(lines), BATCH_LINES), unit=unit, disable=len(lines) <= BATCH_LINES):
        rows = range(start, min(start + BATCH_LINES, len(lines)))
        translations = iter(translate_batch(champion, [lines[row] for row in rows if has_text[row]], beam, n_best))
        yield from (format_translations(next(translations), n_best) if has_text[row] else [""] * n_best for row in rows)


def translate_batch(champion: "Champion", lines: list[str], beam: int, n_best: int) -> list[list[tuple[str, float]]]:
    """Return the translations of each line with their scores, the best translation first."""
    import pandas as pd

    if not lines:
        return []
    table = champion.model.predict(pd.DataFrame({"source": lines}), {"beam": beam, "n_best": n_best})
    pairs = list(zip(table["target"], table["score"], strict=True))
    per_line = len(pairs) // len(lines)
    return [pairs[start : start + per_line] for start in range(0, len(pairs), per_line)]


def check_line(champion: "Champion", number: int, line: str) -> bool:
    """Return whether a line contains text. Raises UserError with the line number if the line cannot be translated."""
    from lectern.tasks.translation.data.format.cleaning import normalize
    from lectern.tasks.translation.data.format.sentences import prepare

    try:
        return bool(normalize(line) and prepare([line], champion.model.facts))
    except UserError as error:
        raise UserError(f"Line {number}: {error}") from error


def format_translations(translations: list[tuple[str, float]], n_best: int) -> list[str]:
    """Return a line of text for each translation. If `n_best` is above 1, each line starts with the score."""
    return [text if n_best == 1 else f"{score:.4f}\t{text}" for text, score in translations]


def draw_attention(champion: "Champion", text: str, beam: int, path: Path) -> None:
    """Draw the attention map of a sentence to a file. Raises UserError if the network has no attention."""
    from lectern.tasks.translation.report import plots

    attention_map = champion.model.call("token_attention", text, beam)
    if attention_map is None:
        raise UserError(
            "The network of the champion has no attention, so there is no attention map to draw. "
            "To promote a version with attention, run `lectern promote NAME --version N`."
        )
    plots.draw_attention([attention_map], path)


def by_length(
    experiments: Annotated[list[str], typer.Argument(help="names of evaluated experiments of the same dataset")],
    out: Annotated[Path, typer.Option(help="path of the PNG file to create")] = Path("by_length.png"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
) -> None:
    """Draw how the scores of experiments depend on the length of the source sentence.

    Example: lectern by-length en-de-seq2seq en-de-attention
    """
    import pandas as pd

    from lectern.tasks.translation.report import plots

    check_output_path("--out", out, [".png"], overwrite)
    tables = {}
    for experiment in experiments:
        path = REPORTS / experiment / "items.parquet"
        if not path.is_file():
            raise UserError(f"{path} does not exist. Run `dvc repro evaluate@{experiment}`.")
        tables[experiment] = pd.read_parquet(path)
    plots.draw_score_by_length(tables, out)
    print(f"Wrote {out}", file=sys.stderr)
