"""Lectern: the systems of the classic deep-learning lectures, from raw data to a served model."""

import getpass
import os
import warnings

# OpenMP reads these when torch loads it. An idle thread polls for some microseconds before it sleeps. Without polling,
# a recurrent network loses up to a third of its speed. With long polling, two parallel trainings slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# MLflow reads these when it is imported. By default, it logs every table that it creates.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
try:
    getpass.getuser()
except (KeyError, OSError):  # a container may run as a user id that has no name; DVC and PyTorch fail without a name
    os.environ["LOGNAME"] = f"uid-{os.getuid()}"

# Warnings of libraries that a user of Lectern cannot act on.
for message in (
    ".*LeafSpec.*",  # Lightning calls a deprecated function of PyTorch
    "Found .* in eval mode",  # Lightning, about modules that are in evaluation mode on purpose
    "It is recommended to use `self.log",  # Lightning; torchmetrics has already combined the ranks
    "The `srun` command is available",  # Lightning; small trainings may run on a login node
):
    warnings.filterwarnings("ignore", message=message)
