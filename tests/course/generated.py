"""Mutants of the chapters' own answers, made by rule: one small slip in each.

They complete the misconceptions in ``mutants/``, which people wrote: operators,
constants, dropped lines, swapped arguments. Nothing is drawn by chance.
"""

import ast
import difflib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
TWINS = [("sum", "mean"), ("min", "max"), ("sin", "cos"), ("zeros_like", "ones_like")]
OTHER = {a: b for pair in TWINS for a, b in (pair, pair[::-1])}
LEFT_OUT = {"T", "mT", "abs", "clone", "detach", "sign", "sqrt", "square"}
SYMMETRIC = {"max", "min", "dot", "inner", "maximum", "minimum"}
STATEMENTS = (ast.Assign, ast.AugAssign, ast.Expr, ast.For, ast.If, ast.With)


@dataclass(frozen=True)
class Slip:
    """A mutant: what was changed, ``before -> after``, and the whole answer then."""

    change: str
    code: str


def slips(answer: str) -> list[Slip]:
    """Make every mutant of an answer cell, those of its solution regions only."""
    inside, solution = False, set()
    for number, text in enumerate(answer.splitlines(), 1):
        if "### BEGIN SOLUTION" in text or "### END SOLUTION" in text:
            inside = "BEGIN" in text
        elif inside:
            solution.add(number)
    tree = ast.parse(answer)
    whole, made = ast.unparse(tree), {}
    for index, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) not in solution:
            continue
        for new in _changes(node):
            copy = deepcopy(tree)
            _Replace(list(ast.walk(copy))[index], new).visit(copy)
            code = ast.unparse(ast.fix_missing_locations(copy))
            made.setdefault(code, Slip(_told(whole, code), code))
    made.pop(whole, None)
    return list(made.values())


class _Replace(ast.NodeTransformer):
    """Put one node in another's place."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _told(before: str, after: str) -> str:
    """The lines that differ, without their indents."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    gone, come = (
        "; ".join(line[2:].strip() for line in lines if line.startswith(sign))
        for sign in ("- ", "+ ")
    )
    return f"{gone} -> {come or 'pass'}"


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that may stand in place of ``node``."""
    if isinstance(node, STATEMENTS):
        yield ast.Pass()
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        yield _with(node, op=OPERATORS[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        yield _with(node, ops=[OPERATORS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
        yield from _numbers(node.value)
    if isinstance(node, ast.Attribute):
        yield from _attributes(node)
    if isinstance(node, ast.Call):
        yield from _calls(node)


def _numbers(value: object) -> Iterator[ast.AST]:
    if isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(2 * value or 1.0)


def _attributes(node: ast.Attribute) -> Iterator[ast.AST]:
    if node.attr in OTHER:
        yield _with(node, attr=OTHER[node.attr])
    if node.attr in {"T", "mT"}:
        yield node.value


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    starred = any(isinstance(a, ast.Starred) for a in node.args)
    if len(node.args) > 1 and not starred and name not in SYMMETRIC:
        yield _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    for one in node.keywords:
        if one.arg != "strict":  # a guard, no part of the answer
            yield _with(node, keywords=[k for k in node.keywords if k is not one])
    if isinstance(node.func, ast.Attribute) and node.func.attr in LEFT_OUT:
        yield node.args[0] if node.args else node.func.value


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of the node in which some fields differ."""
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})
