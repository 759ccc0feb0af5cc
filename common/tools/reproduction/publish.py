"""Reproductions as pages of this repository: Markdown and compact pictures, made from a finished report's folder."""

import io
import json
from pathlib import Path

from PIL import Image

from common.checkpoint import write_atomically
from common.errors import UsageError
from common.tools.articles import ARTICLES
from common.tools.pages import template
from common.tools.reproduction.checks import SIGNS
from common.tools.reproduction.report import ran

MARKDOWN = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}  # its lines mean something
COLOURS = 64  # of a picture's palette: greys, and a few curves


def publish(out: Path, folder: Path) -> Path:
    """The report in `out` as folder/ARTICLE/README.md with its pictures and report.json, and folder/README.md anew, which
    lists all that are there. Raises UsageError if `out` holds no report."""
    try:
        text = (out / "report.json").read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: expected a report.json ({error.strerror}); run `tetrapla reproduce` first") from error
    report = json.loads(text)
    target = folder / report["article"]["id"]
    target.mkdir(parents=True, exist_ok=True)
    for path in [*target.glob("*.png"), *target.glob("*.gif")]:
        path.unlink()  # those of an earlier report
    for figure in report["figures"]:
        write_atomically(target / figure["file"], compact(out / figure["file"]))
    write_atomically(target / "report.json", text.encode())
    write_atomically(target / "README.md", page(report).encode())
    write_atomically(folder / "README.md", index(folder).encode())
    return target / "README.md"


def compact(path: Path) -> bytes:
    """The picture with a palette of COLOURS; animations have one already."""
    if path.suffix != ".png":
        return path.read_bytes()
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def page(report: dict) -> str:
    """One article's page."""
    return template("article.md", **MARKDOWN).render(report, signs=SIGNS, ran=ran)


def index(folder: Path) -> str:
    """The page that lists the articles in the order of common.tools.articles, with every check and its verdict."""
    found = {}
    for article in ARTICLES:
        path = folder / article / "report.json"
        if path.exists():
            found[article] = json.loads(path.read_text(encoding="utf-8"))
    return template("articles.md", **MARKDOWN).render(reports=found, articles=ARTICLES, signs=SIGNS)
