"""Provide one package per task. The subpackages of a task correspond to the stages of the pipeline."""
