"""Show the prompt and the text that a model generates."""

from nicegui import ui

from lectern.serving.copy_button import add_copy_button


class GeneratedText:
    """A panel with the prompt, the text that is being generated, and a button that copies both."""

    def __init__(self) -> None:
        text_props = 'tabindex=0 role=region aria-label="Generated text"'
        with ui.element("div").classes("generated-text").props(text_props) as self.area:
            self.prompt = ui.label().classes("prompt inline")
            self.text = ui.label().classes("text inline")
        self.copy = add_copy_button(self.area)
        self.copy.disable()

    def begin(self, prompt: str, is_code: bool) -> None:
        """Remove the last text, and show the prompt."""
        self.clear()
        self.area.classes("code") if is_code else self.area.classes(remove="code")
        self.prompt.set_text(prompt)

    def add(self, text: str) -> None:
        self.text.set_text(self.text.text + text)
        self.copy.enable()

    def clear(self) -> None:
        self.prompt.set_text("")
        self.text.set_text("")
        self.copy.set_text("Copy")
        self.copy.disable()

    def count_characters(self) -> int:
        """Return the number of generated characters."""
        return len(self.text.text)
