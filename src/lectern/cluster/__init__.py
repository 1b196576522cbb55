"""A training to a Slurm job that is waited for: site.py what it asks for, script.py the job, slurm.py, waiting.py."""
