"""Split text into lines.

`str.splitlines` also splits at form feeds, U+0085, U+2028 and other characters that are part of a text.
"""


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, which are separated by `\\n` or `\\r\\n`. The last line may have no line break."""
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
