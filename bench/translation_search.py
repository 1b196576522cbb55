"""How long greedy and beam search take over a test, for a trained model.

python bench/translation_search.py models/en-de-transformer data/processed/multi30k_en_de --threads 2
"""

import time
from pathlib import Path
from typing import Annotated

from lectern.artifacts import model_folder  # first: torch reads once, when it loads, how threads wait

# isort: split
import torch
import typer

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.report import baseline


def main(model: Path, processed: Path, threads: Annotated[int, typer.Option(help="of torch")] = 2) -> None:
    torch.set_num_threads(threads)
    translator = model_folder.load_model(model)
    sources, _ = baseline.read_tests(processed)[read_facts(processed)["scored_test"]]
    prepared = prepare(sources, translator.facts)
    for beam in (1, 5):
        began = time.perf_counter()
        translator.predict(prepared, beam=beam)
        print(f"beam {beam}: {len(sources)} sentences in {time.perf_counter() - began:.1f} s on {threads} threads")


if __name__ == "__main__":
    typer.run(main)
