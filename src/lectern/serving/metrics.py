"""Define the Prometheus metrics of the server."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 512)

PREDICTIONS = Counter("lectern_predictions", "Successful prediction requests", ["model", "version"])
PREDICTION_SECONDS = Histogram(
    "lectern_prediction_seconds",
    "Seconds between the validation of a request and its result",
    ["model"],
    buckets=SECONDS_BUCKETS,
)
BATCH_ROWS = Histogram(
    "lectern_batch_rows", "Input rows per batch of combined requests", ["model"], buckets=ROWS_BUCKETS
)
REQUESTS = Counter("lectern_requests", "Number of HTTP responses by status code", ["status"])
IN_PROGRESS = Gauge("lectern_requests_in_progress", "Prediction requests in progress", ["model"])
CHAMPION_VERSION = Gauge("lectern_champion_version", "Version number of the loaded champion", ["model"])
