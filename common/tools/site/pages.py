"""The parts that pages are made of: links within the site, pictures, highlighted code, Markdown.

Every link is relative, so that the site opens from disk and from any folder of a server.
"""

import html
import posixpath
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from PIL import Image

from backends import TITLES
from common.checkpoint import write_atomically
from common.environment import ROOT
from common.errors import UsageError
from common.tools import sections
from common.tools.pages import slug
from common.tools.site import source
from common.tools.site.languages import ENGLISH, Language

# The pages that a Markdown file becomes; another one below docs becomes the page of the same name there.
MARKDOWN = {
    "README.md": "index.html",
    "CONTRIBUTING.md": "docs/contributing.html",
    "docs/differences.md": "guide.html",
    "docs/results.md": "results.html",
    "docs/articles/README.md": "articles/index.html",
}


SHARED = ("code/", "images/", "site.")  # how the places begin that there is one of for all languages
# Below a document's title, for who reads the file itself; a page has it in its header.
SWITCH = re.compile(r"^(?:English \| \[[^]]+\]|\[English\]\([^)]+\) \| ).*\n", re.MULTILINE)


def page_of(path: str) -> str | None:
    """The page that a Markdown file of the repository becomes, of one name in every language."""
    path = path.replace(".zh.md", ".md")
    if path in MARKDOWN:
        return MARKDOWN[path]
    if match := re.fullmatch(r"docs/articles/(\w+)/README\.md", path):
        return f"articles/{match[1]}.html"
    return f"{path.removesuffix('.md')}.html" if re.fullmatch(r"docs/[\w-]+\.md", path) else None


@cache
def read(path: str) -> str:
    """A text file of the repository. Raises UsageError if there is none."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the site needs this file of the repository ({error})") from error


@cache
def code_lines(path: str) -> list[str]:
    """The highlighted lines of a file of the repository."""
    return source.html_lines(read(path), python=path.endswith(".py"))


@cache
def tests() -> dict[str, list[str]]:
    """{test: files that define it}, those of tests/differences first."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py"), key=lambda path: (path.parent.name != "differences", path)):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return found


class Shelf:
    """The folder of one build; it remembers which files of the repository need a page, because something links there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.code: dict[str, None] = {}  # in the order in which they were asked for
        self.images: dict[Path, tuple[str, int, int]] = {}

    def write(self, page: str, content: str | bytes) -> None:
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.encode() if isinstance(content, str) else content)

    def image(self, path: Path, folder: str) -> tuple[str, int, int]:
        """(place in the site, width, height) of a picture, which is copied once."""
        if path not in self.images:
            with Image.open(path) as image:
                self.images[path] = (f"images/{folder}/{path.name}", *image.size)
            self.write(self.images[path][0], path.read_bytes())
        return self.images[path]

    def code_page(self, path: str, line: int | None = None) -> str:
        """The place of the page that shows a file of the repository, at a line."""
        self.code[path] = None
        return f"code/{path}.html" + (f"#L{line}" if line else "")


class Page:
    """One page in one language: its name, which is the same in all of them, and what is written relative to its place."""

    def __init__(self, shelf: Shelf, name: str, language: Language = ENGLISH):
        self.shelf, self.name, self.language = shelf, name, language
        self.shared = name.startswith(SHARED)
        self.place = name if self.shared else language.folder + name

    def to(self, target: str, language: Language | None = None) -> str:
        """A page or file of the site, with or without an anchor, as a link from this page; a page in this one's language,
        or in `language`."""
        path, hash_, anchor = target.partition("#")
        path = path if path.startswith(SHARED) else (language or self.language).folder + path
        return posixpath.relpath(path, posixpath.dirname(self.place) or ".") + hash_ + anchor

    def translated(self, language: Language) -> str:
        """This page in another language as a link; what all languages share leads to the first page."""
        return self.to("index.html" if self.shared else self.name, language)

    def code(self, path: str, line: int | None = None) -> str:
        return self.to(self.shelf.code_page(path, line))

    def lines(self, path: str, first: int, last: int) -> str:
        """Lines of a file of the repository as highlighted HTML."""
        return "\n".join(code_lines(path)[first - 1 : last])

    def picture(self, path: Path, folder: str) -> dict:
        """src, width and height for an img."""
        place, width, height = self.shelf.image(path, folder)
        return {"src": self.to(place), "width": width, "height": height}

    def repository(self, path: str, anchor: str = "") -> str:
        """A file of the repository as a link: to its page if it is Markdown that has one, to a picture, else to its text."""
        if path.endswith((".png", ".gif")):
            return self.picture(ROOT / path, posixpath.dirname(path))["src"]
        page = page_of(path)
        if page:
            return self.to(page) + (f"#{anchor}" if anchor else "")
        return self.code(path)

    def mentions(self, text: str, file: str | None = None) -> list[tuple[str, int | None]]:
        """The (file, line)s that a code span names: a Python file, or a test as `test_x.py::test_y`, `::test_y`, which is
        looked for in `file`, the one named before, or `test_y`, which may be in several."""
        path, _, name = text.rpartition("::")
        if text.endswith(".py"):
            path, name = text, ""
        if path:
            places = (path, f"tests/differences/{path}", f"tests/backend/{path}")
            paths = [place for place in places if (ROOT / place).is_file()][:1]
        else:
            paths = [file] if text.startswith("::") and file else tests().get(name, [])
        return [(path, sections.find(read(path), name, path)[0] if name else None) for path in paths]

    def markdown(self, text: str, path: str) -> str:
        """A Markdown file of the repository as HTML: anchors, links into the site, pictures with their sizes, tables that
        scroll by themselves, and a link on every code span that names a file or a test. An `<a id="x"></a>` above a heading
        is the heading's anchor."""
        return _Markdown(self, path).render(SWITCH.sub("", text))


# The anchor of a translated heading stands above it, and for the reader of Markdown is made a part of its text.
ANCHOR = re.compile(r'^<a id="([^"]+)"></a>\n\n(#+)( )', re.MULTILINE)
GIVEN = re.compile(r"\{#(\S+)\} ")


class _Markdown:
    def __init__(self, page: Page, path: str):
        self.page, self.path = page, path
        self.reader = MarkdownIt("commonmark").enable("table")
        self.heading, self.file, self.named = "", None, {}
        rules: dict[str, Callable] = {
            "heading_open": self._heading,
            "table_open": lambda *_: f'<div class="scroll"><table aria-label="{html.escape(self.heading)}">\n',
            "table_close": lambda *_: "</table></div>\n",
            # An empty cell of a table's head heads nothing.
            "th_open": lambda tokens, k, *_: '<th scope="col">' if tokens[k + 1].content else "<td>",
            "th_close": lambda tokens, k, *_: "</th>" if tokens[k - 1].content else "</td>",
            "code_inline": self._span,
            "text": self._text,
            "image": self._image,
            "link_open": self._link,
            "fence": self._fence,
        }
        self.reader.renderer.rules.update(rules)

    def render(self, text):
        return self.reader.render(ANCHOR.sub(r"\2 {#\1}\3", text))

    def _heading(self, tokens, index, options, env):
        inline = tokens[index + 1]
        anchor = GIVEN.match(inline.content)
        if anchor:
            inline.content = inline.content[anchor.end() :]
            inline.children[0].content = inline.children[0].content[anchor.end() :]
        self.heading, self.file = re.sub(r"[`\[\]]|\([^)]*\.md\)", "", inline.content), None
        return f'<{tokens[index].tag} id="{anchor[1] if anchor else slug(self.heading)}">'

    def _span(self, tokens, index, options, env):
        text = tokens[index].content
        code, before = f"<code>{html.escape(text)}</code>", [token.type for token in tokens[:index]]
        found = self.page.mentions(text, self.file)
        if not found or before.count("link_open") > before.count("link_close"):
            return code
        self.file = found[0][0]
        links = {Path(path).stem.removeprefix("test_"): self.page.code(path, line) for path, line in found}
        self.named = {TITLES[name]: href for name, href in links.items() if name in TITLES} if len(found) > 1 else {}
        return f'<a href="{next(iter(links.values()))}">{code}</a>'

    def _text(self, tokens, index, options, env):
        """Behind a test that several frameworks have, their names in brackets lead to theirs: `test_x` (PyTorch, JAX)."""
        text = html.escape(tokens[index].content)
        if self.named and (brackets := re.match(r" \([\w, ]+\)", text)):
            linked = re.sub(
                r"\w+",
                lambda m: f'<a href="{self.named[m[0]]}">{m[0]}</a>' if m[0] in self.named else m[0],
                brackets[0],
            )
            text = linked + text[brackets.end() :]
        self.named = {}
        return text

    def _image(self, tokens, index, options, env):
        token = tokens[index]
        path = ((ROOT / self.path).parent / token.attrGet("src")).resolve()
        picture = self.page.picture(path, path.parent.relative_to(ROOT).as_posix())
        alt = html.escape(token.content)
        return (f'<img src="{picture["src"]}" width="{picture["width"]}" height="{picture["height"]}" '
                f'alt="{alt}" loading="lazy">')  # fmt: skip

    def _link(self, tokens, index, options, env):
        target, _, anchor = tokens[index].attrGet("href").partition("#")
        anchor = unquote(anchor)  # the reader writes an ε as %CE%B5
        if re.match(r"\w+:", target):
            return f'<a href="{html.escape(target)}">'
        if not target:
            return f'<a href="#{anchor}">'
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), target))
        return f'<a href="{self.page.repository(path, anchor)}">'

    def _fence(self, tokens, index, options, env):
        token = tokens[index]
        code = "\n".join(source.html_lines(token.content, python=token.info == "python"))
        return f'<pre class="code"><code>{code}</code></pre>\n'
