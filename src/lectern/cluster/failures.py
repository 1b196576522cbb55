"""Explain why a Slurm job failed and what the user can do."""

from collections.abc import Mapping

from lectern.cluster.job_script import FOLDER_NOT_SHARED
from lectern.cluster.site import Site

FAILED_STATES = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
FINAL_STATES = ("COMPLETED", *FAILED_STATES)
LOG_NOT_OPENED = "0:53"  # Slurm's exit code for a job whose log file could not be opened
RESUME = "Run the same command again to resume from the last checkpoint"


def explain_failure(record: Mapping[str, str], site: Site, site_file: str) -> str:
    """Return why a job failed and what to do. `record` contains the fields that `scontrol show job` prints."""
    state, code = record["JobState"], record.get("ExitCode", "")
    sentences = {
        "TIMEOUT": f"the job reached its time limit ({site.time}) before it saved a checkpoint. Increase `time` in "
        f"{site_file}, or increase `warning` ({site.warning} s), which must be longer than a training step plus saving "
        "a checkpoint",
        "OUT_OF_MEMORY": f"the job needed more memory per node than requested ({site.memory or 'the default'}). "
        f"Increase `memory` in {site_file}, or reduce the batch size",
        "NODE_FAIL": f"a node failed, and this site does not requeue such jobs. {RESUME}",
        "PREEMPTED": f"a job with a higher priority took its nodes, and this site does not requeue such jobs. {RESUME}",
        "CANCELLED": f"the job was cancelled with scancel or by the site. {RESUME}",
        "BOOT_FAIL": "the nodes of the job did not start. Contact the administrators of the cluster",
        "DEADLINE": f"Slurm stopped the job at its deadline. Remove or extend --deadline under `sbatch` in {site_file}",
    }
    return sentences.get(state) or explain_exit_code(code, site_file)


def explain_exit_code(code: str, site_file: str) -> str:
    """Return why a job in state FAILED failed and what to do. `code` has the form `<exit code>:<signal>`."""
    exit_code, _, signal = code.partition(":")
    if code == LOG_NOT_OPENED:
        return (
            "the node of the job could not open the log file, because the folder of the log does not exist there. "
            "Move the checkout to a folder that all nodes share"
        )
    if exit_code == str(FOLDER_NOT_SHARED):
        return "a node cannot read this folder (see the log). Move the checkout to a folder that all nodes share"
    if exit_code == "127":
        return (
            "the node of the job did not find srun or python. "
            f"Add commands that make them available to `setup` in {site_file}"
        )
    if signal == "9" or exit_code == "137":
        return f"a process was killed, most often because memory ran out. Increase `memory` in {site_file}"
    return (
        f"the command of the job ended with exit code {exit_code or 'unknown'}. See the end of the log for the reason"
    )
