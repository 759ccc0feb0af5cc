"""Every page in a real browser, headless Chromium: `nox -s test-site`. Nothing is skipped where there is none."""

import os
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from common import specs
from common.tools.site.build import build
from tests.site.invented import invented_results

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")  # fmt: skip
SHOWN = ["index.html", "models/vae.html", "models/infogan.html", "models/gan.html", "pairs/paddle-jax.html", "guide.html",
         "results.html", "articles/index.html", "articles/gan.html", "articles/infogan.html", "docs/benchmarks.html", "docs/diff.html",
         "code/backends/paddle/steps.py.html", "zh/index.html", "zh/models/vae.html", "zh/guide.html", "zh/docs/diff.html",
         "zh/results.html"]  # fmt: skip

# Of every element that has text of its own: the WCAG contrast of its colour and the ground behind it.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const element of document.body.querySelectorAll("*")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(channels(style.color)), luminance(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = `${element.tagName} .${element.className} ${style.color}`;
    found[name] = Math.min(found[name] ?? 99, ratio);
  }
  return found;
}"""
SHIFT = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; })
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""
TOPS = """() => [...document.querySelectorAll(".row")].map((row) => [row.dataset.key, [...row.querySelectorAll(".cell")]
  .filter((cell) => cell.checkVisibility())
  .map((cell) => [cell.getBoundingClientRect().top, cell.querySelector("pre")?.getBoundingClientRect().top ?? null])])"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = invented_results(tmp_path_factory.mktemp("site"))
    build(folder / "site", folder / "parity", sorted(folder.glob("2001*.json")))
    return folder / "site"


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program, "no Chromium on the path, and the variable CHROMIUM names none (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """open_page("index.html", width=390, scheme="dark") -> the page, and `problems` on it."""
    contexts = []

    def open_(place, width=1800, scheme="light", context=None, **settings):
        if context is None:
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce", **settings)
            contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("requestfailed", lambda request: page.problems.append(f"failed: {request.url}"))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else page.problems.append(r.url))
        page.goto((site / place).as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


def test_every_page_opens_without_an_error(open_page, site):
    page = open_page("index.html")
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        for image in page.query_selector_all("img"):
            image.scroll_into_view_if_needed()
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0, path
        assert page.problems == [], path


@pytest.mark.parametrize("width", [390, 1000, 1800])
def test_pages_fit_their_width_and_do_not_shift(open_page, width):
    for place in SHOWN:
        page = open_page(place, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert page.evaluate(SHIFT) < 0.01, place


@pytest.mark.parametrize("name", specs.SPECS)
@pytest.mark.parametrize("width", [390, 1000, 1800])
def test_sections_of_one_name_are_level(open_page, name, width):
    rows = open_page(f"models/{name}.html", width).evaluate(TOPS)
    level = 0
    for key, cells in rows:
        for tops in zip(*cells, strict=True):
            found = [top for top in tops if top is not None]
            assert not found or max(found) - min(found) < 2, (key, cells)
            level += len(found) == 4
    assert level >= 20


def test_the_choice_of_columns(open_page):
    page = open_page("models/aae.html")
    shown = "() => [...new Set([...document.querySelectorAll('.cell')].filter(c => c.checkVisibility()).map(c => c.classList.item(c.classList.length - 1)))].sort()"
    assert page.evaluate(shown) == ["jax", "paddle", "pytorch", "tensorflow"]
    assert page.locator("[data-key=accumulating_train_step]").is_visible()
    page.get_by_label("PyTorch", exact=True).uncheck()
    page.get_by_label("JAX", exact=True).uncheck()
    assert page.evaluate(shown) == ["paddle", "tensorflow"]
    assert not page.locator("[data-key=accumulating_train_step]").is_visible()  # which PyTorch alone has
    assert page.locator("[data-key=train_step]").is_visible()
    page.get_by_label("Paddle", exact=True).click()
    assert page.get_by_label("Paddle", exact=True).is_checked()  # two stay
    assert "Two frameworks stay" in page.get_by_role("status").inner_text()
    page.get_by_label("Wrap long lines").check()
    page.reload()
    assert page.evaluate(shown) == ["paddle", "tensorflow"]
    assert page.locator("[data-key=losses] pre").first.evaluate("e => getComputedStyle(e).whiteSpace") == "pre-wrap"
    assert not page.get_by_label("JAX", exact=True).is_checked()
    other = open_page("models/vae.html", context=page.context)
    assert other.evaluate(shown) == ["paddle", "tensorflow"]
    widths = other.evaluate("[...document.querySelectorAll('[data-key=losses] .cell')].map(c => c.clientWidth)")
    assert max(widths) > 800  # the two share the page


def test_without_script_all_four_are_shown(open_page):
    page = open_page("models/vae.html", java_script_enabled=False)
    for backend in ("pytorch", "tensorflow", "paddle", "jax"):
        assert page.locator(f"[data-key=losses] .cell.{backend}").is_visible()
    assert not page.get_by_role("button").is_visible()


def test_a_line_number_leads_to_its_line(open_page):
    page = open_page("models/vae.html")
    page.get_by_role("link", name="losses in Paddle: backends/paddle/vae.py").click()
    assert page.locator("span:target").inner_text().startswith("def losses(model, inputs, noise):")
    page = open_page("guide.html")
    page.get_by_role("link", name=re.compile(r"test_softplus_gives_up_at_20$")).click()
    assert page.locator("span:target").inner_text().startswith("def test_softplus_gives_up_at_20")


@pytest.mark.parametrize("place", ["index.html", "zh/index.html"])
def test_the_first_page_says_in_one_screen_what_this_is(open_page, place):
    page = open_page(place, 1280)
    page.set_viewport_size({"width": 1280, "height": 800})
    for part in (".commands", ".four", ".panels img", ".panels .dots", ".panels .bars", ".panels figcaption >> nth=2"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 800, part
        assert box["width"] > 200, part
    for backend in ("pytorch", "tensorflow", "paddle", "jax"):
        assert page.locator(f".four .cell.{backend}").first.is_visible()


@pytest.mark.parametrize(
    ("place", "words", "title", "none"),
    [
        ("guide.html", "Softplus  20", "Softplus gives up early (Paddle)", "No entry has all of these words."),
        ("zh/guide.html", "softplus 过早", "Softplus 过早", "没有条目同时含有这些词。"),
    ],
)
def test_the_search_of_the_guide(open_page, place, words, title, none):
    """By the keyboard alone; how many are found is what is shown, in the list of entries too."""
    page = open_page(place)
    said, entries, lines = page.get_by_role("status"), page.locator(".entry:visible"), page.locator(".toc li:visible")
    everything = entries.count()
    assert everything == lines.count() > 50
    assert said.inner_text() == ""
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "words":
            break
    page.keyboard.type(words)
    found = entries.count()
    assert 0 < found < 10
    assert lines.count() == found
    assert str(found) in said.inner_text()
    assert str(everything) in said.inner_text()
    for text in entries.all_inner_texts():
        assert all(word in text.lower() for word in words.lower().split())
    assert any(title in text for text in entries.all_inner_texts())
    page.keyboard.press("Enter")
    assert page.locator(":focus").evaluate("e => e.tagName") == "H3"
    page.locator("#words").fill("no such word anywhere")
    assert said.inner_text().startswith(none)
    assert (entries.count(), lines.count(), page.locator(".entries h2:visible").count()) == (0, 0, 0)
    page.keyboard.press("Escape")
    assert (entries.count(), said.inner_text()) == (everything, "")
    page.locator("#words").fill(words)
    page.evaluate("location.hash = 'adams-default-ε'")  # which the search had hidden
    page.wait_for_function("n => document.querySelectorAll('.entry:not([hidden])').length === n", arg=everything)


def test_the_switch_of_languages(open_page):
    page = open_page("models/vae.html")
    page.get_by_role("link", name="中文").click()
    page.wait_for_url("**/zh/models/vae.html")
    page.get_by_role("heading", name="变分自编码器").wait_for()
    page.get_by_role("button").click()
    page.get_by_role("button", name="主题：浅色", exact=True).wait_for()
    page.get_by_role("link", name="English").click()
    page.wait_for_url("**/site/models/vae.html")
    page.get_by_role("button", name="Theme: light", exact=True).wait_for()


def test_light_and_dark(open_page):
    page = open_page("guide.html", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button").click()
    light = page.evaluate(ground)
    assert light == "rgb(255, 255, 255)" != dark
    page.reload()
    assert page.evaluate(ground) == light
    page.get_by_role("button").click()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(open_page, scheme):
    """WCAG AA: 4.5 for every text and every kind of code token."""
    for place in SHOWN:
        found = open_page(place, scheme=scheme).evaluate(CONTRASTS)
        assert len(found) > 5
        assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}, place


@pytest.mark.parametrize("width", [390, 1800])
def test_what_scrolls_can_be_reached_by_the_keyboard(open_page, width):
    found = 0
    for place in SHOWN:
        wide = """[...document.querySelectorAll('main *')].filter(e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
          && e.scrollWidth > e.clientWidth)"""
        page = open_page(place, width)
        assert page.evaluate(f"{wide}.filter(e => e.tabIndex !== 0).length") == 0, place
        found += page.evaluate(f"{wide}.length")
    assert found > 20


def test_keyboard_and_headings(open_page):
    for place in SHOWN:
        page = open_page(place)
        page.keyboard.press("Tab")
        link = page.locator(":focus")
        assert link.inner_text() == ("跳到正文" if place.startswith("zh/") else "Skip to the content")
        assert link.bounding_box()["x"] >= 0
        assert link.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
        assert levels[0] == 1, place
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), place
        unnamed = "[...document.querySelectorAll('input, button, a, fieldset, nav')].filter(e => !(e.innerText || e.ariaLabel || e.labels?.length)).length"
        assert page.evaluate(unnamed) == 0, place
