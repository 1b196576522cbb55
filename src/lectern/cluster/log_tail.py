"""Print the new lines of log files to the terminal."""

from pathlib import Path


class LogTail:
    """The log files of a job. Each line is printed once. In a job array, the index of the element precedes the line."""

    def __init__(self, folder: Path, pattern: str):
        self.folder, self.pattern = folder, pattern
        self.offsets: dict[Path, int] = {}  # number of bytes already printed

    def print_new_lines(self, final: bool = False) -> None:
        """Print the lines added since the last call. An incomplete last line is printed only if `final` is set."""
        paths = sorted(self.folder.glob(self.pattern))
        for path in paths:
            prefix = f"[{path.stem.rpartition('_')[2]}] " if len(paths) > 1 else ""
            for line in self.read_new(path, final).decode(errors="replace").replace("\r", "\n").splitlines():
                print(f"{prefix}{line}", flush=True)

    def read_new(self, path: Path, final: bool) -> bytes:
        """Return the bytes added to a file since the last call, up to the last line break unless `final` is set."""
        offset = self.offsets.get(path, 0)
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read()
        if not final:
            content = content[: content.rfind(b"\n") + 1]
        self.offsets[path] = offset + len(content)
        return content
