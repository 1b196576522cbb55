"""Read durations from the command line."""

import re

from lectern.errors import UserError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")


def parse_duration(text: str, option: str) -> float:
    """Convert a duration, such as 90s, 30m, 1.5h, 1h30m or 1d, to seconds.

    Raises UserError with the name of the option if the text is not a duration, or if the duration is zero.
    """
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UserError(f"{option} is {text!r}; expected a number followed by s, m, h or d, such as 90m, 2h or 1h30m.")
    seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    if not seconds:
        raise UserError(f"{option} is {text!r}; expected a duration of more than 0 seconds, such as 90m or 2h.")
    return seconds
