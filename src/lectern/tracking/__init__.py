"""Record runs in MLflow and find them again by their weights."""
