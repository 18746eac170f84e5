"""What the documentation says is here is here: ``course/site/systems.yml``."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import modular
import pinn
import unroll
from course.building.syllabus import chapters

ROOT = Path(__file__).parents[1]


def load(name: str) -> ModuleType:
    """Import a file of the site, which is no package."""
    path = ROOT / "course" / "site" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = load("systems")
SYSTEMS = [system for part in pages.systems().values() for system in part]
NAMES = [name for row in pages.methods() for name in row["names"]]
EACH = pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s["name"])


def public() -> Iterator[tuple[str, object]]:
    """Yield every public name: of the packages, and of their families' front doors."""
    for package in (unroll, modular, pinn):
        doors = [package]
        for _, name, is_package in pkgutil.iter_modules(package.__path__):
            if is_package and not name.startswith("_"):
                doors.append(importlib.import_module(f"{package.__name__}.{name}"))
        for door in doors:
            for name in getattr(door, "__all__", ()):
                yield f"{door.__name__}.{name}", getattr(door, name)


def base(thing: type) -> type:
    """Return the oldest ancestor that is not abc's or Python's own."""
    return [
        kind for kind in thing.__mro__ if kind.__module__ not in ("abc", "builtins")
    ][-1]


# A method is what one may choose instead of another of its kind.
KINDS = (
    unroll.Unrolled,
    unroll.LassoResult,  # what solvers, which are functions, return
    unroll.BayesResult,
    importlib.import_module("unroll.equilibrium.fixed_point").Solver,
    importlib.import_module("unroll.equilibrium.gradients").Gradient,
    importlib.import_module("unroll.lowrank").PCPResult,
    importlib.import_module("unroll.ode.adjoints").Adjoint,
    importlib.import_module("unroll.operators").Operator,
    importlib.import_module("unroll.parts").NMFResult,
    importlib.import_module("unroll.penalties").Penalty,
    base(type(modular.Backprop())),
    importlib.import_module("modular.pipeline").Scheme,
    base(modular.Pred),
    base(modular.InProcess),
    importlib.import_module("modular.communication.base").Compressor,
    importlib.import_module("modular.curvature.placements").Placement,
    importlib.import_module("modular.curvature.solves").Solve,
    importlib.import_module("modular.compact.fake_quant").FakeQuant,
    importlib.import_module("modular.memory.codec").Codec,
    importlib.import_module("modular.sparse.topology").Topology,
    torch.optim.Optimizer,
    base(pinn.Strong),  # the data of DeepXDE
    base(pinn.RAR),  # its callbacks
)


def is_method(thing: object) -> bool:
    """Whether it is a method, or a function that returns one; no base or record."""
    if inspect.isclass(thing):
        own = thing not in KINDS and issubclass(thing, KINDS)
        solved = all(hasattr(thing, part) for part in ("data", "net", "optimizer"))
        return (own or solved) and not inspect.isabstract(thing)
    if not inspect.isfunction(thing):
        return False
    returned = thing.__annotations__.get("return")
    if isinstance(returned, str):  # a name that only type checkers see is no method
        returned = thing.__globals__.get(returned)
    return inspect.isclass(returned) and issubclass(returned, KINDS)


def test_every_method_is_in_exactly_one_system() -> None:
    here = Counter(id(pages.named(name)) for name in NAMES)
    found = [(name, thing) for name, thing in public() if is_method(thing)]
    assert len(found) > 50, "the rule finds the methods"
    wrong = {name: here[id(thing)] for name, thing in found if here[id(thing)] != 1}
    assert not wrong, "course/site/systems.yml has each of these so many times"


def test_no_name_is_told_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_public_and_its_file_is_there(name: str) -> None:
    thing, (door, _, own) = pages.named(name), name.rpartition(".")
    assert own in importlib.import_module(door).__all__
    file = ROOT / pages.file(name)
    assert re.search(rf"^(def|class) {own}\b", file.read_text(), re.MULTILINE)
    assert thing.__module__.partition(".")[0] == name.partition(".")[0]


@EACH
def test_a_system_is_told_in_full(system: dict) -> None:
    assert set(system) == {
        "name",
        "paper",
        "chapters",
        "reproduced",
        "missing",
        "methods",
    }
    for row in system["methods"]:
        assert set(row) == {"names", "source", "proves"}
        assert row["names"] and "|" not in row["source"] + row["proves"]
    assert re.search(r"\b(19|20)\d\d\b|\bours\b", system["paper"])


@EACH
def test_its_chapters_are_in_the_course_and_speak_of_it(system: dict) -> None:
    known = {chapter.id: chapter for chapter in chapters()}
    own = {n.rpartition(".")[2] for row in system["methods"] for n in row["names"]}
    for number in system["chapters"]:
        words = set(re.findall(r"\w+", known[number].text.read_text()))
        assert words & own, f"chapter {number} has none of {sorted(own)}"


@EACH
def test_its_figures_are_stored_ones(system: dict) -> None:
    for text in (system["reproduced"], system["missing"]):
        assert "{" not in pages.with_figures(text)
        own = re.sub(r"\{[^}]*\}", "X", text)
        typed = re.findall(r"\d[\d.,]*(?:e-?\d+)?\s*(?:dB|%|points|times)", own)
        assert not typed, "a figure is read from a record, never typed"


def test_a_figure_that_is_not_stored_is_an_error() -> None:
    assert pages.with_figures("-35 dB, 1e-6, x-3") == "−35 dB, 1e-6, x-3"
    with pytest.raises(KeyError, match="LISTA 41"):
        pages.with_figures("{lista[rows][LISTA 41][ratio_db]:.1f}")


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names unroll\.FISTAA: no such public name"):
        pages.named("unroll.FISTAA")


def test_the_pages_tell_every_system_and_every_method() -> None:
    here, table = pages.systems_page(), pages.methods_page()
    assert len(re.findall(r"^### ", here, re.MULTILINE)) == len(SYSTEMS)
    rows = [line for line in table.splitlines() if line.startswith("| {py:obj}")]
    assert len(rows) == len(list(pages.methods()))
    for name in NAMES:
        assert f"<{name}>`" in here and f"<{name}>`" in table, name
    for target in re.findall(r"\]\(#([\w-]+)\)", here):
        assert here.count(f"({target})=") == 1
