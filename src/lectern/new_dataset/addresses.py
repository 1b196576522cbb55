"""Check the addresses of a new origin, and split them into the address of a folder and the names of files."""

import os
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from requests.utils import requote_uri

from lectern.download.http import is_url
from lectern.errors import UserError, hide_credentials

SECRET = re.compile(r"(?i)token|secret|passw|signature|credential|auth|api_?key|(^|&|-)(sig|key)=")


def check_addresses(urls: Sequence[str]) -> None:
    """Raise UserError if an address is invalid, is given twice, or contains a password or a token."""
    for url in urls:
        parts = split_url(url)
        if "@" in parts.netloc or SECRET.search(parts.query):
            shown = hide_credentials(url).partition("?")[0]
            raise UserError(
                f"--url: the address of {shown} contains a password or a token, which a config file must not contain. "
                "Download the files yourself, and give their folder with --from."
            )
        if urls.count(url) > 1:
            raise UserError(f"--url {url} is given twice. Give each address once.")


def split_url(url: str) -> SplitResult:
    """Return the parts of an address. Raises UserError if the text is not an address of the web."""
    try:
        parts = urlsplit(url)
        is_valid = is_url(url) and bool(parts.hostname) and url.isprintable() and " " not in url and "${" not in url
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UserError(f"--url is {url!r}; expected an address such as https://example.org/data/train.txt.")
    return parts


def split_addresses(urls: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the address of the folder of all files, and a dict that maps the name of each file to its address.

    The download stage appends the name to the address of the folder. Raises UserError if the result differs from the
    address of the file in `urls`.
    """
    folder = common_folder(urls)
    names = {unquote(url.removeprefix(folder)): url for url in urls}
    for name, url in names.items():
        if "?" in url or "#" in url or requote_uri(folder + name) != requote_uri(url) or not name.strip("/"):
            raise UserError(
                f"--url {url}: the address is not the address of a folder followed by the name of a file. Download the "
                "file yourself, and give it with --from."
            )
    return folder, names


def common_folder(urls: Sequence[str]) -> str:
    """Return the address of the deepest folder that contains all files, with a slash at the end."""
    hosts = {urlsplit(url)[:2] for url in urls}
    if len(hosts) > 1:
        raise UserError(
            "--url: the files are on different servers. Download the files yourself, and give their folder with --from."
        )
    scheme, host = hosts.pop()
    folder = os.path.commonpath([os.path.dirname(urlsplit(url).path) or "/" for url in urls])
    return f"{scheme}://{host}{folder.rstrip('/')}/"
