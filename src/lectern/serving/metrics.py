"""What Prometheus is told: answers, seconds, batches, and which version is served."""

from prometheus_client import Counter, Gauge, Histogram

SPANS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

ANSWERS = Counter("lectern_answers", "Answers given", ["model", "version"])
SECONDS = Histogram("lectern_answer_seconds", "From a checked request to its answer", ["model"], buckets=SPANS)
BATCH = Histogram("lectern_batch_rows", "Rows answered together", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 512))
REQUESTS = Counter("lectern_requests", "Requests, by what they were answered with", ["status"])
UNDER_WAY = Gauge("lectern_under_way", "Requests that are being answered", ["model"])
VERSION = Gauge("lectern_champion_version", "The version that is served", ["model"])
