"""Read the raw files and write the prepared dataset (the preprocess stage)."""
