"""Complete the names of models and experiments in the shell.

The names come from files of the checkout, because opening the tracking store takes seconds.
"""

from lectern.artifacts.paths import CONF, METRICS


def complete_names(prefix: str) -> list[str]:
    """Return the names of registered models that begin with `prefix`.

    A registered model has the name of its dataset.
    """
    names = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
    return [name for name in names if name.startswith(prefix)]


def complete_versions(prefix: str) -> list[str]:
    """Return the names of registered models that begin with `prefix`.

    If `prefix` contains `@`, return names with an alias, such as `mnist@champion`.
    """
    name, separator, alias_prefix = prefix.partition("@")
    if not separator:
        return complete_names(prefix)
    return [f"{name}@{alias}" for alias in ("champion", "challenger") if alias.startswith(alias_prefix)]


def complete_experiments(prefix: str) -> list[str]:
    """Return the names of evaluated experiments of this checkout that begin with `prefix`."""
    names = sorted(path.stem for path in METRICS.glob("*.json"))
    return [name for name in names if name.startswith(prefix)]
