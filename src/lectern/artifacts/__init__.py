"""Read and write the files that the stages exchange: datasets, model folders and histories."""
