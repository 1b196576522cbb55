"""A function of a plain config to a command: Hydra composes, a user's mistake is one message and exit code 1."""

import errno
import sys
from collections.abc import Callable
from functools import wraps

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lectern.artifacts.paths import CONF
from lectern.errors import UserError
from lectern.stages import help_text

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def stage(config_name: str) -> Callable[[Callable[[dict], None]], Callable[[], None]]:
    """Decorates `main(config: dict)`: the primary config is `conf/<config_name>.yaml`, and all values are plain."""

    def decorate(main: Callable[[dict], None]) -> Callable[[], None]:
        @wraps(main)
        def run(config: DictConfig) -> None:
            try:
                main(to_plain(config))
            except UserError as error:
                sys.exit(f"lectern: {error}")
            except OSError as error:
                if not (error.errno in NO_ROOM or "requested and" in str(error)):  # NumPy's own words for it
                    raise
                sys.exit(f"lectern: {error}. Nothing half-written was left: free some space and run it again.")

        def command() -> None:
            if {"-h", "--help"} & set(sys.argv[1:]):
                print(help_text.describe(config_name, sys.modules[main.__module__].__doc__, CONF))
            else:
                hydra.main(version_base="1.3", config_path=str(CONF.resolve()), config_name=config_name)(run)()

        return command

    return decorate


def to_plain(config: DictConfig) -> dict:
    """The config without interpolations or OmegaConf's types, which do not load back safely."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"The config is incomplete: {error}") from error
