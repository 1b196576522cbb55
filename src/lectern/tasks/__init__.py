"""The tasks. Each task is a package whose subpackages correspond to the stages of the pipeline."""
