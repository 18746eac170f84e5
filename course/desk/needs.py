"""Which cells of a chapter one exercise needs, read off the names in them.

From its tests upwards: a cell is needed if it binds a name that a needed cell below it
reads. The set-up cell always is.
"""

import ast
import symtable
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course.building.exercises import grade_id, is_graded

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ALWAYS = (ast.For, ast.With)


@dataclass
class Names:
    """What a piece of code does with names of the notebook.

    ``reads`` are looked up in it, ``binds`` set or changed, ``sure`` set whatever
    happens.
    """

    reads: set[str]
    binds: set[str]
    sure: set[str]


def needed(cells: list[NotebookNode], wanted: set[str]) -> list[NotebookNode]:
    """Choose the cells that judge some exercises.

    Args:
        cells: All cells of the chapter, in order.
        wanted: The ``grade_id`` of each exercise.

    Returns:
        Code cells, in order: the set-up, the answers and their tests, and what they
        need, other answers without their tests, for example.
    """
    code = [cell for cell in cells if cell.cell_type == "code"]
    modules = _modules(code)
    names: set[str] = set()
    chosen = []
    for cell in reversed(code):
        use = _names(cell.source, modules)
        own = _exercise_of(grade_id(cell)) in wanted
        is_setup = "setup" in cell.metadata.get("tags", [])
        # What other exercises' tests bind, nobody needs.
        if own or is_setup or (use.binds & names and not is_graded(cell)):
            names = (names - use.sure) | use.reads
            chosen.append(cell)
    return chosen[::-1]


def bound(cells: Iterable[NotebookNode]) -> set[str]:
    """Return the names that cells bind.

    Args:
        cells: The cells.

    Returns:
        The names.
    """
    code = [cell for cell in cells if cell.cell_type == "code"]
    return set().union(*(_names(cell.source, frozenset()).binds for cell in code))


def parse(source: str) -> ast.Module:
    """Parse a cell, magics included; one that cannot be parsed counts as empty.

    Args:
        source: Its text.

    Returns:
        The tree.
    """
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _exercise_of(name: str | None) -> str:
    """The answer that a cell belongs to: of ``ex11-3-visible`` it is ``ex11-3``."""
    return "-".join((name or "").split("-")[:2])


def _modules(code: Iterable[NotebookNode]) -> frozenset[str]:
    """Names of modules: to call one of their functions changes nothing of theirs."""
    found = set()
    for cell in code:
        for node in ast.walk(parse(cell.source)):
            if isinstance(node, ast.Import):
                found |= {a.asname or a.name.split(".")[0] for a in node.names}
    return frozenset(found)


@lru_cache(maxsize=256)
def _names(source: str, modules: frozenset[str]) -> Names:
    found = Names(set(), set(), set())
    _follow(parse(source).body, found, modules)
    return found


def _follow(statements: list[ast.stmt], found: Names, modules: frozenset[str]) -> None:
    """Take statements in order: what is set above is not looked up further up.

    Loops count as run at least once; of branches, none is sure.
    """
    for statement in statements:
        bodies = [
            body
            for name in ("body", "orelse", "finalbody")
            if isinstance(body := getattr(statement, name, None), list)
        ]
        bodies += [handler.body for handler in getattr(statement, "handlers", [])]
        if isinstance(statement, _DEFINITIONS) or not bodies:
            changed = _changed(statement) - modules
            _take(ast.unparse(statement), found, changed)
            continue
        for head in _heads(statement):
            _take(head, found, set())
        inner = found
        for body in bodies:
            if not isinstance(statement, _ALWAYS):
                inner = Names(found.reads, found.binds, set(found.sure))
            _follow(body, inner, modules)


def _take(source: str, found: Names, changed: set[str]) -> None:
    """Add what one simple statement does."""
    table = symtable.symtable(source, "cell", "exec")
    symbols = table.get_symbols()
    bound = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    read = {s.get_name() for s in symbols if s.is_referenced()} | _globals(table)
    found.reads |= (read | changed) - found.sure
    found.binds |= bound | changed
    found.sure |= bound


def _heads(statement: ast.stmt) -> list[str]:
    """What a compound statement does before its body, as statements of their own."""
    if isinstance(statement, ast.For | ast.AsyncFor):
        return [f"{ast.unparse(statement.target)} = {ast.unparse(statement.iter)}"]
    if isinstance(statement, ast.While | ast.If):
        return [ast.unparse(statement.test)]
    if isinstance(statement, ast.With | ast.AsyncWith):
        return [
            (f"{ast.unparse(item.optional_vars)} = " if item.optional_vars else "")
            + ast.unparse(item.context_expr)
            for item in statement.items
        ]
    return []


def _globals(table: symtable.SymbolTable) -> set[str]:
    """What functions, classes and comprehensions look up outside of themselves."""
    found = set()
    for child in table.get_children():
        symbols = child.get_symbols()
        found |= {
            s.get_name() for s in symbols if s.is_global() and s.is_referenced()
        } | _globals(child)
    return found


def _changed(statement: ast.stmt) -> set[str]:
    """Names of what a statement changes: ``a[0] = 1``, ``a.b = 1``, ``a.f()``."""
    parts = [
        node
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute | ast.Subscript)
        and isinstance(node.ctx, ast.Store)
    ]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        parts += [statement.value.func]
    found = set()
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        found.add(statement.target.id)
    for part in parts:
        is_part = isinstance(part, ast.Attribute | ast.Subscript)
        while isinstance(part, ast.Attribute | ast.Subscript):
            part = part.value
        if is_part and isinstance(part, ast.Name):
            found.add(part.id)
    return found
