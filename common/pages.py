"""Pages from the templates in common/templates."""

import base64
from pathlib import Path

import jinja2

FOLDER = Path(__file__).parent / "templates"


def template(name: str, **settings) -> jinja2.Template:
    """The template `name`; a value that it names and is not given is an error. HTML is escaped, and `embed` makes a
    picture's path the data of an img; `settings` are further ones of jinja2.Environment."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        **settings,
    )
    environment.filters["embed"] = lambda path: (
        f"data:image/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode()
    )
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    return environment.get_template(name)
