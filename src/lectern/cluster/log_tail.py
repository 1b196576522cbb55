"""Print the new lines of log files to the terminal."""

from pathlib import Path

from lectern.artifacts.text_lines import split_lines


class LogTail:
    """A printer for the log files of a Slurm job.

    Each line of a log is printed once. For a job array, each printed line starts with the index of the array element.
    """

    def __init__(self, folder: Path, pattern: str):
        self.folder, self.pattern = folder, pattern
        self.offsets: dict[Path, int] = {}  # maps a log file to the number of its bytes that are already printed

    def print_new_lines(self, final: bool = False) -> None:
        """Print the lines that were added to the log files since the last call.

        An incomplete last line is printed only if `final` is true.
        """
        paths = sorted(self.folder.glob(self.pattern))
        for path in paths:
            prefix = f"[{path.stem.rpartition('_')[2]}] " if len(paths) > 1 else ""
            for line in split_lines(self.read_new(path, final).decode(errors="replace").replace("\r", "\n")):
                print(f"{prefix}{line}", flush=True)

    def read_new(self, path: Path, final: bool) -> bytes:
        """Return the bytes that were added to a log file since the last call.

        If `final` is false, stop at the last line break.
        """
        offset = self.offsets.get(path, 0)
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read()
        if not final:
            content = content[: content.rfind(b"\n") + 1]
        self.offsets[path] = offset + len(content)
        return content
