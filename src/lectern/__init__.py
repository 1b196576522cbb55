"""The systems of the classic deep-learning lectures, from raw data to served champion."""

import os
import warnings

# Before torch loads OpenMP, which reads it once: a thread waits awake for some microseconds before it sleeps. To sleep
# at once costs a recurrent network up to a third of its speed; to wait long makes two trainings side by side crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Before MLflow is imported: it would tell of every table it makes.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Lightning's own calls of what torch will drop; and MLflow's wish for type hints where a signature is given.
for told in (".*LeafSpec.*", ".*Add type hints to the `predict` method.*"):
    warnings.filterwarnings("ignore", message=told)
