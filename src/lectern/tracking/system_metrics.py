"""Measure the use of CPU, memory, disk, network and GPU during a training, with MLflow's monitors."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from mlflow.environment_variables import (
    MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from lectern.tracking.tracker import Point, Update, current_milliseconds

PREFIX = "system/"  # MLflow's UI shows metrics with this prefix on a page of their own
INTERVAL = 10.0  # seconds between two samples
SAMPLES = 3  # number of samples per logged value, so a training of less than 30 seconds logs none


@contextmanager
def record_system_metrics(add: Callable[[Update], None], first_step: int) -> Iterator[None]:
    """Measure in a background thread until the block ends, and pass each measurement to `add`.

    MLflow's environment variables set the interval and the number of samples per logged value, and can switch the
    measurement off.
    """
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").lower() in ("false", "0"):
        yield
        return
    ended = Event()
    thread = Thread(target=measure, args=(add, first_step, ended), name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def measure(add: Callable[[Update], None], step: int, ended: Event) -> None:
    """Sample the monitors until `ended` is set, and pass the mean of each group of samples to `add`."""
    interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or INTERVAL
    samples = MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING.get() or SAMPLES
    monitors = create_monitors()
    while True:
        for _ in range(samples):
            if ended.wait(interval):
                return
            for monitor in monitors:
                monitor.collect_metrics()
        now = current_milliseconds()
        values = {name: value for monitor in monitors for name, value in monitor.aggregate_metrics().items()}
        add(Update([Point(PREFIX + name, float(value), now, step) for name, value in values.items()]))
        for monitor in monitors:
            monitor.clear_metrics()
        step += 1


def create_monitors() -> list[BaseMetricsMonitor]:
    try:
        gpu = [GPUMonitor()]
    except Exception:  # MLflow raises ImportError, RuntimeError or an error of NVML if there is no GPU
        gpu = []
    return [CPUMonitor(), DiskMonitor(), NetworkMonitor(), *gpu]
