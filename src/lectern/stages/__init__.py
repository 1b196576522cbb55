"""Provide the code that all stage scripts in `pipelines/` use."""
