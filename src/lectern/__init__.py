"""Build the systems of the classic deep-learning lectures, from raw data to a served model."""

import getpass
import os
import warnings

# OpenMP reads these variables when PyTorch is imported.
# With these values, an idle thread polls for some microseconds before it sleeps.
# Without polling, a recurrent network is up to a third slower. With long polling, parallel trainings are slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# MLflow reads these variables when it is imported. By default, MLflow logs every database table that it creates.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
try:
    getpass.getuser()
except (KeyError, OSError):  # in a container, the user id can have no name; DVC and PyTorch fail without a name
    os.environ["LOGNAME"] = f"uid-{os.getuid()}"

# Hide warnings of libraries, because users of Lectern can ignore them.
for message in (
    ".*LeafSpec.*",  # Lightning calls a deprecated function of PyTorch.
    "Found .* in eval mode",  # Lightning warns about modules that are in evaluation mode on purpose.
    # Lightning suggests sync_dist, but torchmetrics already combines the metrics of all ranks.
    "It is recommended to use `self.log",
    "The `srun` command is available",  # Lightning suggests srun, but small trainings may run without it.
):
    warnings.filterwarnings("ignore", message=message)
