"""Files that grow to lines on the terminal."""

from pathlib import Path


class Followed:
    """A job's logs: each new line is printed once, with its element's number where there are several."""

    def __init__(self, folder: Path, pattern: str):
        self.folder, self.pattern = folder, pattern
        self.read: dict[Path, int] = {}

    def skip(self) -> None:
        """Leave out what is there already."""
        self.read = {path: path.stat().st_size for path in self.folder.glob(self.pattern)}

    def show(self, to_the_end: bool = False) -> None:
        """Print what has come. A last line without an end waits for it, unless nothing more will come."""
        several = len(list(self.folder.glob(self.pattern))) > 1
        for path in sorted(self.folder.glob(self.pattern)):
            with open(path, "rb") as file:
                file.seek(self.read.get(path, 0))
                new = file.read()
            whole = new if to_the_end else new[: new.rfind(b"\n") + 1]
            self.read[path] = self.read.get(path, 0) + len(whole)
            number = f"[{path.stem.rpartition('_')[2]}] " if several else ""
            for line in whole.decode(errors="replace").replace("\r", "\n").splitlines():
                print(f"{number}{line}", flush=True)
