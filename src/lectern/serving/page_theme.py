"""Switch between light and dark mode. A cookie keeps the choice of the visitor."""

from nicegui import events, ui
from starlette.requests import Request

COOKIE = "lectern-theme"
SECONDS = 365 * 24 * 3600
SAVE = f"""() => {{
  const dark = !document.body.classList.contains("body--dark");
  document.cookie = `{COOKIE}=${{dark ? "dark" : "light"}}; path=/; max-age={SECONDS}; SameSite=Strict`;
  emit(dark);
}}"""


def add_theme_button(request: Request) -> None:
    """Add the button for dark mode. Without a cookie, the page uses the mode of the visitor's system."""
    chosen = {"dark": True, "light": False}.get(request.cookies.get(COOKIE, ""))
    dark = ui.dark_mode(value=chosen)

    def switch_theme(event: events.GenericEventArguments) -> None:
        dark.set_value(event.args is True)

    button = ui.button(icon="contrast").props('flat round dense aria-label="Light or dark"')
    button.on("click", switch_theme, js_handler=SAVE)
