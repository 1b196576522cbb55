"""The systems of the classic deep-learning lectures, from raw data to served champion."""

import os
import warnings

# Before torch loads OpenMP: threads that wait without spinning cost nothing on a free machine, and on a busy one
# (two trainings side by side) a step takes 38 ms instead of 275.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before MLflow is imported: it would tell of every table it makes.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Lightning's own calls of what torch will drop; and MLflow's wish for type hints where a signature is given.
for told in (".*LeafSpec.*", ".*Add type hints to the `predict` method.*"):
    warnings.filterwarnings("ignore", message=told)
