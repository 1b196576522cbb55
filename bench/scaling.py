"""Measure or estimate how much of a training step the exchange of gradients takes.

python bench/scaling.py                measure 1, 2 and 4 processes over gloo on this machine
python bench/scaling.py --estimate     estimate 8 to 1,024 GPUs with the formula of docs/cluster.md
"""

import argparse
import os
import socket
import statistics
import time
from contextlib import nullcontext

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from lectern.tasks.digits.model.networks import DigitCNN
from lectern.tasks.language_model.model.networks import RecurrentNetwork

ROUNDS = 15  # each round has one step with gradient exchange and one without
WARM_UP = 2  # rounds that are not counted
BANDWIDTHS = {"100 Gb/s": 12.5e9, "400 Gb/s": 50e9}  # bytes per second into and out of a node, for all its GPUs
GPUS_PER_NODE = 8  # within a node, NVLink is ten times as fast as the network and is ignored
LATENCY = 10e-6  # seconds per hop
GPU_COUNTS = (8, 16, 64, 256, 1024)


def create_digits() -> tuple[nn.Module, tuple[Tensor, ...], Tensor]:
    """Return the CNN of `digits_cnn`, and 64 images with their labels for one process."""
    return DigitCNN(dropout=0.0), (torch.randn(64, 1, 28, 28),), torch.randint(10, (64,))


def create_characters() -> tuple[nn.Module, tuple[Tensor, ...], Tensor]:
    """Return three GRU layers of 512, and 50 streams of 30 characters for one process."""
    network = RecurrentNetwork(100, cell="gru", layers=3, hidden=512, dropout=0.0)
    return network, (torch.randint(100, (50, 30)), network.initial_state(50)), torch.randint(100, (50, 30))


MODELS = {"digits_cnn": create_digits, "char_gru": create_characters}


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def measure_steps(rank: int, world_size: int, port: int, name: str, results) -> None:
    """Put the median seconds of a step with and without gradient exchange into `results`."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    network, inputs, targets = MODELS[name]()
    parallel = DistributedDataParallel(network)
    times: dict[bool, list[float]] = {True: [], False: []}
    for exchange in [True, False] * ROUNDS:
        start = time.perf_counter()
        with nullcontext() if exchange else parallel.no_sync():
            outputs = parallel(*inputs)
            logits = outputs[0] if isinstance(outputs, tuple) else outputs
            cross_entropy(logits.flatten(0, -2), targets.flatten()).backward()
        times[exchange].append(time.perf_counter() - start)
        dist.barrier()
    if rank == 0:
        results.put(tuple(statistics.median(times[exchange][WARM_UP:]) for exchange in (True, False)))
    dist.destroy_process_group()


def run_processes(world_size: int, name: str) -> tuple[float, float]:
    """Return the seconds of a step with and without gradient exchange, measured on `world_size` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = processes.get_context("spawn").SimpleQueue()
    processes.spawn(measure_steps, (world_size, port, name, results), nprocs=world_size)
    return results.get()


def estimate_efficiency(gpus: int, gradients: float, bandwidth: float, step: float) -> float:
    """Estimate the share of a step that is not waiting, if communication overlaps with the backward half of the step.

    A ring over n nodes moves 2 (n - 1) / n of the `gradients` (bytes) through the network of each node, in 2 (n - 1)
    hops. `step` is in seconds.
    """
    nodes = max(gpus // GPUS_PER_NODE, 1)
    communication = 2 * (nodes - 1) / nodes * gradients / bandwidth + 2 * (nodes - 1) * LATENCY
    return step / (step + max(0.0, communication - step / 2))


def print_measurement(name: str) -> None:
    print("| model | gradients | processes | step | without exchange | share of communication |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    size = 4 * count_parameters(MODELS[name]()[0]) / 1e6
    for world_size in (1, 2, 4):
        with_exchange, without = run_processes(world_size, name)
        times = (f"{seconds * 1e3:.0f} ms" for seconds in (with_exchange, without))
        share = max(0.0, 1 - without / with_exchange)
        cells = [f"`{name}`", f"{size:.1f} MB", str(world_size), *times, f"{share:.0%}"]
        print("|", " | ".join(cells), "|", flush=True)


def print_estimate() -> None:
    sizes = {name: 4.0 * count_parameters(create()[0]) for name, create in MODELS.items()}
    models = [*((name, sizes[name], 0.005) for name in sizes), ("100 M parameters", 400e6, 0.1), ("1 B", 4e9, 0.5)]
    print("| model | gradients | step | network |", " | ".join(f"{count:,} GPUs" for count in GPU_COUNTS), "|")
    print("| --- | ---: | ---: | ---: |", " | ".join("---:" for _ in GPU_COUNTS), "|")
    for name, gradients, step in models:
        for network, bandwidth in BANDWIDTHS.items():
            shares = (estimate_efficiency(count, gradients, bandwidth, step) for count in GPU_COUNTS)
            cells = [name, f"{gradients / 1e6:,.1f} MB", f"{step * 1e3:.0f} ms", network, *map("{:.0%}".format, shares)]
            print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=MODELS, default="digits_cnn", help="the model to measure")
    parser.add_argument("--estimate", action="store_true", help="print the estimate for GPUs")
    arguments = parser.parse_args()
    print_estimate() if arguments.estimate else print_measurement(arguments.model)
