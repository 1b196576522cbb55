"""Turn the main function of a stage into a command with a config that Hydra composes.

For an error that the user can fix, the command prints one line instead of a traceback.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lectern.artifacts.paths import CHECKOUT, CONF
from lectern.atomic import explain_write_error
from lectern.current_checkout import find_source
from lectern.errors import UserError, format_message
from lectern.stages.config_files import check_complete, check_config_files, check_names, quote_names
from lectern.stages.help_text import format_help
from lectern.tracking.refusals import explain_refusal

Main = Callable[[dict[str, Any]], None]


def stage(config_name: str) -> Callable[[Main], Callable[[], None]]:
    """Return a decorator for the function `main(config)` of a stage script.

    The primary config file of the stage is `conf/<config_name>.yaml`.
    """

    def decorate(main: Main) -> Callable[[], None]:
        @wraps(main)
        def run(config: DictConfig) -> None:
            choices = HydraConfig.get().runtime.choices
            run_main(main, config, {group: name for group, name in choices.items() if name is not None})

        def command() -> None:
            check_script(Path(main.__code__.co_filename))
            if {"-h", "--help"} & set(sys.argv[1:]):
                description = sys.modules[main.__module__].__doc__ or ""
                print(format_help(config_name, description, CONF))
            else:
                sys.argv[1:] = check_command_line(config_name, sys.argv[1:])
                hydra.main(version_base="1.3", config_path=str(CONF.resolve()), config_name=config_name)(run)()

        return command

    return decorate


class Interrupted(KeyboardInterrupt):
    """Raised when the stage receives SIGTERM or SIGHUP, so that the stage deletes temporary files as after Ctrl-C."""


def check_script(script: Path) -> None:
    """If the script of a stage belongs to another checkout than the imported package, exit with an error message."""
    source = find_source(script.absolute().parent)
    if source and source.parent != CHECKOUT:
        sys.exit(
            f"lectern: {script} belongs to the checkout {source.parent}, but the current folder {Path.cwd()} uses the "
            f"code of {CHECKOUT}. Change to {source.parent}, or run {CHECKOUT / 'pipelines' / script.name}."
        )


def check_command_line(config_name: str, overrides: list[str]) -> list[str]:
    """Return the overrides with quoted names of config files.

    If a config file that the overrides select is damaged, exit with code 1 and an error message.
    """
    try:
        check_config_files(config_name, overrides)
        return quote_names(overrides)
    except UserError as error:
        sys.exit(format_message(str(error)))


def run_main(main: Main, config: DictConfig, selected: Mapping[str, str]) -> None:
    """Call the main function of a stage.

    `selected` maps each config group to the name of the selected file. After a UserError, a refused write or a stop
    signal, print one message and exit.
    """
    try:
        with raise_on_stop_signals():
            check_complete(config, selected)
            plain = to_plain(config)
            check_names(plain, selected)
            main(plain)
    except UserError as error:
        sys.exit(format_message(str(error)))
    except KeyboardInterrupt as error:
        number = error.args[0] if isinstance(error, Interrupted) else signal.SIGINT
        print(f"lectern: stopped by {number.name}. Run the same command again to continue.", file=sys.stderr)
        sys.exit(128 + number)
    except Exception as error:
        explained = explain_refusal(error) or (explain_write_error(error) if isinstance(error, OSError) else None)
        if explained is None:
            raise
        sys.exit(format_message(str(explained)))


@contextmanager
def raise_on_stop_signals() -> Iterator[None]:
    """Raise Interrupted in the block after SIGTERM and SIGHUP, as Python raises KeyboardInterrupt after Ctrl-C."""
    previous = {number: signal.signal(number, interrupt) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that interrupt a stage, without signals that are already ignored, for example under nohup."""
    return [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]


def interrupt(number: int, _: Any) -> NoReturn:
    raise Interrupted(signal.Signals(number))


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Resolve the interpolations of a config, and convert the config to plain Python types.

    Values of the config are stored in files, and files with OmegaConf's types could not be loaded safely. Raises
    UserError if a value is missing or an interpolation fails.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"The config is incomplete: {error}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
