"""Compare commits and DVC experiments, and fetch the outputs of experiments, with DVC's own commands."""
