"""The site without a browser: sections and their alignment, links, sizes, two languages, what is said where results are missing."""

import html
import posixpath
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import BACKENDS
from common import parity, specs
from common.environment import ROOT
from common.errors import UsageError
from common.tools import sections
from common.tools.pages import FOLDER, environment
from common.tools.reproduction.checks import SIGNS
from common.tools.site import guide, measured, pairs
from common.tools.site.build import build
from common.tools.site.languages import CHINESE, CHINESE_PHRASES, ENGLISH
from tests.conftest import tetrapla_here
from tests.site.invented import invented_results

DEFINITION = re.compile(r"\s*(?:def |class )?(\w+)(?=[(:,]| =)")
SAMPLE = '''"""Docstring.

# ------------ no banner
"""

import math

SLOPE, KEEP = 0.2, 0.7
EPS: float = 1e-8

# -------------------- networks

# Under the banner, of nothing else.


# Of the class.
@decorated
class Encoder:
    size = 3

    # Of the method.
    def __init__(self):
        pass

    def call(self, x):
        def inner():
            return x


def losses():
    pass
# ---------------- the end
'''


# ------------------------------------------------------------------------------------ sections, alignment


def test_sections_of_a_file():
    found = [(s.name, s.key, s.first, s.last) for s in sections.split(SAMPLE)]
    assert found == [
        ("head", "head", 1, 7),
        ("SLOPE, KEEP, EPS", "SLOPE, KEEP, EPS", 8, 10),
        ("networks", "networks", 11, 15),
        ("Encoder", "Encoder", 16, 20),
        ("Encoder.__init__", "Encoder.__init__", 21, 24),
        ("Encoder.call", "Encoder.forward", 25, 29),
        ("losses", "losses", 30, 31),
        ("the end", "the end", 32, 32),
    ]


BLOCKS = st.sampled_from(
    ["import math", "from a import (\n    b,\n)", "X = 1", "def f():\n    pass", "class C:\n    def m(self):\n        pass",
     "class D:\n    x = '''\n\n# -------------- no banner\n'''", "# comment", "# ------------- banner", "", "\f", "@d\ndef g(): pass"]
)  # fmt: skip


@given(st.lists(BLOCKS, max_size=12), st.booleans())
def test_every_line_is_in_exactly_one_section(blocks, newline):
    source = "\n".join(blocks) + ("\n" if newline else "")
    found = sections.split(source)
    assert [n for s in found for n in range(s.first, s.last + 1)] == [*range(1, len(sections.lines_of(source)) + 1)]
    assert len({s.name for s in found}) == len(found)


def columns_of(orders):
    return {
        f"column{k}": [sections.Section(name, "function", 1, 1) for name in order] for k, order in enumerate(orders)
    }


ORDERS = st.lists(st.lists(st.sampled_from("abcdefg"), unique=True), min_size=1, max_size=4)


@given(ORDERS)
def test_alignment_keeps_every_section_and_every_order(orders):
    columns = columns_of(orders)
    rows = sections.align(columns)
    assert {column: [row[column] for row in rows if column in row] for column in columns} == columns
    assert all(row and len({section.key for section in row.values()}) == 1 for row in rows)


@given(ORDERS)
def test_sections_of_one_name_share_a_row(orders):
    """Where the columns do not contradict each other: here each is in alphabetical order."""
    rows = sections.align(columns_of([sorted(order) for order in orders]))
    keys = [next(iter(row.values())).key for row in rows]
    assert len(keys) == len(set(keys))


def test_the_four_files_of_a_model_are_level(spec):
    sources = {b: (ROOT / f"backends/{b}/{spec.module}.py").read_text(encoding="utf-8") for b in BACKENDS}
    rows = sections.align({b: sections.split(source) for b, source in sources.items()})
    keys = [next(iter(row.values())).key for row in rows]
    assert len(keys) == len(set(keys))
    by_key = dict(zip(keys, rows, strict=True))
    for name in ("forward", "losses", "build", "train_step"):
        if name != "build" and name not in by_key:  # taken over from another model's file, in all four
            assert all(re.search(rf"^    {name},$", source, re.MULTILINE) for source in sources.values())
            continue
        assert list(by_key[name]) == list(BACKENDS)
        for backend, section in by_key[name].items():
            text = sections.lines_of(sources[backend])[section.first - 1 : section.last]
            assert any(line.startswith(f"def {name}(") for line in text)


def test_what_a_name_stands_for():
    assert sections.find(SAMPLE, "Encoder") == (16, 27)
    assert sections.find(SAMPLE, "Encoder.__init__") == (21, 23)
    assert sections.find(SAMPLE, "KEEP") == (8, 8)
    with pytest.raises(UsageError, match="vae.py: expected a definition of 'Encoder.missing'"):
        sections.find(SAMPLE, "Encoder.missing", "vae.py")


# ------------------------------------------------------------------------------------------------ the site


class Reader(HTMLParser):
    """What a test wants to know of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.tags = [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])


# Of the session, not of the module: pytest puts tests of one `spec` side by side, across modules, and would make a
# module's fixtures anew for each.
@pytest.fixture(scope="session")
def results(tmp_path_factory):
    return invented_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def site(results):
    out = results / "site"
    build(out, results / "parity", sorted(results.glob("2001*.json")))
    return out


@pytest.fixture(scope="session")
def pages(site):
    return {path.relative_to(site).as_posix(): Reader(path) for path in sorted(site.rglob("*.html"))}


def test_the_pages_that_are_there(pages):
    named = {"index.html", "guide.html", "results.html", "articles/index.html"}
    named |= {f"models/{name}.html" for name in specs.SPECS}
    named |= {f"pairs/{a}-{b}.html" for a in BACKENDS for b in BACKENDS if BACKENDS.index(a) < BACKENDS.index(b)}
    named |= {f"articles/{name}.html" for name in ("autoencoders", "vae_notes", "gan", "aae", "infogan")}
    named |= {f"code/backends/{b}/{file}.py.html" for b in BACKENDS for file in ("steps", "vae", "infogan")}
    named |= {f"code/tests/differences/test_{b}.py.html" for b in BACKENDS}
    assert named <= pages.keys()


def test_diff_has_a_page_that_leads_to_the_guide(site, pages):
    """From the index there, and from each thread to its entry and to its file."""
    links = {a.get("href") for tag, a in pages["docs/diff.html"].tags if tag == "a"}
    assert {"../guide.html#gelu-erf-or-tanh", "../guide.html#same-is-not-a-padding-of-1"} <= links
    assert "../code/tests/diff/threads/keras_19291.py.html" in links
    assert "docs/diff.html" in {a.get("href") for tag, a in pages["index.html"].tags if tag == "a"}
    assert f"{len(specs.SPECS)} generative models" in (site / "index.html").read_text(encoding="utf-8")


def test_every_link_leads_somewhere(site, pages):
    links = 0
    for place, page in pages.items():
        for tag, attributes in page.tags:
            target = attributes.get("href") or attributes.get("src")
            if not target or target.startswith(("https://", "data:,")):
                assert not target or tag in ("a", "link"), (place, target)
                continue
            path, _, anchor = target.partition("#")
            found = posixpath.normpath(posixpath.join(posixpath.dirname(place), path)) if path else place
            assert (site / found).is_file(), (place, target)
            assert not anchor or anchor in pages[found].ids, (place, target)
            links += 1
    assert links > 2000


def test_nothing_comes_from_elsewhere(site, pages):
    for place, page in pages.items():
        for tag, attributes in page.tags:
            if tag != "a":
                assert not any("//" in (attributes.get(name) or "") for name in ("src", "href", "srcset", "style")), (
                    place
                )
    assert not re.search(r"@import|url\(|//[a-z]", (site / "site.css").read_text(encoding="utf-8"))
    assert "http" not in (site / "site.js").read_text(encoding="utf-8")


def test_pages_are_light_and_whole(site, pages):
    for place, page in pages.items():
        assert (site / place).stat().st_size < 1_000_000, place
        assert len(page.ids) == len(set(page.ids)), place
        assert [tag for tag, _ in page.tags].count("h1") == 1, place
        for tag, attributes in page.tags:
            if tag == "img":
                assert attributes["alt"] and int(attributes["width"]) and int(attributes["height"]), place


def test_a_model_page_shows_every_line_of_its_files(site, spec):
    """Put together from the cells, each file is what it is, but for blank lines and banners, which became headings."""
    text = (site / f"models/{spec.name}.html").read_text(encoding="utf-8")
    for backend in BACKENDS:
        cells = re.findall(rf'<div class="cell {backend}">.*?<code>(.*?)</code></pre>', text, re.DOTALL)
        shown = html.unescape(re.sub(r"<[^>]+>", "", "\n".join(cells))).splitlines()
        lines = (ROOT / f"backends/{backend}/{spec.module}.py").read_text(encoding="utf-8").splitlines()
        wanted = [line for line in lines if line and not re.match("# -{10}", line)]
        assert [line for line in shown if line] == wanted, backend


def test_a_line_number_leads_to_its_line(site):
    """Of a definition in each column, and of every test that the guide names."""
    for place, pattern, least in (
        ("models/infogan.html", r'href="\.\./(code/[\w/.]+)#L(\d+)" aria-label="(?:\w+\.)?(\w+) in', 80),
        ("guide.html", r'href="(code/[\w/.]+)#L(\d+)"><code>(?:[\w/.]*::)?(?:\w+\.)?(\w+)</code>', 60),
    ):
        found = re.findall(pattern, (site / place).read_text(encoding="utf-8"))
        assert len(found) >= least
        for page, line, name in found:
            lines = (ROOT / page.removeprefix("code/").removesuffix(".html")).read_text(encoding="utf-8").splitlines()
            # Decorators and a comment may stand above it, and nothing else.
            first = next(filter(None, (DEFINITION.match(text) for text in lines[int(line) - 1 :])))
            assert name in ("head", "networks", first[1]), (place, page, line)


def test_results_are_shown(site):
    text = (site / "models/vae.html").read_text(encoding="utf-8")
    for word in (
        "7.7e-14",
        "decoder.fc1.weight",
        "123.456",
        "invented data",
        "an abacus",
        "2001-01-02",
        "64,000",
        "Paddle, fast: no time;",
        "exit code 9",
    ):
        assert word in text
    assert 'width="300" height="200"' in text
    assert "2001-01-01" not in text  # an older result of the same device
    assert "2001-01-03" not in text  # a sweep
    assert "<td>2.00</td>" in text  # milliseconds
    assert "7.7e-14" in (site / "index.html").read_text(encoding="utf-8")


def test_a_model_of_another_comparison_and_of_an_older_benchmark(site):
    text = (site / "models/autoencoder.html").read_text(encoding="utf-8")
    for word in ("other data", "tetrapla compare autoencoder --data others", "2001-01-01", "<td>3.00</td>"):
        assert word in text
    assert "other data" not in (site / "models/vae.html").read_text(encoding="utf-8")
    assert "tetrapla compare autoencoder vae --data others" in (site / "index.html").read_text(encoding="utf-8")


def test_missing_results_are_named_with_their_command(site):
    text = (site / "models/gan.html").read_text(encoding="utf-8")
    for command in ("tetrapla compare gan", "tetrapla bench gan"):
        assert command in text
    text = (site / "articles/infogan.html").read_text(encoding="utf-8")
    assert (ROOT / "docs/articles/infogan/README.md").exists() or "tetrapla reproduce infogan" in text


def test_the_specification_is_on_the_model_page(site, spec):
    text = (site / f"models/{spec.name}.html").read_text(encoding="utf-8")
    assert f"{spec.parameter_count():,} parameters" in text
    for word in (
        *(layer.name for layer in spec.layers().values()),
        *(noise.name for noise in spec.noise),
        *spec.about.notes,
    ):
        assert html.escape(word, quote=False) in html.unescape(text).replace("&", "&amp;").replace("<", "&lt;")


def test_places_on_the_axis_of_magnitudes():
    """From 1e-18 to 1e-10, in percent; what is exact stands at the left end, what is too large at the right."""
    stages = [
        {"name": "parameters", "deviation": 0.0, "tolerance": 0.0},
        {"name": "losses", "deviation": 1e-14, "tolerance": 1e-12},
        {"name": "gradients", "deviation": 0.5, "tolerance": 1e-13},
        {"name": "complex step", "deviation": 1e-13, "tolerance": 1e-12},
    ]
    report = {"models": {"vae": {"against_oracle": {"jax float64": stages}}}}
    found = measured.Parity(ROOT, report).places("vae")
    assert [row["stage"] for row in found] == ["parameters", "losses", "gradients"]
    assert [row["at"]["jax"] for row in found] == pytest.approx([0, 50, 100])
    assert found[0]["bar"] is None
    assert [row["bar"] for row in found[1:]] == pytest.approx([75, 62.5])


def test_the_command_of_a_report():
    report = {"settings": {"steps": 500, "seed": 0, "rate": None, "device": "cpu"}, "data": {"name": "mnist"}}
    assert measured.Parity(ROOT, report).command("gan") == "tetrapla compare gan --data mnist --steps 500"
    report = {"settings": {"steps": 100, "seed": 3}, "data": {}}
    assert measured.Parity(ROOT, report).command() == "tetrapla compare --seed 3"


def test_measured_figures_name_their_command(site):
    for folder in ("", "zh/"):
        for place, commands in {
            "index.html": ["tetrapla compare", "tetrapla bench vae", "nox -s compare"],
            "models/vae.html": ["tetrapla compare vae", "tetrapla compare vae --train-steps 300", "tetrapla bench vae"],
            "results.html": ["tetrapla bench vae", "tetrapla train", "nox -s results"],
            "articles/index.html": [f"tetrapla reproduce {name}" for name in ("gan", "aae", "infogan")],
            "articles/gan.html": ["tetrapla reproduce gan"],
        }.items():
            text = (site / folder / place).read_text(encoding="utf-8")
            assert [command for command in commands if command not in html.unescape(text)] == [], (folder, place)


def test_the_first_page_shows_a_train_step_from_the_files(site):
    """In each framework what differentiates and what moves the parameters."""
    words = {"pytorch": (".backward()", ".step()"), "tensorflow": ("GradientTape", ".apply("),
             "paddle": ("state.run(", ".minimize("), "jax": ("nnx.grad(", ".update(")}  # fmt: skip
    for place in ("index.html", "zh/index.html"):
        text = (site / place).read_text(encoding="utf-8")
        for backend in BACKENDS:
            cells = re.findall(rf'<div class="cell {backend}">.*?<code>(.*?)</code></pre>', text, re.DOTALL)
            shown = html.unescape(re.sub(r"<[^>]+>", "", "\n".join(cells)))
            assert "def train_step(state, inputs, noise):" in shown
            assert all(word in shown for word in words[backend]), (place, backend)


# ------------------------------------------------------------------------------------------- two languages

# Of the shown data, what templates hand to `_`.
SAID = {
    *(text for topic in pairs.TOPICS for text in (topic.title, topic.about)),
    *measured.PICTURES.values(),
    *(stage for stage in (*parity.STAGES, parity.COMPLEX_STEP) if stage != parity.MANY),
    *SIGNS.values(),
    *(spec.about.title for spec in specs.SPECS.values()),
    *(" ".join(spec.initial.__doc__.split()) for spec in specs.SPECS.values()),
}
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in sorted((FOLDER / "site").glob("*.html"))}
WORDS_IN_A_ROW = re.compile(r"[^\u4e00-\u9fff]*[A-Za-z]{2,}(?: [a-z]{2,}){2,}[^\u4e00-\u9fff]*")  # and nothing Chinese
FRAGMENT = re.compile(r"%\(\w+\)s|<[^>]+>|\{\w+\}")  # what stands between the words of a phrase


def unpaired(templates, phrases):
    """One line for each phrase that is said in one language and not in the other."""
    reader = environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"])
    reader.policies["ext.i18n.trimmed"] = True
    said = {said for text in templates.values() for _, _, said in reader.extract_translations(text) if said} | SAID
    return [f"no Chinese: {one}" for one in sorted(said - phrases.keys())] + [
        f"no English: {one}" for one in sorted(phrases.keys() - said)
    ]


class Spoken(HTMLParser):
    """The texts and spoken attributes of a page, but for code and for what is marked as another language."""

    SILENT, VOID = {"code", "pre", "script", "style"}, {"meta", "link", "img", "input", "br", "hr"}

    def __init__(self, text, language):
        super().__init__()
        self.language, self.texts = language, []
        self.open = [(language, False)]  # (language, whether it is code) of the elements that are open
        self.feed(text)

    def heard(self):
        return self.open[-1] == (self.language, False)

    def handle_starttag(self, tag, attributes):
        found, (language, silent) = dict(attributes), self.open[-1]
        self.open.append((found.get("lang", language), silent or tag in self.SILENT))
        if self.heard():
            spoken = [
                "aria-label",
                "alt",
                "title",
                *(name for name in found if name.startswith("data-") and tag in ("output", "button")),
            ]
            self.texts += [found[name] for name in spoken if name in found]
        if tag in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data):
        if data.strip() and self.heard():
            self.texts.append(data.strip())


def english_in(text):
    """What a Chinese page says in English: a phrase of the templates or a part of one, or three words in a row."""
    parts = set()
    for phrase, chinese in CHINESE_PHRASES.items():
        parts |= {part.strip(" ,;:.") for part in FRAGMENT.split(phrase) if re.search(r"[a-z]{3}", part)}
        parts -= {part.strip(" ，；：。、") for part in FRAGMENT.split(chinese)}
    found = Spoken(text, CHINESE.code).texts
    return [one for one in found if one.strip(" ,;:.") in parts or WORDS_IN_A_ROW.fullmatch(one)]


def astray(site, pages):
    """One line for each page whose switch, or whose note of the other language, does not lead to its other side."""
    lines = []
    for place, page in pages.items():
        chinese, shared = place.startswith("zh/"), place.startswith("code/")
        other = "zh/index.html" if shared else place.removeprefix("zh/") if chinese else f"zh/{place}"
        ours, theirs = (CHINESE, ENGLISH) if chinese else (ENGLISH, CHINESE)
        here = lambda a, place=place: posixpath.normpath(posixpath.join(posixpath.dirname(place), a["href"]))  # noqa: E731
        if [a["lang"] for tag, a in page.tags if tag == "html"] != [ours.code]:
            lines.append(f"{place}: not marked as {ours.name}")
        if [(here(a), a["lang"]) for tag, a in page.tags if a.get("class") == "language"] != [(other, theirs.code)]:
            lines.append(f"{place}: no switch to {other}")
        elif not (site / other).is_file():
            lines.append(f"{place}: its switch leads nowhere, there is no {other}")
        notes = {a["hreflang"]: here(a) for tag, a in page.tags if a.get("rel") == "alternate"}
        if notes != ({} if shared else {ours.code: place, theirs.code: other}):
            lines.append(f"{place}: notes {notes}")
    return lines


def test_every_phrase_is_said_in_both_languages():
    assert unpaired(TEMPLATES, CHINESE_PHRASES) == []


def test_a_template_says_nothing_but_phrases():
    """What stands outside of {% trans %} would be English on every page."""
    for name, text in TEMPLATES.items():
        for part in (
            r"\{#.*?#\}",
            r"\{% block width %\}\w+",
            r"\{% trans\b.*?\{% endtrans %\}",
            r"<(code|title)\b.*?</\1>",
            r"\{%.*?%\}",
            r"\{\{.*?\}\}",
        ):
            text = re.sub(part, "", text, flags=re.DOTALL)
        assert re.findall(r"[a-z]{2,}", re.sub(r"<[^>]*>|Tetrapla", "", text)) == [], name
        assert re.findall(r'(?:aria-label|alt|title)="[^"]*\w', text) == [], name


def test_the_templates_say_it_in_the_words_of_the_field():
    """As the documents do, of which tests/spec/test_words.py says it; what is a link's anchor is not read."""
    ours = re.compile(r"\b(?:columns?|floors?|beside|parts? from)\b", re.IGNORECASE)
    assert ours.search("The four columns")
    assert [phrase for phrase in CHINESE_PHRASES if ours.search(FRAGMENT.sub("", phrase))] == []


def test_every_page_is_there_in_both_languages(pages):
    ours = {place for place in pages if not place.startswith("code/")}
    english, chinese = (
        {place for place in ours if not place.startswith("zh/")},
        {place for place in ours if place.startswith("zh/")},
    )
    assert {f"zh/{place}" for place in english} == chinese
    for place in english:
        ids = {a["id"] for tag, a in pages[place].tags if "id" in a and tag != "h1"}  # a title's is made of its words
        assert ids - set(pages[f"zh/{place}"].ids) == set(), place


def test_every_switch_leads_to_the_same_page_in_the_other_language(site, pages):
    assert astray(site, pages) == []


def test_chinese_pages_are_chinese(site):
    for path in sorted((site / "zh").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert english_in(text) == [], path
        assert re.search(r"[\u4e00-\u9fff]{2}", text), path


def test_what_is_in_english_only_is_said_to_be(site):
    note = CHINESE_PHRASES["In English only:"]
    assert note in (site / "zh/docs/benchmarks.html").read_text(encoding="utf-8")
    for place in ("zh/docs/diff.html", "zh/guide.html", "docs/benchmarks.html"):
        assert note not in (site / place).read_text(encoding="utf-8"), place


def test_links_of_a_chinese_document_stay_chinese(pages):
    links = {a.get("href") for tag, a in pages["zh/docs/diff.html"].tags if tag == "a"}
    assert {"../guide.html#gelu-erf-or-tanh", "../../code/tests/diff/threads/keras_19291.py.html"} <= links
    assert links.isdisjoint({"../../guide.html#gelu-erf-or-tanh", "../../code/docs/diff.md.html"})


def test_planted_phrases_are_named():
    phrase = "Wrap long lines"
    assert unpaired(TEMPLATES, {key: said for key, said in CHINESE_PHRASES.items() if key != phrase}) == [
        f"no Chinese: {phrase}"
    ]
    assert unpaired(TEMPLATES, CHINESE_PHRASES | {"No such phrase": "没有"}) == ["no English: No such phrase"]
    with pytest.raises(UsageError, match="expected 'No such phrase' in 中文; add it there"):
        CHINESE.say("No such phrase")


@pytest.mark.parametrize(
    ("chinese", "english"),
    [("跳到正文", "Skip to the content"), ("性能测试</h2>", "Benchmarks</h2>"), ('aria-label="网站"', 'aria-label="Site"'), ("主题：深色", "Theme: dark"),
     ("竖线是下限", "And whatever else"), ("以 float32 训练 300 步之后，每张测试图像", "After 300 training steps in float32, per test image")],
)  # fmt: skip
def test_planted_english_is_seen(site, chinese, english):
    texts = [(site / "zh" / place).read_text(encoding="utf-8") for place in ("results.html", "models/vae.html")]
    text = next(text for text in texts if chinese in text)
    assert english_in(text.replace(chinese, english, 1))


def test_planted_switches_are_named(site, pages, tmp_path):
    text = (site / "guide.html").read_text(encoding="utf-8")
    for right, wrong in (
        ('href="zh/guide.html">中文', 'href="zh/index.html">中文'),
        ('hreflang="zh-Hans" href="zh/guide.html">\n', 'hreflang="zh-Hans" href="zh/results.html">\n'),
        ('<html lang="en">', '<html lang="zh-Hans">'),
        ('class="language"', 'class="other"'),
    ):
        assert right in text
        (tmp_path / "guide.html").write_text(text.replace(right, wrong, 1), encoding="utf-8")
        (line,) = astray(site, {"guide.html": Reader(tmp_path / "guide.html")})
        assert line.startswith("guide.html: ")
    (line,) = astray(tmp_path, {"guide.html": pages["guide.html"]})
    assert line == "guide.html: its switch leads nowhere, there is no zh/guide.html"


def test_the_guide_has_the_same_entries_in_both_languages(monkeypatch):
    english, chinese = guide.entries(), guide.entries(CHINESE)
    assert [(one.anchor, one.places, one.frameworks) for one in english] == [
        (one.anchor, one.places, one.frameworks) for one in chinese
    ]
    assert chinese[0].title == "Adam 在哪里加 ε，它的数值经过什么精度"
    assert len({one.anchor for one in chinese}) == len(chinese)
    text = guide.read(CHINESE.document(guide.PATH))
    short = text[: text.rindex('<a id="')]
    monkeypatch.setattr(
        guide, "read", lambda path: short if ".zh." in path else (ROOT / path).read_text(encoding="utf-8")
    )
    with pytest.raises(UsageError, match=r"docs/differences.zh.md: expected the entries of docs/differences.md"):
        guide.entries(CHINESE)


# ----------------------------------------------------------------------------------- pairs, guide, requests


def test_a_topic_that_is_not_found_ends_the_build():
    topic = pairs.Topic("Losses", "", {"jax": (("vae.py", "no_such_function"),)})
    with pytest.raises(UsageError, match=r"backends/jax/vae.py: expected a definition of 'no_such_function'"):
        topic.snippets("jax")


@pytest.mark.parametrize("column", BACKENDS)
def test_topics_show_real_lines(column):
    """A train step differentiates, a distribution is drawn from, in the words of each framework."""
    words = {
        "A train step": {"pytorch": ".backward()", "tensorflow": "GradientTape", "paddle": ".minimize(", "jax": "nnx.grad("},
        "Randomness": {"pytorch": "torch.randn", "tensorflow": "stateless_normal", "paddle": "paddle.normal", "jax": "jax.random.normal"},
        "Adam": {"pytorch": "torch.optim.Adam", "tensorflow": "assign_sub", "paddle": "paddle.optimizer.Adam", "jax": "optax.adam"},
    }  # fmt: skip
    for topic in pairs.TOPICS:
        text = ""
        for path, _, first, last in topic.snippets(column):
            text += "\n".join((ROOT / path).read_text(encoding="utf-8").splitlines()[first - 1 : last])
        assert words.get(topic.title, {column: ""})[column] in text


def test_entries_of_the_guide_about_two_frameworks():
    about = {entry.title: {b for b in BACKENDS if entry.about(b)} for entry in guide.entries()}
    assert about["Layout of a dense layer"] == set(BACKENDS)
    assert about["Softplus gives up early (Paddle)"] == set(BACKENDS)  # the text says who does so too, and who does not
    assert about["A name used twice (Paddle)"] == {"paddle"}
    assert about["One seed, two streams (TensorFlow)"] == {"tensorflow"}
    assert len(about) > 30


def test_lines_of_a_place_stand_with_the_first_entry_that_names_it():
    found = guide.entries()
    shown = guide.lines(found)
    named = {place for entry in found for place in entry.places if place.lines}
    assert sorted(map(str, named)) == sorted(str(place) for places in shown.values() for place in places)
    reset = next(entry for entry in found if any(place.name == "rmsprop" for place in entry.places))
    assert [place.name for place in shown[reset.anchor]][0] == "rmsprop"


def test_an_earlier_site_is_replaced_and_anything_else_is_not(site, results):
    (site / "left-over.html").write_text("")
    build(site, results / "parity", sorted(results.glob("2001*.json")))
    assert not (site / "left-over.html").exists()
    assert (site / "index.html").exists()
    for other in (results, results / "2001-01-01.json"):
        with pytest.raises(UsageError, match="expected an empty folder or an earlier site"):
            build(other)


def test_a_file_that_is_no_report(tmp_path):
    (tmp_path / "report.json").write_text('{"models": 1}')
    with pytest.raises(UsageError, match="expected a report of `tetrapla compare`"):
        measured.parity(tmp_path)
    assert measured.parity(tmp_path / "nothing") == []


def test_show_code():
    result = tetrapla_here("show", "vae", "--code", "pytorch", "jax")
    assert result.returncode == 0
    (line,) = (line for line in result.stdout.splitlines() if "class Encoder" in line)
    assert re.search(r"class Encoder\(nn\.Module\): +class Encoder\(nnx\.Module\):", line)
    assert max(map(len, result.stdout.splitlines())) == 80
    assert "backends/paddle" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "vae", "jax"), "backends choose the implementations that --code shows"),
        (("show", "vae", "--code", "mxnet"), "unknown backend 'mxnet'"),
        (("site", "--compare", "no/such/folder"), "no/such/folder: expected a folder of `tetrapla compare`"),
        (("site", "--bench", "no/such/file"), "no/such/file: expected a result of `tetrapla bench`"),
    ],
)
def test_bad_requests(arguments, message):
    result = tetrapla_here(*arguments)
    assert (result.returncode, message in " ".join(result.stderr.split())) == (2, True), result.stderr
