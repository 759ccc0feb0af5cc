"""Pages from the templates in common/tools/templates."""

import base64
import re
from pathlib import Path

import jinja2

from common.checkpoint import write_atomically
from common.errors import UsageError

FOLDER = Path(__file__).parent / "templates"


def environment(**settings: object) -> jinja2.Environment:
    """Where templates come from; a value that one names and is not given is an error. HTML is escaped, and `embed` makes a
    picture's path the data of an img; `settings` are further ones of jinja2.Environment."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        **settings,
    )
    environment.filters["embed"] = lambda path: (
        f"data:image/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode()
    )
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    return environment


def template(name: str, **settings: object) -> jinja2.Template:
    """The template `name` of `environment(**settings)`."""
    return environment(**settings).get_template(name)


def slug(text: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two lines of a page. Raises UsageError if they are not there."""
    check_place(page, begin, end)
    before, rest = page.read_text(encoding="utf-8").split(begin, 1)
    write_atomically(page, f"{before}{begin}\n\n{text}\n{end}{rest.split(end, 1)[1]}".encode())


def check_place(page: Path, begin: str, end: str) -> None:
    """UsageError unless the page has a line `begin` and after it a line `end`."""
    if end not in page.read_text(encoding="utf-8").partition(begin)[2]:
        raise UsageError(f"{page}: expected a line {begin!r} and a line {end!r}, between which the table is put")
