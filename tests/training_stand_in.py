"""Replace pipelines/train.py in the Slurm tests: count steps, and save the step number before exiting on SIGTERM.

The script imports neither PyTorch nor Lightning, so that a job starts quickly.
"""

import os
import signal
import sys
import time
from pathlib import Path

overrides = dict(override.split("=", 1) for override in sys.argv[1:])
rank, steps, fault = os.environ["SLURM_PROCID"], int(overrides.get("+steps", 5)), overrides.get("+fault", "")
checkpoint = Path("runs") / f"x-{overrides.get('seed', 7)}-{rank}"
signals: list[int] = []
if fault != "ignore_signals":
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
first_step = int(checkpoint.read_text()) if checkpoint.exists() else 0
node = os.environ["SLURMD_NODENAME"]
print(f"rank {rank} of {os.environ['SLURM_NTASKS']} on {node} starts at step {first_step}", flush=True)
if "NOTE" in os.environ:
    print(f"rank {rank} has the note {os.environ['NOTE']!r} and the override {overrides.get('+note')!r}", flush=True)
if gpus := os.environ.get("CUDA_VISIBLE_DEVICES"):
    print(f"rank {rank} has GPUs {gpus}", flush=True)
if fault == f"rank{rank}":
    sys.exit(f"lectern: rank {rank} failed")
for step in range(first_step, steps):
    time.sleep(0.1)
    checkpoint.write_text(str(step + 1))
    if signals:
        print(f"rank {rank} saved", flush=True)
        sys.exit(128 + signal.SIGTERM)
print(f"rank {rank} finished {steps} steps", flush=True)
