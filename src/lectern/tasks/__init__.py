"""The tasks: one folder each, whose subfolders mirror the stages of the pipeline."""
