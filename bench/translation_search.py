"""How long greedy and beam search take over a test, for a trained model.

python bench/translation_search.py models/en-de-transformer data/processed/multi30k_en_de --threads 2
"""

import time
from pathlib import Path
from typing import Annotated

from lectern import models  # first: torch reads once, when it loads, how threads wait

# isort: split
import torch
import typer

from lectern.processed import read_facts
from lectern.translation import report
from lectern.translation.preprocess import prepare


def main(model: Path, processed: Path, threads: Annotated[int, typer.Option(help="of torch")] = 2) -> None:
    torch.set_num_threads(threads)
    translator = models.load(model)
    sources, _ = report.read_tests(processed)[read_facts(processed)["scored_test"]]
    prepared = prepare(sources, translator.facts)
    for beam in (1, 5):
        began = time.perf_counter()
        translator.predict(prepared, beam=beam)
        print(f"beam {beam}: {len(sources)} sentences in {time.perf_counter() - began:.1f} s on {threads} threads")


if __name__ == "__main__":
    typer.run(main)
