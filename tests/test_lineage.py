"""The chain from a version back to its sources, on a version that was registered from outs."""

from pathlib import Path

from lectern.registry import lineage, versions
from registered import BEST, NAME


def broken(client) -> dict[str, str]:
    links = lineage.trace(client, versions.get_version(client, NAME, BEST))
    return {link.name: link.broken for link in links if link.broken}


def test_a_version_is_traced_to_its_alias_and_its_files_hold(stocked):
    links = {link.name: link for link in lineage.trace(stocked, versions.get_version(stocked, NAME, BEST))}
    assert {"source", "raw files", "processed data", "config", "run", "version", "alias"} <= links.keys()
    assert not links["version"].broken and not links["model folder"].broken and not links["run"].broken


def test_a_model_that_was_trained_again_breaks_its_link_and_no_other(stocked):
    before = broken(stocked)
    experiment = versions.get_version(stocked, NAME, BEST).tags["lectern.experiment"]
    weights = Path("models") / experiment / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert broken(stocked).keys() - before.keys() == {"model folder"}
