"""A URL in; a file of what it gives out, tried again where that helps, or a short reason why not."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from pooch import HTTPDownloader
from requests import ConnectionError, HTTPError, RequestException, Response, Timeout
from requests.exceptions import ChunkedEncodingError
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError

from lectern.download.checks import SourceRejected, check_limit, check_room


@dataclass
class Downloader:
    """How patiently addresses are asked, in seconds, and which hosts have not answered so far."""

    tries: int = 3
    wait: float = 0.5  # before the second try, and twice as long before each further one
    connect: float = 3.0
    read: float = 30.0
    patience: float = 10.0  # for all silent hosts together: a missing network should be said soon
    silent: dict[str, str] = field(default_factory=dict)  # host -> why; not asked again

    def download(self, url: str, part: Path, limit: int, besides: int = 0) -> None:
        """Write what `url` gives to `part`: at most `limit` bytes, with disk room left for `besides` more.

        Raises Refused where the address does not give it, UserError where the disk has no room.
        """
        host = urlsplit(url).netloc
        if host in self.silent:
            raise SourceRejected(self.silent[host])
        for attempt in range(1, self.tries + 1):
            started = time.monotonic()
            try:
                return self.transfer(url, part, limit, besides)
            except (RequestException, ValueError) as problem:
                reason = explain(problem)
                if is_silence(problem):
                    self.silent[host] = reason
                    self.patience -= time.monotonic() - started
                if attempt == self.tries or not is_passing(problem):
                    raise SourceRejected(reason) from problem
            time.sleep(self.wait * 2 ** (attempt - 1))

    def transfer(self, url: str, part: Path, limit: int, besides: int) -> None:
        """One transfer from its start; whatever a broken one left is written over."""

        def check_length(response: Response, **_: Any) -> None:
            length = int(response.headers.get("Content-Length", 0))
            if response.status_code == 200:
                check_limit(length, limit)
                check_room(part.parent, length + besides)
                bar.total = length or None

        download = HTTPDownloader(
            chunk_size=2**18,
            timeout=(max(0.5, min(self.connect, self.patience)), self.read),
            headers={"Accept-Encoding": "identity"},  # else a server may unpack or repack on the way
            hooks={"response": check_length},
        )
        name = urlsplit(url).path.rpartition("/")[2]
        bar = tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False)  # none but on a terminal
        with open(part, "wb") as file, bar:
            download(url, Bounded(file, limit, bar), None)


class Bounded:
    """A file to write to that refuses more than `limit` bytes, since an answer need not ever end."""

    def __init__(self, file: IO[bytes], limit: int, bar: tqdm):
        self.file, self.limit, self.bar = file, limit, bar

    def write(self, chunk: bytes) -> None:
        check_limit(self.file.tell() + len(chunk), self.limit)
        self.file.write(chunk)
        self.bar.update(len(chunk))

    def flush(self) -> None:
        """pooch asks for this after every chunk; closing the file does it once."""


def is_silence(problem: Exception) -> bool:
    """Whether no connection came about: no such name, no route, nobody listening."""
    return bool(problem.args) and isinstance(problem.args[0], MaxRetryError)


def is_passing(problem: Exception) -> bool:
    """Whether another try may go better: a broken transfer, or a server that is busy or ill."""
    if isinstance(problem, HTTPError):
        return problem.response.status_code in (408, 429) or problem.response.status_code >= 500
    return isinstance(problem, ConnectionError | Timeout | ChunkedEncodingError) and not is_silence(problem)


def explain(problem: BaseException) -> str:
    """The innermost reason in a few words: `Name or service not known`, `HTTP 404 Not Found`."""
    if isinstance(problem, HTTPError):
        return f"HTTP {problem.response.status_code} {problem.response.reason}"
    while problem.__context__:
        problem = problem.__context__
    return shown(getattr(problem, "strerror", None) or str(problem) or type(problem).__name__)


def is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def shown(address: str) -> str:
    """An address as it may be printed: without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", address)
