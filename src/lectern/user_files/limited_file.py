"""Limit the work that a small image file can cause while Pillow reads it."""

import io
from pathlib import Path
from typing import Any

from lectern.errors import UserError

MAX_READS = 200_000  # Pillow reads the parts of a file one by one; a PNG file of 200 MB usually needs 100,000 reads
MAX_METADATA_MEGABYTES = 10  # the time to read EXIF data grows with the square of their size


class LimitedFile(io.BufferedReader):
    """An image file that raises UserError if Pillow reads too many parts, or too many bytes before the pixels.

    Set `has_metadata` to True when Pillow has read the part before the pixels.
    """

    def __init__(self, source: Path | io.BytesIO):
        raw: Any = source.open("rb", buffering=0) if isinstance(source, Path) else source
        super().__init__(raw)
        self.reads = self.metadata_bytes = 0
        self.has_metadata = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes, or the rest of the file if `size` is -1."""
        self.reads += 1
        if self.reads > MAX_READS:
            raise UserError(
                f"The image file has more than {MAX_READS:,} parts, which is the maximum. "
                "Save the image again as PNG or JPEG."
            )
        data = super().read(size)
        if not self.has_metadata and size and size > 0:  # the WebP decoder reads the complete file before the pixels
            self.metadata_bytes += len(data)
            if self.metadata_bytes > MAX_METADATA_MEGABYTES * 1_000_000:
                raise UserError(
                    f"The image file has more than {MAX_METADATA_MEGABYTES} MB of metadata, which is the maximum. "
                    "Save the image again without metadata."
                )
        return data
