"""Convert a model card to Markdown that the web page can show."""

import html
import re

from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.card_pictures import picture_address

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)[^)]*\)")


def card_for_page(version: ModelVersionRecord, pictures: list[str]) -> str:
    """Return the Markdown of a model card with the addresses of its pictures and with escaped HTML tags.

    A picture that is not in the report of the version is left out, because the page loads nothing from other hosts.
    The title of the card becomes a heading of level 2, because the title of the page is a heading of level 1.
    """

    def replace_picture(match: re.Match[str]) -> str:
        file = match[2].rpartition("/")[2]
        return f"![{match[1]}]({picture_address(version, file)})" if file in pictures else ""

    card = version.card or "This version has no model card."
    return html.escape(PICTURE.sub(replace_picture, lower_headings(card)), quote=False)


def lower_headings(card: str) -> str:
    """Return Markdown in which each heading outside code blocks is one level lower."""
    parts = re.split(r"(^```.*?^```)", card, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.startswith("```") else re.sub(r"^(#{1,5}) ", r"#\1 ", part, flags=re.MULTILINE) for part in parts
    )


def make_focusable(card_html: str) -> str:
    """Return HTML in which tables and code can get the focus, so that they can be scrolled with the keyboard."""
    return re.sub(r"<(table|pre)(?=[ >])", r'<\1 tabindex="0"', card_html)


def picture_title(file: str) -> str:
    """Return a readable title of a picture.

    >>> picture_title("confusion_matrix.png")
    'Confusion matrix'
    """
    return file.rpartition(".")[0].replace("_", " ").replace("-", " ").capitalize()
