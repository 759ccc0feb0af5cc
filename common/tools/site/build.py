"""Which pages the site has, and the folder that they are written to."""

import itertools
import json
import re
import shutil
import sys
from pathlib import Path

from backends import BACKENDS, TITLES
from common import specs
from common.environment import ROOT
from common.errors import UsageError
from common.terminal import progress_bar
from common.tools import sections
from common.tools.articles import ARTICLES
from common.tools.bench import RESULTS
from common.tools.figures import STYLES
from common.tools.pages import environment, slug
from common.tools.reproduction.publish import SIGNS
from common.tools.show import kind, numbers, size
from common.tools.site import guide, measured, pairs, source
from common.tools.site.languages import ENGLISH, LANGUAGES
from common.tools.site.pages import Page, Shelf, code_lines, page_of, read

GENERATOR = "tetrapla site"  # the mark by which an earlier site is known
COMPARE, RESULTS_PAGE = "docs/parity", "docs/results.md"
PAIRS = tuple(itertools.combinations(BACKENDS, 2))
DOOR = "vae"  # the model that the first page shows
# Its pictures, with the same draws in each framework, and the command that made them: docs/results.md.
PICTURES, PICTURED = "docs/images/vae-samples.png", "nox -s compare -- --data mnist --train-epochs 10"


def build(out: Path, compare: Path | None = None, bench: list[Path] | None = None) -> Path:
    """Write the site into `out` and return its first page. `compare` is the folder of a comparison, which may hold further ones
    in folders of their own, by default COMPARE if it is there; of the benchmark results `bench`, by default those of
    benchmarks/results, the newest of each device and model is shown.

    Raises UsageError if `out` holds anything but an earlier site, or something that the pages show is not found.
    """
    if out.exists() and not _is_ours(out):
        raise UsageError(f"{out}: expected an empty folder or an earlier site; choose another --out")
    target = out.resolve()
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        comparisons = measured.parity(compare or ROOT / COMPARE)
        benchmarks = measured.benchmarks(bench or sorted(RESULTS.glob("*.json")))
        _Site(Shelf(temporary), comparisons, benchmarks).write()
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / "index.html"


def specification(spec: specs.Spec) -> str:
    """The file of the repository that says what the model is: that of its module's name, else the one that defines it."""
    named = f"common/specs/{spec.module}.py"
    if (ROOT / named).exists():
        return named
    held = (
        name
        for name, module in sys.modules.items()
        if name.startswith("common.specs.") and any(value is spec for value in vars(module).values())
    )
    return next(held).replace(".", "/") + ".py"


def _is_ours(out):
    if not out.is_dir():
        return False
    index = out / "index.html"
    return not any(out.iterdir()) or index.exists() and f'content="{GENERATOR}"'.encode() in index.read_bytes()


class _Site:
    def __init__(self, shelf, comparisons, benchmarks):
        self.shelf, self.comparisons, self.benchmarks = shelf, comparisons, benchmarks
        self.entries = {language: guide.entries(language) for language in LANGUAGES}
        self.environments = {language: _environment(language) for language in LANGUAGES}
        self.articles = {name: _report(name) for name in ARTICLES}
        self.common = {
            "generator": GENERATOR,
            "languages": LANGUAGES,
            "backends": BACKENDS,
            "titles": TITLES,
            "specs": specs.SPECS,
            "articles": ARTICLES,
            "pairs": PAIRS,
            "reports": self.articles,
            "comparisons": comparisons,
            "compared_in": self._compared_in,
            "compare": COMPARE,
            "slug": slug,
            "kind": kind,
            "numbers": numbers,
            "size": size,
            "signs": SIGNS,
        }

    def write(self):
        documents = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
        documents = [
            path for path in documents if not path.endswith(".zh.md") and path not in (guide.PATH, RESULTS_PAGE)
        ]
        documents = ["CONTRIBUTING.md", *documents]
        jobs = [(job,) for job in (self._index, self._guide, self._results, self._articles)]
        jobs += [(self._model, spec) for spec in specs.SPECS.values()]
        jobs += [(self._pair, *pair) for pair in PAIRS]
        jobs += [(self._article, name) for name in ARTICLES]
        jobs += [(self._document, path) for path in documents]
        jobs = [(job, language, *arguments) for language in LANGUAGES for job, *arguments in jobs]
        with progress_bar("site") as progress:
            task = progress.add_task("", total=len(jobs), note="pages")
            for job, *arguments in jobs:
                job(*arguments)
                progress.advance(task)
            progress.update(task, total=len(jobs) + len(self.shelf.code), note="files")
            for path in list(self.shelf.code):  # those that a page links to
                self._code(path)
                progress.advance(task)
        self.shelf.write("site.css", self._text("site.css", styles=STYLES, hidden=PAIRS, tokens=source.stylesheet()))
        self.shelf.write("site.js", self._text("site.js"))

    def _text(self, name, language=ENGLISH, **values):
        return self.environments[language].get_template(f"site/{name}").render(self.common | values)

    def _page(self, page, template, **values):
        self.shelf.write(page.place, self._text(template, page.language, page=page, **values))

    def _index(self, language):
        page = Page(self.shelf, "index.html", language)
        self._page(
            page,
            "index.html",
            entries=self.entries[language],
            step=pairs.STEP,
            door=DOOR,
            parity=self._compared_in(DOOR),
            throughput=self._times(DOOR)[:1],
            picture=page.picture(ROOT / PICTURES, "docs/images"),
            pictured=PICTURED,
        )

    def _model(self, language, spec):
        files = {backend: f"backends/{backend}/{spec.module}.py" for backend in BACKENDS}
        rows = sections.align({backend: sections.split(read(path)) for backend, path in files.items()})
        parity = self._compared_in(spec.name)
        self._page(
            Page(self.shelf, f"models/{spec.name}.html", language),
            "model.html",
            spec=spec,
            files=files,
            rows=[(row, _shown(row, files)) for row in rows],
            specification=specification(spec),
            throughput=self._times(spec.name),
            parity=parity,
            compared=parity.model(spec.name) if parity else None,
        )

    def _pair(self, language, a, b):
        about = [entry for entry in self.entries[language] if entry.about(a) and entry.about(b)]
        page = Page(self.shelf, f"pairs/{a}-{b}.html", language)
        self._page(page, "pair.html", pair=(a, b), topics=pairs.TOPICS, entries=about)

    def _guide(self, language):
        page, path = Page(self.shelf, "guide.html", language), language.document(guide.PATH)
        head = page.markdown(re.split(r'\n(?:<a id="[^"]+"></a>\n\n)?## ', read(path), maxsplit=1)[0], path)
        entries = self.entries[language]
        groups = {name: list(found) for name, found in itertools.groupby(entries, key=lambda entry: entry.group)}
        self._page(page, "guide.html", head=head, groups=groups, lines=guide.lines(entries), source=path)

    def _results(self, language):
        page = Page(self.shelf, "results.html", language)
        models = {name: times for name in specs.SPECS if (times := self._times(name))}
        path = language.document(RESULTS_PAGE)
        self._page(page, "results.html", body=page.markdown(read(path), path), path=path, models=models)

    def _compared_in(self, name):
        """The first comparison that has the model, or None."""
        return next((one for one in self.comparisons if one.model(name)), None)

    def _times(self, name):
        """(result, rows) of each benchmark that measured the model."""
        found = ((result, measured.throughput(result, name)) for result in self.benchmarks)
        return [(result, rows) for result, rows in found if rows]

    def _articles(self, language):
        self._page(Page(self.shelf, "articles/index.html", language), "articles.html")

    def _article(self, language, name):
        page, body = Page(self.shelf, f"articles/{name}.html", language), None
        path = language.document(f"docs/articles/{name}/README.md")
        if self.articles[name]:
            title = ARTICLES[name].title
            body = page.markdown(read(path), path).replace(title, f'<span lang="zh">{title}</span>')
        self._page(page, "article.html", article=ARTICLES[name], body=body, path=path)

    def _document(self, language, path):
        page, path = Page(self.shelf, page_of(path), language), language.document(path)
        text = read(path)
        title = text.partition("\n")[0].removeprefix("# ")
        self._page(page, "document.html", title=title, body=page.markdown(text, path), path=path)

    def _code(self, path):
        found = sections.split(read(path)) if path.endswith(".py") else []
        found = [section for section in found if section.kind in ("function", "class")]
        page = Page(self.shelf, f"code/{path}.html")
        self._page(page, "code.html", path=path, lines=code_lines(path), sections=found)


def _environment(language):
    found = environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"])
    found.policies["ext.i18n.trimmed"] = True
    found.install_gettext_callables(
        language.say, lambda one, many, n: language.say(one if n == 1 else many), newstyle=True
    )
    return found


def _shown(row, files):
    """{column: (first, last) line} of a row's cells. A banner's own line becomes a heading; what stands below it stays."""
    shown = {}
    for column, section in row.items():
        lines = sections.lines_of(read(files[column]))
        written = [number for number in range(section.first, section.last + 1) if lines[number - 1].strip()]
        if written := written[1:] if section.kind == "banner" else written:
            shown[column] = (written[0], written[-1])
    return shown


def _report(name):
    """report.json of an article's published reproduction, or None."""
    path = ROOT / "docs/articles" / name / "report.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
