"""Run a stage as a Slurm job and wait for the end of the job."""
