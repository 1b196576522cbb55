"""Explain why a Slurm job failed and what the user can do."""

from collections.abc import Mapping

from lectern.cluster.job_script import FOLDER_NOT_SHARED
from lectern.cluster.site import Site

FAILED_STATES = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
FINAL_STATES = ("COMPLETED", *FAILED_STATES)
LOG_NOT_OPENED = "0:53"  # Slurm's exit code for a job whose log file could not be opened
RESUME = "Run the same command again to resume from the last checkpoint"


def explain_failure(record: Mapping[str, str], site: Site, site_file: str) -> str:
    """Return the reason why a job failed and what the user can do.

    `record` contains the fields of the job that `scontrol show job` prints.
    """
    state, code = record["JobState"], record.get("ExitCode", "")
    sentences = {
        "TIMEOUT": f"the job reached its time limit ({site.time}) before it saved a checkpoint. Increase `time` in "
        f"{site_file}, or increase `warning` ({site.warning} s). "
        "A training step and saving a checkpoint must take less time than `warning`",
        "OUT_OF_MEMORY": f"the job needed more memory per node than requested ({site.memory or 'the default'}). "
        f"Increase `memory` in {site_file}, or reduce the batch size",
        "NODE_FAIL": f"a node of the job failed, and Slurm did not requeue the job. {RESUME}",
        "PREEMPTED": f"a job with a higher priority took the nodes, and Slurm did not requeue this job. {RESUME}",
        "CANCELLED": f"a user or an administrator cancelled the job. {RESUME}",
        "BOOT_FAIL": "the nodes of the job did not start. Contact the administrators of the Slurm cluster",
        "DEADLINE": f"Slurm stopped the job at its deadline. Remove or extend --deadline under `sbatch` in {site_file}",
    }
    return sentences.get(state) or explain_exit_code(code, site_file)


def explain_exit_code(code: str, site_file: str) -> str:
    """Return the reason why a job has the state FAILED, and what the user can do.

    `code` has the form `<exit code>:<signal>`.
    """
    exit_code, _, signal = code.partition(":")
    if code == LOG_NOT_OPENED:
        return (
            "the node of the job could not open the log file, because the folder of the log is not on the node. "
            "Move the checkout to a folder that all nodes share"
        )
    if exit_code == str(FOLDER_NOT_SHARED):
        return (
            "a node of the job cannot read the checkout (see the log). "
            "Move the checkout to a folder that all nodes share"
        )
    if exit_code == "127":
        return (
            "the node of the job did not find srun or python. "
            f"Add the commands that make srun and python available, such as `module load`, to `setup` in {site_file}"
        )
    if signal == "9" or exit_code == "137":
        return (
            "a process of the job was killed. If another process failed first, the log contains the reason. Otherwise, "
            f"the memory was probably full: increase `memory` in {site_file}"
        )
    return (
        f"the command of the job ended with exit code {exit_code or 'unknown'}. The end of the log contains the reason"
    )
