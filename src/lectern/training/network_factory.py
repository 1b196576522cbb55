"""Create the network that a model config selects."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from lectern.artifacts.extension_class import common_base, import_class, is_reference
from lectern.config import call, nearest, split_class
from lectern.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


def build_network(
    section: Mapping[str, Any], networks: Sequence[type[Network]], *arguments: Any, **more: Any
) -> Network:
    """Create the network that a config section describes, such as `{class: DigitCNN, dropout: 0.3}`.

    `networks` contains the classes that a config can select by their names. A name of the form `package.module:Class`
    selects a class of an allowed package. The selected class is called with `arguments`, `more` and the arguments in
    the section. Raises UserError if the class is unknown, or if the section does not fit the class.
    """
    name, chosen = split_class(section)
    choices: dict[str, type[nn.Module]] = {network.__name__: network for network in networks}
    if name is not None and is_reference(name):
        base: type[nn.Module] = common_base(networks, nn.Module)
        choices[name] = import_class(name, base, "module.network")
    if name not in choices:
        hint = nearest(str(name), list(choices))
        raise UserError(f"module.network: unknown class {name!r}{hint} Available: {', '.join(choices)}.")
    network: Network = call(choices[name], chosen, f"module.network ({name})", *arguments, **more)
    return network
