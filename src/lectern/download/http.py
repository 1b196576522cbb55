"""Download a URL to a file, with a size limit, time limits and retries."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError

from lectern.download.checks import SourceRejected, check_disk_space, check_size_limit
from lectern.errors import hide_credentials

CHUNK_BYTES = 2**18


@dataclass
class Downloader:
    """An HTTP client that retries failed downloads and skips unreachable hosts.

    All times are in seconds. `download` itself repeats a transfer that is interrupted in the response body, because
    urllib3's Retry does not.
    """

    attempts: int = 3
    backoff: float = 0.5  # seconds before the second attempt; the waiting time doubles before each further attempt
    connect_timeout: float = 3.0
    read_timeout: float = 30.0
    connect_budget: float = 10.0  # maximum total time for unreachable hosts; short, to report a missing network early
    unreachable: dict[str, str] = field(default_factory=dict)  # maps a host to the reason why it is unreachable

    def download(self, url: str, path: Path, max_bytes: int, reserved_bytes: int = 0) -> None:
        """Download the content of `url` to the file `path`.

        Raises SourceRejected if the download fails or exceeds `max_bytes`. Raises UserError if the disk does not have
        enough space for the file and `reserved_bytes` additional bytes.
        """
        host = urlsplit(url).netloc
        if host in self.unreachable:
            raise SourceRejected(self.unreachable[host])
        for attempt in range(1, self.attempts + 1):
            started = time.monotonic()
            try:
                return self.transfer(url, path, max_bytes, reserved_bytes)
            # int() raises ValueError for an invalid Content-Length
            except (requests.RequestException, ValueError) as error:
                reason = describe_error(error)
                if is_connection_failure(error):
                    self.unreachable[host] = reason
                    self.connect_budget -= time.monotonic() - started
                if attempt == self.attempts or not is_temporary(error):
                    raise SourceRejected(reason) from error
            time.sleep(self.backoff * 2 ** (attempt - 1))

    def transfer(self, url: str, path: Path, max_bytes: int, reserved_bytes: int) -> None:
        """Download `url` to the file `path` without a retry. An existing file is overwritten."""
        headers = {"Accept-Encoding": "identity"}  # the default allows the server to compress the response
        timeout = (max(0.5, min(self.connect_timeout, self.connect_budget)), self.read_timeout)
        with requests.get(url, stream=True, timeout=timeout, headers=headers) as response, open(path, "wb") as file:
            response.raise_for_status()
            length = int(response.headers.get("Content-Length", 0))
            check_size_limit(length, max_bytes)
            check_disk_space(path.parent, length + reserved_bytes)
            name = urlsplit(url).path.rpartition("/")[2]
            with tqdm(desc=name, total=length or None, unit="B", unit_scale=True, disable=None, leave=False) as bar:
                for chunk in response.iter_content(CHUNK_BYTES):
                    check_size_limit(file.tell() + len(chunk), max_bytes)
                    file.write(chunk)
                    bar.update(len(chunk))


def is_connection_failure(error: Exception) -> bool:
    """Return whether no connection was made, for example because the host name is unknown or the port is closed."""
    return bool(error.args) and isinstance(error.args[0], MaxRetryError)


def is_temporary(error: Exception) -> bool:
    """Return whether a second attempt may succeed, because the transfer was interrupted or the server is overloaded."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    broken = isinstance(error, requests.ConnectionError | requests.Timeout | ChunkedEncodingError)
    return broken and not is_connection_failure(error)


def describe_error(error: BaseException) -> str:
    """Describe the original cause of an error in a few words, such as `HTTP 404 Not Found`."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    while error.__context__:
        error = error.__context__
    return hide_credentials(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))
