"""Python as highlighted HTML, line by line, in the colours of two Pygments styles."""

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, TextLexer
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES

# Every colour of both has a contrast of 4.5 and more on our grounds; tests/site measures it in the browser.
LIGHT, DARK = "xcode", "github-dark"


def html_lines(text: str, python: bool = True) -> list[str]:
    """The lines of a file as HTML, each whole in itself: no tag spans two lines."""
    lexer = (PythonLexer if python else TextLexer)(stripnl=False)
    html = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return html.removesuffix("\n").split("\n")


def stylesheet() -> str:
    """A rule for each class of tokens that has a colour, with `light-dark()` for the two styles."""
    light, dark = get_style_by_name(LIGHT), get_style_by_name(DARK)
    rules = []
    for token, name in STANDARD_TYPES.items():
        colours = [style.style_for_token(token)["color"] for style in (light, dark)]
        if name and any(colours):
            values = ", ".join(f"#{colour}" if colour else "currentcolor" for colour in colours)
            rules.append(f".code .{name} {{ color: light-dark({values}) }}")
    return "\n".join(rules) + "\n"
