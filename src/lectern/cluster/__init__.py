"""Run a stage as a Slurm job and wait for it."""
