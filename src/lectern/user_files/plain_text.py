"""Decode text that comes from users."""

import codecs

from lectern.errors import UserError

UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # byte order marks
CONVERT = "Convert the text to UTF-8, for example with iconv -t UTF-8, or download the file again."


def decode_text(data: bytes, place: str, encoding: str = "utf-8") -> str:
    """Decode text and remove a byte order mark at the start. Line ends stay unchanged.

    `place` is the start of an error message, such as the path of the file. Raises UserError if the encoding does not
    exist, or if the bytes are not text in this encoding.
    """
    codec = find_codec(encoding)
    if codec == "utf-8" and data.startswith(UTF_16_OR_32):
        raise UserError(f"{place} is UTF-16 or UTF-32 text. Convert it to UTF-8, for example with iconv -t UTF-8.")
    try:
        text = data.decode("utf-8-sig" if codec == "utf-8" else codec)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remedy = CONVERT if codec == "utf-8" else f"Name the encoding of the file in place of {encoding}."
        name = "UTF-8" if codec == "utf-8" else encoding
        raise UserError(f"{place}, line {line}: byte 0x{data[error.start]:02x} is not {name} text. {remedy}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(
            f"{place}, line {line}: the text contains a NUL character, so it is probably UTF-16 text or not a text. "
            "Convert UTF-16 to UTF-8 with iconv -f UTF-16LE -t UTF-8."
        )
    return text


def find_codec(encoding: str) -> str:
    """Return Python's name of an encoding of files. Raises UserError for another codec, such as `base64`."""
    try:
        "a".encode(encoding)
        codec = codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise UserError(
            f"The encoding is {encoding!r}; expected the name of an encoding, such as utf-8 or windows-1252."
        ) from error
    return codec


def check_argument(name: str, text: str) -> None:
    """Raise UserError if an argument of a command contains bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name} contains a byte at position {error.start} that is not UTF-8. Check the locale of the terminal."
        ) from error
