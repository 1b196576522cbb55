"""Turn the main function of a stage into a command. Hydra composes the config, and a user error prints one line."""

import errno
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lectern.artifacts.paths import CONF
from lectern.errors import UserError
from lectern.stages.help_text import format_help

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMPY_DISK_FULL = "requested and"  # part of NumPy's message about an incomplete write, which has no errno

Main = Callable[[dict[str, Any]], None]


def stage(config_name: str) -> Callable[[Main], Callable[[], None]]:
    """Decorate the `main(config)` of a script. Its primary config is `conf/<config_name>.yaml`."""

    def decorate(main: Main) -> Callable[[], None]:
        @wraps(main)
        def run(config: DictConfig) -> None:
            run_main(main, config)

        def command() -> None:
            if {"-h", "--help"} & set(sys.argv[1:]):
                description = sys.modules[main.__module__].__doc__ or ""
                print(format_help(config_name, description, CONF))
            else:
                hydra.main(version_base="1.3", config_path=str(CONF.resolve()), config_name=config_name)(run)()

        return command

    return decorate


def run_main(main: Main, config: DictConfig) -> None:
    """Call the main function. Exit with code 1 and one message for a user error or a full disk."""
    try:
        main(to_plain(config))
    except UserError as error:
        sys.exit(f"lectern: {error}")
    except OSError as error:
        if error.errno not in DISK_FULL and NUMPY_DISK_FULL not in str(error):
            raise
        sys.exit(f"lectern: {error}. No half-written file was left. Free some space and run the stage again.")


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Resolve interpolations and convert the config to plain Python types.

    Files with OmegaConf's types are not safe to load.

    Raises UserError if a value is missing or an interpolation fails.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"The config is incomplete: {error}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
