"""Test that MLflow's system monitor can measure a GPU, and that its package needs no GPU."""

from importlib.metadata import files, version

import pynvml
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

from lectern.tracking.system_metrics import create_monitors


def has_gpu() -> bool:
    """Return whether NVIDIA's driver is installed and finds a GPU."""
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetCount() > 0
    except pynvml.NVMLError:
        return False


def test_a_gpu_is_measured_if_the_driver_finds_one():
    monitors = create_monitors()
    assert [type(monitor) for monitor in monitors].count(GPUMonitor) == has_gpu()
    assert len(monitors) == 3 + has_gpu()


def test_the_package_that_measures_gpus_contains_only_python_files():
    assert version("nvidia-ml-py")
    suffixes = {path.suffix for path in files("nvidia-ml-py") if ".dist-info" not in str(path)}
    assert suffixes <= {".py", ".pyc"}
