"""Run a pipeline stage as a Slurm job and wait until the job has ended."""
