"""A bare Textual app: two lines of text. What Python and Textual cost before anything of ours."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Bare(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("first line")
        yield Static("SENTINEL last line")


if __name__ == "__main__":
    Bare().run(mouse=False)
