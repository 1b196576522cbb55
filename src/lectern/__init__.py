"""Build the systems of the classic deep-learning lectures, from raw data to a served model."""

import atexit
import gc
import getpass
import os
import warnings

from lectern.current_checkout import use_current_checkout

use_current_checkout()
# Importing PyTorch and Lightning creates a million objects. By default, the garbage collector reads them again and
# again, and once more when the process ends. Without that, a command that imports both needs a third less time.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
# OpenMP reads OMP_WAIT_POLICY and GOMP_SPINCOUNT when PyTorch is imported.
# With the values below, an idle OpenMP thread polls for some microseconds before it sleeps.
# Without polling, a recurrent network needs up to a third more time.
# With long polling, trainings that run at the same time slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# MLflow reads its environment variables when it is imported.
# By default, MLflow logs every database table that it creates.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# By default, MLflow prints links to runs, which open its pages for GenAI. Lectern prints a link itself.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# By default, MLflow sends usage statistics to its developers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
try:
    getpass.getuser()
except (KeyError, OSError):  # in a container, the user can have no name; DVC and PyTorch fail without a user name
    os.environ["LOGNAME"] = f"uid-{os.getuid()}"

# Hide warnings of libraries that do not concern users of Lectern.
for message in (
    ".*LeafSpec.*",  # Lightning calls a deprecated function of PyTorch.
    "Found .* in eval mode",  # Lightning warns about modules that are in evaluation mode on purpose.
    # Lightning recommends sync_dist=True, but torchmetrics already combines the metrics of all ranks.
    "It is recommended to use `self.log",
    "The `srun` command is available",  # Lightning recommends srun, but small trainings can run without srun.
):
    warnings.filterwarnings("ignore", message=message)
