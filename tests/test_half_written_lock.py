"""Test that DVC's run cache repairs a `dvc.lock` that lost entries, and that a damaged `dvc.lock` is reported."""

import pytest

from checkout import STAGES, Checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("finished") / "lectern")
    checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


@pytest.fixture
def checkout(finished) -> Checkout:
    """Return the checkout after its pipeline has finished, and restore `dvc.lock` after the test."""
    before = (finished / "dvc.lock").read_bytes()
    yield finished
    (finished / "dvc.lock").write_bytes(before)


def entry_starts(checkout: Checkout) -> list[int]:
    """Return the positions in `dvc.lock` at which the entry of a stage starts."""
    text = (checkout / "dvc.lock").read_text()
    return [text.index(f"  {stage}:\n") for stage in STAGES]


@pytest.mark.nightly
@pytest.mark.parametrize("kept", range(5))
def test_a_shorter_lock_is_completed_without_running_a_training_again(checkout, kept):
    text = (checkout / "dvc.lock").read_text()
    lock, runs = checkout.lock(), checkout.do("lectern", "experiments", "--json")
    (checkout / "dvc.lock").write_text(text[: sorted(entry_starts(checkout))[kept]])
    if not kept:
        (checkout / "dvc.lock").unlink()  # Outside git, the remedy is to delete the file.
    output = checkout.do("dvc", "repro", "register@demo-digits")
    assert "pipelines/train.py" not in output and checkout.lock() == lock
    assert checkout.do("lectern", "experiments", "--json") == runs


def test_a_damaged_lock_is_reported_with_a_remedy_that_repairs_it(checkout):
    text, lock = (checkout / "dvc.lock").read_text(), checkout.lock()
    checkout.do("lectern", "promote", "sample_digits")
    (checkout / "dvc.lock").write_text(text[: text.index("md5:") + 6] + ": [")
    code, output = checkout.run("dvc", "repro", "register@demo-digits")
    assert code != 0 and "dvc.lock" in output
    code, output = checkout.run("lectern", "lineage", "sample_digits", COLUMNS="1000")
    assert code == 3 and "dvc.lock, line" in output and "delete dvc.lock. Then run dvc repro" in output
    (checkout / "dvc.lock").unlink()
    output = checkout.do("dvc", "repro", "register@demo-digits")
    assert "pipelines/train.py" not in output and checkout.lock() == lock
