"""How Slurm says that a job ended to a plain sentence with what to do."""

from collections.abc import Mapping

from lectern.cluster.job_script import UNSHARED
from lectern.cluster.site import Site

FAILURES = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
ENDED = ("COMPLETED", *FAILURES)
NO_LOG = "0:53"  # the exit code of a job whose log could not be opened


def explain(record: Mapping[str, str], site: Site, where: str) -> str:
    """Why a job of which Slurm keeps this record did not end well; `where` is the site's file."""
    state, code = record["JobState"], record.get("ExitCode", "")
    sentences = {
        "TIMEOUT": f"it ran into its time limit ({site.time}) before it could save and go on. Raise `time` in {where}, "
        f"or `warning` ({site.warning} s), which has to be longer than a step and a checkpoint take",
        "OUT_OF_MEMORY": f"a process needed more memory than the job has ({site.memory or 'the default'} a node). "
        f"Raise `memory` in {where}, or lower the batch",
        "NODE_FAIL": "a node died, and the site does not start such jobs again. Run the same once more: it goes on "
        "from its last checkpoint",
        "PREEMPTED": "a job of higher priority took its nodes, and the site does not start such jobs again. Run the "
        "same once more: it goes on from its last checkpoint",
        "CANCELLED": "it was cancelled, with scancel or by the site. Run the same once more: it goes on from its last "
        "checkpoint",
        "BOOT_FAIL": "its nodes did not start. That is the site's to mend",
        "DEADLINE": "it could no longer end before its deadline",
    }
    return sentences.get(state) or explain_code(*code.partition(":")[::2], code, where)


def explain_code(exit_code: str, signal: str, code: str, where: str) -> str:
    """The same of a job whose script failed."""
    if code == NO_LOG:
        return (
            "its node could not open the log: the folder that the job was sent from is not there. The checkout has to "
            "lie in a folder that all nodes share"
        )
    if exit_code == str(UNSHARED):
        return "not all its nodes see this folder, as its log says. The checkout has to lie in one that they share"
    if exit_code == "127":
        return f"its node did not find srun or python: `setup` in {where} has to make them found"
    if signal == "9" or exit_code == "137":
        return f"a process was killed, most often for want of memory: `memory` in {where}"
    return f"its command ended with exit code {exit_code or 'unknown'}. The end of its log says why"
