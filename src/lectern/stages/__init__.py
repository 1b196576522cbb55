"""Shared code of the scripts in `pipelines/`: the stage decorator, the evaluation and the list of experiments."""
