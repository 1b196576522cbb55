"""Stands in for pipelines/train.py, without its imports: counts steps and, told to end, saves its place."""

import os
import signal
import sys
import time
from pathlib import Path

words = dict(word.split("=", 1) for word in sys.argv[1:])
rank, steps, fault = os.environ["SLURM_PROCID"], int(words.get("+steps", 5)), words.get("+fault", "")
place = Path("runs") / f"{words['out'].rpartition('/')[2]}-{words.get('seed', 7)}-{rank}"
told: list[int] = []
if fault != "deaf":
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
start = int(place.read_text()) if place.exists() else 0
print(f"rank {rank} of {os.environ['SLURM_NTASKS']} on {os.environ['SLURMD_NODENAME']} starts at {start}", flush=True)
if gpus := os.environ.get("CUDA_VISIBLE_DEVICES"):
    print(f"rank {rank} sees GPUs {gpus}", flush=True)
if fault == f"rank{rank}":
    sys.exit(f"lectern: rank {rank} cannot go on")
for step in range(start, steps):
    time.sleep(0.1)
    place.write_text(str(step + 1))
    if told:
        print(f"rank {rank} saved", flush=True)
        sys.exit(143)
print(f"rank {rank} did {steps} steps", flush=True)
