"""Print text that can contain names from other people, without the control characters that a terminal interprets."""

import sys


def escape_control_characters(text: str, kept: str = "\n\t") -> str:
    """Return a text in which escapes such as `\\x1b` replace all characters that are not printable, except `kept`."""
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)


def print_text(text: str) -> None:
    """Print a text to the standard output, with escaped control characters."""
    print(escape_control_characters(text))


def print_message(text: str) -> None:
    """Print a message of Lectern to the standard error output, with escaped control characters."""
    print(f"lectern: {escape_control_characters(text)}", file=sys.stderr)
