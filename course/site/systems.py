"""The pages "What is here" and "Methods", made from ``systems.yml`` and the code."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import yaml

from course.building.syllabus import Chapter, chapters, parts

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_name("systems.yml")
RESULTS = ROOT / "tests" / "benchmarks" / "results"
MINUS = re.compile(r"(?<![\w.-])-(?=\d)")

_HERE = """# What is here

For readers who know the literature: every system of the field that the library has,
with its paper, its folder and the chapter that teaches it; what of its published
results was reproduced, and what was not, and why. Figures are those of the
[results](results.md); the [methods](methods.md) are a page of their own.
"""
_METHODS = """# Methods

Every method, with its source, its file and what its tests prove. Names lead to the
[reference](reference/index.md), [what is here](systems.md) tells what was reproduced.

| method | source | file | what its tests prove |
|---|---|---|---|
"""


def systems() -> dict[int, list[dict]]:
    """Read the systems of each part."""
    return yaml.safe_load(DATA.read_text())


def methods() -> Iterator[dict]:
    """Yield every method, in the order of the data."""
    for part in systems().values():
        for system in part:
            yield from system["methods"]


def named(name: str) -> object:
    """Return the object with a public name, such as ``modular.audit.isolation``."""
    path, *rest = name.split(".")
    thing = importlib.import_module(path)
    for part in rest:
        path = f"{path}.{part}"
        thing = getattr(thing, part) if hasattr(thing, part) else _module(path)
    return thing


def _module(path: str) -> object:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise ValueError(f"systems.yml names {path}: no such public name") from error


def file(name: str) -> PurePosixPath:
    """Return the file, seen from the root, that defines a public name."""
    where = Path(sys.modules[named(name).__module__].__file__)
    return PurePosixPath(where.resolve().relative_to(ROOT).as_posix())


def folders(system: dict) -> list[PurePosixPath]:
    """Return the folders in which the methods of a system are."""
    names = (name for row in system["methods"] for name in row["names"])
    return list(dict.fromkeys(file(name).parent for name in names))


def with_figures(text: str) -> str:
    """Fill in the figures of the stored records: ``{lista[rows][...]:.1f}``.

    Raises:
        KeyError: If a record has no such figure.
    """
    records = {f.stem: json.loads(f.read_text()) for f in RESULTS.glob("*.json")}
    return MINUS.sub("−", text.format_map(records))


def methods_page() -> str:
    """Write the table of methods: one row per method."""
    return _METHODS + "".join(
        f"| {', '.join(map(_link, row['names']))} | {row['source']} "
        f"| {_files(row['names'])} | {row['proves']} |\n"
        for row in methods()
    )


def systems_page() -> str:
    """Write what is here: for each part a table, then a paragraph per system."""
    known = {chapter.id: chapter for chapter in chapters()}
    lines = [_HERE]
    for part, title in parts().items():
        found = systems().get(part, [])
        if not found:
            continue
        lines += [f"## {title}", ""]
        lines += ["| system | paper | folder | chapter |", "|---|---|---|---|"]
        for system in found:
            taught = ", ".join(_chapter(known[c], c) for c in system["chapters"])
            places = ", ".join(_path(folder, "/") for folder in folders(system))
            lines.append(
                f"| [{system['name']}](#{_anchor(system)}) | {system['paper']} "
                f"| {places} | {taught} |"
            )
        for system in found:
            lines += ["", f"({_anchor(system)})=", f"### {system['name']}", ""]
            lines += [f"**Reproduced.** {with_figures(system['reproduced'])}", ""]
            lines += [f"**Not.** {with_figures(system['missing'])}", ""]
            names = (name for row in system["methods"] for name in row["names"])
            lines.append(f"In the library: {', '.join(map(_link, names))}.")
        lines.append("")
    return "\n".join(lines)


def _link(name: str) -> str:
    """Link to the reference, where the name is told in full."""
    return f"{{py:obj}}`{name.partition('.')[2]} <{name}>`"


def _files(names: list[str]) -> str:
    return ", ".join(_path(path) for path in dict.fromkeys(map(file, names)))


def _path(path: PurePosixPath, end: str = "") -> str:
    """Write a path that a narrow column may break after a slash, and there only."""
    parts = "/<wbr>".join(path.parts)
    return f'<code class="docutils literal notranslate">{parts}{end}</code>'


def _chapter(chapter: Chapter, text: str) -> str:
    return f"[{text}](chapters/{chapter.slug}.ipynb)"


def _anchor(system: dict) -> str:
    words = "".join(c if c.isalnum() else " " for c in system["name"].lower()).split()
    return "-".join(["system", *words])
