"""Record trainings as MLflow runs, and find the run of a model by the digest of its weights."""
