"""The tasks. Each one is a package whose subpackages correspond to the stages of the pipeline."""
