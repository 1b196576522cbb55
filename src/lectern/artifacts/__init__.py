"""What the stages leave on disk: paths, datasets, model folders and histories."""
