"""Set the status of an MLflow run at the end of a command, and explain a tracking store that stops answering."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.errors import UserError
from lectern.tracking.store import first_line, store_address


@contextmanager
def terminate_run(client: MlflowClient, run_id: str, remedy: str) -> Iterator[None]:
    """Mark a run as FINISHED, FAILED or KILLED at the end of the block.

    If the tracking store fails in the block, raise UserError with `remedy`, which says what the user can do.
    """
    try:
        yield
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        with suppress(MlflowException):  # raise the original error even if the tracking store is unreachable or full
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        if isinstance(error, MlflowException):
            raise store_error(error, remedy) from error
        raise


def store_error(error: MlflowException, remedy: str) -> UserError:
    """Return the UserError for a tracking store that has stopped answering during a command."""
    return UserError(f"The tracking store {store_address()} stopped answering: {first_line(error)}. {remedy}")
