"""Docstrings tell the truth: sections match the signature, shapes match a real call.

Every public name of a package has one line in the table ``CALLS`` of the package's
``tests/<package>/cases.py`` that says how to call it. The grammar that is read here:
Google sections; a tensor's shape is written "Shape ``(batch, n)``", alternatives as
"Shape ``()`` or ``(batch,)``", a tuple's in order, leading axes as ``(..., n)``. A
dimension is a number, a symbol or an expression of symbols; a symbol stands for one
number throughout a call, and for the value of the integer argument, or attribute of the
result, of that name. A plain number is a tensor of shape ``()``.
"""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import pytest
import torch
from torch import Tensor

# Front doors with names that their package does not offer itself.
FAMILIES = (
    "modular.communication",
    "modular.compact",
    "modular.curvature",
    "modular.lifted",
    "modular.memory",
    "modular.multilevel",
    "modular.pipeline",
    "modular.sparse",
    "pinn.inverse",
    "unroll.blind",
    "unroll.equilibrium",
    "unroll.images",
    "unroll.labels",
    "unroll.lowrank",
    "unroll.ode",
    "unroll.operators",
    "unroll.parts",
    "unroll.penalties",
    "unroll.problems",
)
PACKAGES = ("unroll", "modular", "pinn", *FAMILIES)
SECTION = re.compile(r"^(Args|Returns|Raises|Example|Examples):$", re.MULTILINE)
SHAPE = re.compile(r"\b[Ss]hape ((?:``\([^`]*\)``(?:,? or |, )?)+)")
SOURCE = re.compile(r"\b[A-Z][\w'-]+ (?:et al\. )?(?:19|20)\d\d\b")


# Reading a docstring


def sections(thing: Callable) -> dict[str, str]:
    """Return the text of each section; the text before the first is under ''."""
    parts = SECTION.split(inspect.getdoc(thing) or "")
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(text: str) -> dict[str, str]:
    """Return name -> text of an Args or Raises section."""
    parts = re.split(r"^ {4}(\w+): ", text, flags=re.MULTILINE)
    return {
        name: " ".join(body.split())
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def shapes(text: str) -> list[list[str]]:
    """Return the documented shapes in order, each as its alternatives."""
    text = " ".join(text.split())
    return [re.findall(r"``\(([^`]*)\)``", found) for found in SHAPE.findall(text)]


def parameters(thing: Callable) -> dict[str, inspect.Parameter]:
    found = inspect.signature(thing, eval_str=True).parameters
    return {k: v for k, v in found.items() if k not in ("self", "cls")}


def mentions_tensor(annotation: object) -> bool:
    return annotation is Tensor or any(
        mentions_tensor(part) for part in typing.get_args(annotation)
    )


def check_sections(thing: Callable) -> None:
    """Args, Returns and Raises name what the signature and the body have."""
    doc, signature = sections(thing), parameters(thing)
    args = entries(doc.get("Args", ""))
    assert list(args) == list(signature), f"Args are {list(args)}"
    for name, parameter in signature.items():
        if mentions_tensor(parameter.annotation):
            assert shapes(args[name]), f"the shape of {name} is not documented"
    returned = inspect.signature(thing, eval_str=True).return_annotation
    gives_something = not inspect.isclass(thing) and returned is not None
    assert ("Returns" in doc) == gives_something, "Returns"
    tensors = [returned, *typing.get_args(returned)].count(Tensor)
    assert len(shapes(doc.get("Returns", ""))) >= tensors, "shapes of the result"
    missing = raised_by(thing) - set(entries(doc.get("Raises", "")))
    assert not missing, f"Raises does not name {missing}"


def raised_by(thing: Callable) -> set[str]:
    """Return the exceptions that the body raises: the checks it calls are tested."""
    if inspect.isclass(thing):
        thing = vars(thing).get("__post_init__", thing.__init__)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError):  # no source: written by dataclass or in C
        return set()
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    return {call.func.id for call in calls if isinstance(call, ast.Call)}


class Symbols(dict):
    """What each letter stands for in one call."""

    def match(self, name: str, alternatives: list[str], value: object) -> None:
        """Bind the letters of a documented shape, or fail."""
        actual = tuple(getattr(value, "shape", ()))
        attempts = [Symbols(self) for _ in alternatives]
        for symbols, shape in zip(attempts, alternatives, strict=True):
            if symbols._fits(shape, actual):
                self.update(symbols)
                return
        documented = " or ".join(f"({shape})" for shape in alternatives)
        raise AssertionError(
            f"{name} is documented as {documented}, is {actual}: {self}"
        )

    def _fits(self, shape: str, actual: tuple[int, ...]) -> bool:
        dims = [dim.strip() for dim in shape.split(",") if dim.strip()]
        if dims[:1] == ["..."]:
            lead = len(actual) - len(dims) + 1
            if lead < 0 or self.setdefault("...", actual[:lead]) != actual[:lead]:
                return False
            dims, actual = dims[1:], actual[lead:]
        if dims[-1:] == ["..."]:
            dims, actual = dims[:-1], actual[: len(dims) - 1]
        return len(dims) == len(actual) and all(map(self._equal, dims, actual))

    def _equal(self, dim: str, size: int) -> bool:
        if dim.isidentifier():
            return self.setdefault(dim, size) == size
        names = {k: v for k, v in self.items() if k.isidentifier()}
        return eval(dim, {"__builtins__": {}}, names) == size

    def read_integers(self, values: dict[str, object]) -> None:
        self.update({k: v for k, v in values.items() if type(v) is int})


def check_shapes(thing: Callable, arguments: dict[str, object]) -> None:
    """Every documented shape holds in this call."""
    symbols, doc = Symbols(), sections(thing)
    symbols.read_integers(arguments)
    for name, text in entries(doc.get("Args", "")).items():
        for alternatives in shapes(text):
            assert name in arguments, f"the case does not pass {name}"
            symbols.match(name, alternatives, arguments[name])
    result = thing(**arguments)
    if dataclasses.is_dataclass(result):
        check_attributes(result, symbols)
        return
    results = result if isinstance(result, tuple) else (result,)
    documented = shapes(doc.get("Returns", ""))
    tensors = [part for part in results if isinstance(part, Tensor)]
    assert len(documented) == len(tensors), f"{len(tensors)} tensors, {documented}"
    for i, (alternatives, part) in enumerate(zip(documented, tensors, strict=True)):
        symbols.match(f"result {i}", alternatives, part)


def check_attributes(result: object, symbols: Symbols) -> None:
    """Every documented shape holds for the attributes of a dataclass."""
    values = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    symbols.read_integers(values)
    documented = entries(sections(type(result)).get("Args", ""))
    for name, value in values.items():
        found = shapes(documented[name])
        assert bool(found) == isinstance(value, Tensor), f"attribute {name}: {found}"
        for alternatives in found:
            symbols.match(f"attribute {name}", alternatives, value)


def public(package: str) -> Iterator[tuple[str, Callable]]:
    """Yield the public callables and the public methods of public classes."""
    module = importlib.import_module(package)
    root = importlib.import_module(package.partition(".")[0])
    for name in module.__all__:
        if module is not root and name in root.__all__:
            continue  # told there
        thing = getattr(module, name)
        if callable(thing):
            yield name, thing
        for key in public_methods(thing):
            yield f"{name}.{key}", getattr(thing, key)


def public_methods(thing: Callable) -> list[str]:
    """Name a class's own methods; what it overrides is told elsewhere."""
    if not inspect.isclass(thing):
        return []
    inherited = {"forward"}.union(*map(dir, thing.__mro__[1:]))
    return [
        key
        for key, member in vars(thing).items()
        if isinstance(member, (FunctionType, classmethod, staticmethod))
        and not key.startswith("_")
        and key not in inherited
    ]


def cases(package: str) -> dict[str, Callable[[], tuple[Callable, dict]]]:
    """Return the case table of a package; files are not importable by name here."""
    path = Path(__file__).parent.joinpath(*package.split("."), "cases.py")
    spec = importlib.util.spec_from_file_location(f"{package}_cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CALLS


OWN = {f"{p}.{name}": name for p in PACKAGES for name, _ in public(p)}
PUBLIC = {f"{p}.{name}": thing for p in PACKAGES for name, thing in public(p)}
CASES = {f"{p}.{name}": case for p in PACKAGES for name, case in cases(p).items()}


@pytest.mark.parametrize("name", PUBLIC)
def test_sections_are_complete(name: str) -> None:
    check_sections(PUBLIC[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_shapes_hold_on_a_real_call(name: str) -> None:
    assert name in CASES, f"cases.py of its package lacks {name}"
    torch.manual_seed(0)
    check_shapes(*CASES[name]())


@pytest.mark.parametrize("name", [name for name in PUBLIC if "." not in OWN[name]])
def test_source_and_example_are_given(name: str) -> None:
    thing = PUBLIC[name]
    if dataclasses.is_dataclass(thing) and not public_methods(thing):
        return  # a record: told where it is made
    doc = inspect.getdoc(thing)
    assert SOURCE.search(doc), "no source: authors and year"
    example = doc.partition(">>> ")[2]
    assert OWN[name] in example, "no doctest that uses it"


def test_no_case_is_left_over() -> None:
    assert set(CASES) <= set(PUBLIC)


# The checker itself


def product(A: Tensor, x: Tensor, count: int = 2) -> tuple[Tensor, Tensor]:
    """Multiply.

    Args:
        A: Matrix. Shape ``(m, n)``.
        x: Rows. Shape ``(..., n)``.
        count: Copies.

    Returns:
        Products, shape ``(..., m)``, and copies, shape ``(count, m * n)`` or ``()``.

    Raises:
        ValueError: If ``count`` is negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}")
    return x @ A.T, A.flatten().expand(count, -1)


ARGUMENTS = {"A": torch.ones(3, 4), "x": torch.ones(5, 6, 4), "count": 2}


def with_doc(old: str, new: str) -> Callable:
    """Return ``product`` with one thing in its docstring changed."""
    assert product.__doc__.count(old) == 1
    changed = type(product)(product.__code__, globals(), "product", (2,))
    changed.__annotations__ = product.__annotations__
    changed.__doc__ = product.__doc__.replace(old, new)
    return changed


def test_the_checker_accepts_what_is_true() -> None:
    check_sections(product)
    check_shapes(product, ARGUMENTS)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("``(m, n)``", "``(n, m)``", r"x is documented as \(..., n\)"),
        ("``(m, n)``", "``(m,)``", r"A is documented as \(m,\), is \(3, 4\)"),
        ("``(m, n)``", "``(m, 5)``", "A is documented"),
        ("``(..., m)``", "``(..., n)``", "result 0 is documented"),
        ("``(..., m)``", "``(batch, m)``", "result 0 is documented"),
        ("m * n", "m + n", "result 1 is documented"),
        ("``(count,", "``(m,", "result 1 is documented"),
        (", and copies, shape", ", and copies", "2 tensors"),
        ("``(..., n)``", "``(n, ...)``", "x is documented"),
    ],
)
def test_the_checker_finds_wrong_shapes(old: str, new: str, shown: str) -> None:
    with pytest.raises(AssertionError, match=shown):
        check_shapes(with_doc(old, new), ARGUMENTS)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("count: Copies.", "copies: Copies.", "Args are"),
        ("        count: Copies.\n", "", "Args are"),
        (" Shape ``(m, n)``", "", "the shape of A is not documented"),
        ("Returns:", "Gives:", "Returns"),
        (", shape ``(..., m)``", "", "shapes of the result"),
        ("ValueError: If", "TypeError: If", "Raises does not name {'ValueError'}"),
    ],
)
def test_the_checker_finds_incomplete_sections(old: str, new: str, shown: str) -> None:
    with pytest.raises(AssertionError, match=shown):
        check_sections(with_doc(old, new))
