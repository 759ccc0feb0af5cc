"""The site without a browser: sections and their alignment, links, sizes, what is said where results are missing."""

import html
import posixpath
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import BACKENDS
from common import specs
from common.environment import ROOT
from common.errors import UsageError
from common.tools import sections
from common.tools.site import guide, measured, pairs
from common.tools.site.build import build
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
        "Paddle, fast: no time; exit code 9",
    ):
        assert word in text
    assert 'width="300" height="200"' in text
    assert "2001-01-01" not in text  # an older result of the same device
    assert "2001-01-03" not in text  # a sweep
    assert "<td>2.00</td>" in text  # milliseconds
    assert "7.7e-14" in (site / "index.html").read_text(encoding="utf-8")


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
    assert measured.parity(tmp_path / "nothing") is None


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
