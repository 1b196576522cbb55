"""How many characters a second a trained language model writes, one step a character, its state kept.

python bench/language_model_writing.py models/shakespeare-gru --threads 1
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from lectern.artifacts import model_folder
from lectern.tasks.language_model.data.format.alphabet import prepare
from lectern.tasks.language_model.model.generation import write


def main(model: Path, threads: Annotated[int, typer.Option(help="of torch")] = 1, length: int = 1000) -> None:
    torch.set_num_threads(threads)
    module = model_folder.load_model(model)
    prompt = prepare("The ", module.facts)
    write(module, prompt, length=100)
    for _ in range(3):
        began = time.perf_counter()
        write(module, prompt, length=length)
        print(f"{length / (time.perf_counter() - began):,.0f} characters a second on {threads} threads")


if __name__ == "__main__":
    typer.run(main)
