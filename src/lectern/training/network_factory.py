"""Create the network that a model config selects."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from lectern.config import call, nearest, split_class
from lectern.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


def build_network(
    section: Mapping[str, Any], networks: Sequence[type[Network]], *arguments: Any, **more: Any
) -> Network:
    """Create the network that a config section describes, such as `{class: DigitCNN, dropout: 0.3}`.

    `networks` contains the classes that a config can select. The selected class is called with `arguments`, `more` and
    the arguments in the section. Raises UserError if the class is unknown, or if the section does not fit the class.
    """
    name, chosen = split_class(section)
    choices = {network.__name__: network for network in networks}
    if name not in choices:
        hint = nearest(str(name), list(choices))
        raise UserError(f"module.network: unknown class {name!r}{hint} Available: {', '.join(choices)}.")
    network: Network = call(choices[name], chosen, f"module.network ({name})", *arguments, **more)
    return network
