"""Measure how many characters per second a trained language model writes. Each character is one step of the network.

python bench/language_model_writing.py models/shakespeare-gru --threads 1
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from lectern.artifacts import model_folder
from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.generation import generate_text

ROUNDS = 3


def main(
    model: Annotated[Path, typer.Argument(help="a model folder of the language_model task")],
    threads: Annotated[int, typer.Option(help="the number of torch threads")] = 1,
    length: Annotated[int, typer.Option(help="the number of characters per round")] = 1000,
) -> None:
    torch.set_num_threads(threads)
    module = model_folder.load_model(model)
    prompt = encode("The ", module.facts)
    generate_text(module, prompt, length=100)  # warm-up
    for _ in range(ROUNDS):
        start = time.perf_counter()
        generate_text(module, prompt, length=length)
        print(f"{length / (time.perf_counter() - start):,.0f} characters per second with {threads} threads")


if __name__ == "__main__":
    typer.run(main)
