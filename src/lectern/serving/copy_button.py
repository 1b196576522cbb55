"""Add a button that copies a text of the page to the clipboard."""

from nicegui import ui
from nicegui.element import Element

# `navigator.clipboard` exists only at https and localhost addresses, so other addresses copy the selected text
COPY = """async () => {
  const element = getHtmlElement(%d).querySelector(%r) ?? getHtmlElement(%d);
  try {
    await navigator.clipboard.writeText(element.innerText);
  } catch {
    getSelection().selectAllChildren(element);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  emit();
}"""


def add_copy_button(element: Element, selector: str = ":scope") -> ui.button:
    """Add a button that copies the text of an element, or of its first descendant that matches a CSS selector."""
    button = ui.button("Copy", icon="content_copy").props("flat")
    button.on("click", lambda: button.set_text("Copied"), js_handler=COPY % (element.id, selector, element.id))
    return button
