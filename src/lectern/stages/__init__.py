"""Provide the code that the scripts in `pipelines/` share."""
