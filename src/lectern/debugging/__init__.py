"""Run short trainings that help to find mistakes in a model, and that never change the outputs of the pipeline."""
