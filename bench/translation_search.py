"""Measure how long greedy search and beam search take on a test set, for a trained translation model.

python bench/translation_search.py models/en-de-transformer data/processed/multi30k_en_de --threads 2
"""

import time
from pathlib import Path
from typing import Annotated

from lectern.artifacts import model_folder  # imported first: it sets how OpenMP threads wait, before torch loads

# isort: split
import torch
import typer

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.report import baseline


def main(
    model: Annotated[Path, typer.Argument(help="a model folder of the translation task")],
    processed: Annotated[Path, typer.Argument(help="the processed dataset of the model")],
    threads: Annotated[int, typer.Option(help="the number of torch threads")] = 2,
) -> None:
    torch.set_num_threads(threads)
    translator = model_folder.load_model(model)
    sources, _ = baseline.read_tests(processed)[read_facts(processed)["scored_test"]]
    prepared = prepare(sources, translator.facts)
    for beam in (1, 5):
        start = time.perf_counter()
        translator.predict(prepared, beam=beam)
        print(f"beam {beam}: {len(sources)} sentences in {time.perf_counter() - start:.1f} s with {threads} threads")


if __name__ == "__main__":
    typer.run(main)
