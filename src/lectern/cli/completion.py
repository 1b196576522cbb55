"""What a shell offers after TAB, from the files of the checkout: no store is asked, so that it comes at once."""

from lectern.artifacts.paths import CONF, METRICS


def complete_names(start: str) -> list[str]:
    """Registered models are named after data sets."""
    names = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
    return [name for name in names if name.startswith(start)]


def complete_versions(start: str) -> list[str]:
    """A model's name, and then the alias of a version."""
    name, at, alias = start.partition("@")
    if not at:
        return complete_names(start)
    return [f"{name}@{each}" for each in ("champion", "challenger") if each.startswith(alias)]


def complete_experiments(start: str) -> list[str]:
    """Those that have been evaluated here."""
    names = sorted(path.stem for path in METRICS.glob("*.json"))
    return [name for name in names if name.startswith(start)]
