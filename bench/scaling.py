"""A model's gradients to what sharing them costs: measured over gloo here, estimated for GPUs by a formula.

python bench/scaling.py                measure 1, 2 and 4 processes on this machine
python bench/scaling.py --estimate     the formula of docs/cluster.md for 8 to 1,024 GPUs
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

ROUNDS = 15  # of a step with communication and one without, in turn
BANDWIDTHS = {"100 Gb/s": 12.5e9, "400 Gb/s": 50e9}  # bytes a second into and out of a node, all its GPUs together
NODE = 8  # GPUs; within a node NVLink is an order faster than the network
LATENCY = 10e-6  # seconds a hop


def digits() -> tuple[nn.Module, tuple[Tensor, ...], Tensor]:
    """The lecture's CNN, and 64 images with their labels a process."""
    return DigitCNN(dropout=0.0), (torch.randn(64, 1, 28, 28),), torch.randint(10, (64,))


def characters() -> tuple[nn.Module, tuple[Tensor, ...], Tensor]:
    """Three GRU layers of 512, and 50 streams of 30 characters a process."""
    network = RecurrentNetwork(100, cell="gru", layers=3, hidden=512, dropout=0.0)
    return network, (torch.randint(100, (50, 30)), network.start(50)), torch.randint(100, (50, 30))


MODELS = {"digits_cnn": digits, "char_gru": characters}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def measure(rank: int, world: int, port: int, name: str, results) -> None:
    """Seconds of a step with the gradients shared and without, in turn; the median of each."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    network, inputs, targets = MODELS[name]()
    shared = DistributedDataParallel(network)
    times: dict[bool, list[float]] = {True: [], False: []}
    for sharing in [True, False] * ROUNDS:
        began = time.perf_counter()
        with nullcontext() if sharing else shared.no_sync():
            outputs = shared(*inputs)
            logits = outputs[0] if isinstance(outputs, tuple) else outputs
            cross_entropy(logits.flatten(0, -2), targets.flatten()).backward()
        times[sharing].append(time.perf_counter() - began)
        dist.barrier()
    if rank == 0:
        results.put((statistics.median(times[True][2:]), statistics.median(times[False][2:])))
    dist.destroy_process_group()


def run(world: int, name: str) -> tuple[float, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = processes.get_context("spawn").SimpleQueue()
    processes.spawn(measure, (world, port, name, results), nprocs=world)
    return results.get()


def efficiency(gpus: int, gradients: float, bandwidth: float, step: float) -> float:
    """The share of a step that is not waiting, where sharing `gradients` bytes overlaps the backward half of it.

    A ring over the nodes moves 2 (n - 1) / n of the gradients through each node's network, in 2 (n - 1) hops.
    """
    nodes = max(gpus // NODE, 1)
    communication = 2 * (nodes - 1) / nodes * gradients / bandwidth + 2 * (nodes - 1) * LATENCY
    return step / (step + max(0.0, communication - step / 2))


def show_measured(name: str) -> None:
    print("| model | gradients | processes | step | without sharing | share of communication |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    size = 4 * parameters(MODELS[name]()[0]) / 1e6
    for world in (1, 2, 4):
        shared, alone = run(world, name)
        times = (f"{seconds * 1e3:.0f} ms" for seconds in (shared, alone))
        share = max(0.0, 1 - alone / shared)
        print("|", " | ".join([f"`{name}`", f"{size:.1f} MB", str(world), *times, f"{share:.0%}"]), "|", flush=True)


def show_estimate() -> None:
    sizes = {name: 4.0 * parameters(make()[0]) for name, make in MODELS.items()}
    cases = [*((name, sizes[name], 0.005) for name in sizes), ("a model of 100 M", 400e6, 0.1), ("of 1 B", 4e9, 0.5)]
    counts = (8, 16, 64, 256, 1024)
    print("| model | gradients | step | network |", " | ".join(f"{count:,} GPUs" for count in counts), "|")
    print("| --- | ---: | ---: | ---: |", " | ".join("---:" for _ in counts), "|")
    for name, gradients, step in cases:
        for speed, bandwidth in BANDWIDTHS.items():
            kept = " | ".join(f"{efficiency(count, gradients, bandwidth, step):.0%}" for count in counts)
            print(f"| {name} | {gradients / 1e6:,.1f} MB | {step * 1e3:.0f} ms | {speed} | {kept} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=MODELS, default="digits_cnn")
    parser.add_argument("--estimate", action="store_true")
    chosen = parser.parse_args()
    show_estimate() if chosen.estimate else show_measured(chosen.model)
