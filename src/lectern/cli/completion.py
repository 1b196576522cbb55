"""Complete names in the shell from files of the checkout, without opening the store, which takes seconds."""

from lectern.artifacts.paths import CONF, METRICS


def complete_names(prefix: str) -> list[str]:
    """Return the datasets that begin with `prefix`; registered models are named after datasets."""
    names = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
    return [name for name in names if name.startswith(prefix)]


def complete_versions(prefix: str) -> list[str]:
    """Return names of models, or, after `@`, the aliases of versions."""
    name, separator, alias_prefix = prefix.partition("@")
    if not separator:
        return complete_names(prefix)
    return [f"{name}@{alias}" for alias in ("champion", "challenger") if alias.startswith(alias_prefix)]


def complete_experiments(prefix: str) -> list[str]:
    """Return the experiments that have been evaluated in this checkout and begin with `prefix`."""
    names = sorted(path.stem for path in METRICS.glob("*.json"))
    return [name for name in names if name.startswith(prefix)]
