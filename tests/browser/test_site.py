"""The site builds without a warning, links to what is there, and fits a phone."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser

from course.building.syllabus import FOLDER, chapters


class Page(HTMLParser):
    """What a page links to, what can be linked to in it, and its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[dict[str, str | None]] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.anchors.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(unquote(found["href"]))
        if tag == "img":
            self.pictures.append(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make site`` builds it: every warning is an error."""
    pages = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "-W", "-q", str(FOLDER / "site")]
    root = str(FOLDER.parent)
    done = subprocess.run(
        [*sphinx, str(pages)],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    return pages


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Page]:
    own = (p for p in site.rglob("*.html") if "_static" not in p.parts)
    return {path: Page(path) for path in own}


def test_every_internal_link_leads_somewhere(parsed: dict[Path, Page]) -> None:
    broken = []
    for path, page in parsed.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):  # another site, or a mail
                continue
            target, _, anchor = link.partition("#")
            to = (path.parent / target).resolve() if target else path
            known = parsed.get(to)
            if not to.exists() or (anchor and known and anchor not in known.anchors):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_every_picture_has_alt_text(parsed: dict[Path, Page]) -> None:
    blank = [
        path.name
        for path, page in parsed.items()
        for picture in page.pictures
        if not (picture.get("alt") or "").strip()
    ]
    assert not blank


def test_every_picture_is_there(parsed: dict[Path, Page]) -> None:
    shown = [
        (path, unquote(picture["src"] or ""))
        for path, page in parsed.items()
        for picture in page.pictures
    ]
    files = {src for path, src in shown if not re.match(r"[a-z]+:", src)}
    assert {Path(src).name for src in files} >= {"frontier.png", "race.png"}
    lost = [
        f"{path.name}: {src}"
        for path, src in shown
        if src in files and not (path.parent / src).is_file()
    ]
    assert not lost


def test_chapters_and_library_link_to_each_other(
    site: Path, parsed: dict[Path, Page]
) -> None:
    reference = {
        link for p in (site / "reference").glob("*.html") for link in parsed[p].links
    }
    for chapter in chapters():
        page = site / "chapters" / f"{chapter.slug}.html"
        assert any("reference/" in link for link in parsed[page].links), chapter.slug
        assert f"../chapters/{chapter.slug}.html" in reference, chapter.slug


def test_the_guide_knows_every_chapter(site: Path) -> None:
    for name in ("pacing", "goals", "graders"):
        text = (site / "instructor" / f"{name}.html").read_text()
        missing = [c.id for c in chapters() if c.id not in text]
        assert not missing, name


def test_equations_need_no_network(site: Path) -> None:
    page = (site / "notation.html").read_text()
    assert "cdn.jsdelivr" not in page
    (script,) = set(re.findall(r'src="(_static/mathjax/[^"?]+)', page))
    assert (site / script).stat().st_size > 100_000


MATHS_IS_SET = (
    "window.MathJax === undefined || MathJax.startup.promise.then(() => true)"
)
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"
WIDTHS = (390, 1280)


def test_equations_are_drawn(browser: Browser, site: Path) -> None:
    tab = browser.new_page()
    tab.goto((site / "notation.html").as_uri())
    tab.wait_for_function(MATHS_IS_SET)
    assert tab.locator("mjx-container").count() > 20
    assert tab.locator("mjx-merror").count() == 0
    tab.close()


# What a text is written on is the nearest opaque ground behind it; what is half
# transparent, by its colour or by an ancestor's opacity, is mixed with that.
TOO_FAINT = """(theme) => {
  document.documentElement.dataset.theme = theme;
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const over = (front, back) =>
    back.map((value, i) => front[i] * front[3] + value * (1 - front[3]));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const known = new Map([[null, {ground: [255, 255, 255], opacity: 1}]]);
  const look = (e) => {
    if (!known.has(e)) {
      const {ground, opacity} = look(e.parentElement), style = getComputedStyle(e);
      known.set(e, {
        ground: over(parse(style.backgroundColor), ground),
        opacity: opacity * style.opacity,
        ink: parse(style.color),
      });
    }
    return known.get(e);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = {checkOpacity: true, checkVisibilityCSS: true};
  const faint = {};
  let measured = 0;
  for (let text; (text = texts.nextNode()); ) {
    const e = text.parentElement;
    if (!text.textContent.trim() || !e.checkVisibility(seen)) continue;
    const {ground, opacity, ink} = look(e);
    const drawn = over([...ink.slice(0, 3), ink[3] * opacity], ground);
    const [dark, light] = [luminance(drawn), luminance(ground)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    measured += 1;
    if (ratio < 4.5)
      faint[`${e.tagName} ${text.textContent.trim().slice(0, 30)}`] = ratio;
  }
  return {measured, faint};
}"""
THEMES = ("light", "dark")
AT_ONCE = "* { transition: none !important; }"


class Look(NamedTuple):
    """How a page looks.

    By the width of the window, how much wider it is; by theme, how many of its texts
    were measured and which are too faint.
    """

    excess: dict[int, int]
    texts: dict[str, dict]


@pytest.fixture(scope="module")
def looks(browser: Browser, parsed: dict[Path, Page], site: Path) -> dict[str, Look]:
    """Every page, loaded once, as on a phone, and then in a wider window."""
    tab, found = browser.new_page(), {}
    for path in parsed:
        name, look = str(path.relative_to(site)), Look({}, {})
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
        tab.goto(path.as_uri())
        tab.wait_for_function(MATHS_IS_SET)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            tab.wait_for_function("width => window.innerWidth === width", arg=width)
            look.excess[width] = tab.evaluate(TOO_WIDE)
        tab.add_style_tag(content=AT_ONCE)
        for theme in THEMES:
            look.texts[theme] = tab.evaluate(TOO_FAINT, theme)
        found[name] = look
    tab.close()
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_screen(looks: dict[str, Look], width: int) -> None:
    wide = {name: look.excess[width] for name, look in looks.items()}
    assert not {name: excess for name, excess in wide.items() if excess > 0}


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_stands_out_from_its_ground(
    looks: dict[str, Look], theme: str
) -> None:
    found = {name: look.texts[theme] for name, look in looks.items()}
    unseen = [name for name, texts in found.items() if texts["measured"] <= 20]
    assert not unseen, "hardly any text was seen"
    assert not {name: texts["faint"] for name, texts in found.items() if texts["faint"]}
