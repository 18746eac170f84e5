"""Wrong and other right answers to the exercises of chapter 17."""

from tests.course.mutants import Alternative, Mutant, slip


def _backsolve(moves: str) -> str:
    """An answer to 17.2 that moves the three otherwise."""
    return f"""
def backsolve(f, theta, t, x, v):
    g = torch.zeros_like(theta)
    for k in reversed(range(len(t) - 1)):
        h = t[k + 1] - t[k]
        x = x.detach().requires_grad_()
        slope = f(t[k + 1], x, theta)
        by_x, by_theta = torch.autograd.grad(slope, (x, theta), v)
        {moves}
    return x.detach(), v.detach(), g.detach()
"""


def _plan(body: str) -> str:
    """An answer to 17.5 whose inner function has this body."""
    return f"""
def plan(N, c):
    moves = [("keep", 0)]
    def reverse(start, stop, places):
{body}
    reverse(0, N, c)
    return moves
"""


def _newton(residual: str, matrix: str, back: str = "matrix.T") -> str:
    """An answer to 17.6 with another residual, matrix or way back."""
    return f"""
def implicit_step(f, t, h, x):
    y = x = x.detach()
    for _ in range(20):
        matrix = {matrix}
        move = torch.linalg.solve(matrix, {residual})
        y = y + move
    return y
def implicit_back(f, t, h, y, v):
    matrix = torch.eye(len(y)) - h * jacobian(f, t + h, y)
    return torch.linalg.solve({back}, v)
"""


RIGHT = (
    "x + h * f(t + h, y).detach() - y",
    "torch.eye(len(x)) - h * jacobian(f, t + h, y)",
)

MUTANTS = [
    slip(
        "ex17-2",
        "goes through theta.grad, and empties it",
        (
            "by_x, by_theta = torch.autograd.grad(slope, (x, theta), v)",
            "slope.backward(v)\n        by_x, by_theta = (x.grad, theta.grad)\n"
            "        theta.grad = None",
        ),
        ("x - h * slope", "x - h * slope.detach()"),
    ),
    slip(
        "ex17-3",
        "goes through theta.grad, and empties it",
        (
            "v, share = torch.autograd.grad(after, (x, theta), v)",
            "after.backward(v)\n        v, share = (x.grad, theta.grad)\n"
            "        theta.grad = None",
        ),
    ),
    slip(
        "ex17-3",
        "asks for gradients of gradients, so that all graphs stay",
        ("(x, theta), v)", "(x, theta), v, create_graph=True)"),
    ),
    slip(
        "ex17-3",
        "takes the states out of the caller's list",
        ("states[k].detach()", "states.pop().detach()"),
    ),
    slip(
        "ex17-7",
        "adds a little to the caller's matrix, in place",
        ("    size_g,", "    Sg.diagonal().add_(1e-14)\n    size_g,"),
    ),
    Mutant(
        "ex17-7",
        "forms the large matrix with einsum",
        """
def divide(G, Sg, Sz, eps):
    dense = torch.einsum("ij,kl->ikjl", Sg, Sz).reshape(G.numel(), G.numel())
    dense = dense + eps * torch.eye(G.numel())
    return torch.linalg.solve(dense, G.flatten()).view(G.shape)
""",
    ),
    slip(
        "ex17-1",
        "takes every stage at the state before the step",
        (
            "at = x + h * sum((w * k for w, k in zip(row, stages, strict=True)))",
            "at = x",
        ),
    ),
    slip("ex17-1", "looks at the time t only", ("t + h * sum(row)", "t")),
    slip(
        "ex17-1",
        "takes the last entry of a row for the time",
        ("sum(row)", "sum(row[-1:])"),
    ),
    slip(
        "ex17-1",
        "uses the newest stage only",
        (
            "sum((w * k for w, k in zip(row, stages, strict=True)))",
            "(row[-1] * stages[-1] if row else 0)",
        ),
    ),
    slip(
        "ex17-1",
        "weighs all stages alike",
        (
            "return x + h * sum((w * k for w, k in zip(b, stages, strict=True)))",
            "return x + h * sum(stages) / len(stages)",
        ),
    ),
    slip(
        "ex17-1",
        "forgets the step length inside the stages",
        ("at = x + h * sum", "at = x + sum"),
    ),
    slip(
        "ex17-1",
        "cuts the graph of the stages",
        (
            "stages.append(f(t + h * sum(row), at))",
            "stages.append(f(t + h * sum(row), at).detach())",
        ),
    ),
    slip(
        "ex17-1",
        "looks at the field again for every use of a stage",
        (
            "stages.append(f(t + h * sum(row), at))",
            "f(t, x)\n        stages.append(f(t + h * sum(row), at))",
        ),
    ),
    Mutant(
        "ex17-2",
        "multiplies by the new adjoint in the integral",
        _backsolve(
            "v = v + h * by_x; "
            "g = g + h * torch.autograd.grad(f(t[k + 1], x, theta), theta, v)[0]; "
            "x = x.detach() - h * slope.detach()"
        ),
    ),
    Mutant(
        "ex17-2",
        "goes forward with the state",
        _backsolve(
            "x, v, g = x.detach() + h * slope.detach(), v + h * by_x, g + h * by_theta"
        ),
    ),
    Mutant(
        "ex17-2",
        "shrinks the adjoint in place of growing it",
        _backsolve(
            "x, v, g = x.detach() - h * slope.detach(), v - h * by_x, g + h * by_theta"
        ),
    ),
    Mutant(
        "ex17-2",
        "subtracts the integral, whose limits run backwards",
        _backsolve(
            "x, v, g = x.detach() - h * slope.detach(), v + h * by_x, g - h * by_theta"
        ),
    ),
    Mutant(
        "ex17-2",
        "leaves the step out of the integral",
        _backsolve(
            "x, v, g = x.detach() - h * slope.detach(), v + h * by_x, g + by_theta"
        ),
    ),
    slip(
        "ex17-2",
        "looks at the earlier time",
        ("f(t[k + 1], x, theta)", "f(t[k], x, theta)"),
    ),
    slip(
        "ex17-2",
        "takes the first step length for all",
        ("h = t[k + 1] - t[k]", "h = t[1] - t[0]"),
    ),
    slip(
        "ex17-2",
        "marks the state it was given",
        ("x = x.detach().requires_grad_()", "x = x.requires_grad_()"),
    ),
    slip(
        "ex17-2",
        "goes through the times from the first to the last",
        ("reversed(range(len(t) - 1))", "range(len(t) - 1)"),
    ),
    slip("ex17-3", "keeps the last share only", ("g = g + share", "g = share")),
    slip(
        "ex17-3",
        "goes from the first step to the last",
        ("reversed(range(len(states)))", "range(len(states))"),
    ),
    slip(
        "ex17-3",
        "does not pass the adjoint on",
        ("v, share = torch", "_, share = torch"),
    ),
    slip(
        "ex17-3",
        "lets the graphs of the states through",
        (
            "x = states[k].detach().requires_grad_()",
            "x = states[k] if states[k].requires_grad else states[k].detach().requires_grad_()",
        ),
    ),
    slip(
        "ex17-3",
        "leaves the first step out",
        ("reversed(range(len(states)))", "reversed(range(1, len(states)))"),
    ),
    slip(
        "ex17-3",
        "marks the states it was given",
        ("states[k].detach().requires_grad_()", "states[k].requires_grad_()"),
    ),
    Mutant(
        "ex17-3",
        "weighs the shares by the adjoint of the last state",
        """
def discrete(step, theta, states, v):
    g, last = torch.zeros_like(theta), v
    for k in reversed(range(len(states))):
        x = states[k].detach().requires_grad_()
        after = step(k, x, theta)
        g = g + torch.autograd.grad(after, theta, last, retain_graph=True)[0]
        (v,) = torch.autograd.grad(after, x, v)
    return v, g.detach()
""",
    ),
    Mutant(
        "ex17-3",
        "does all steps again in one graph",
        """
def discrete(step, theta, states, v):
    first = states[0].detach().requires_grad_()
    x = first
    for k in range(len(states)):
        x = step(k, x, theta)
    return torch.autograd.grad(x, (first, theta), v)
""",
    ),
    slip(
        "ex17-4",
        "does the right part with all places",
        ("fewest(m - i, c - 1)", "fewest(m - i, c)"),
    ),
    slip(
        "ex17-4",
        "does the left part with a place less",
        ("fewest(i, c)", "fewest(i, c - 1)"),
    ),
    slip(
        "ex17-4", "forgets the steps to the middle", ("min((i + fewest", "min((fewest")
    ),
    slip(
        "ex17-4",
        "always keeps the middle",
        ("for i in range(1, m)", "for i in [m // 2]"),
    ),
    slip(
        "ex17-4",
        "counts one place as if nothing were done again",
        ("m * (m + 1) // 2", "2 * m - 1"),
    ),
    slip("ex17-4", "counts steps with a graph as free", ("return 1", "return 0")),
    slip(
        "ex17-4",
        "returns a float",
        ("m * (m + 1) // 2", "m * (m + 1) / 2"),
        ("return 1", "return 1.0"),
    ),
    Mutant(
        "ex17-5",
        "keeps nothing but the first state",
        _plan(
            """
        for k in reversed(range(start, stop)):
            moves.append(("return", start))
            if k > start:
                moves.append(("run", start, k))
            moves.append(("reverse", k))
"""
        ),
    ),
    slip(
        "ex17-5",
        "never gives a place up",
        ("        moves.append(('drop', middle))\n", ""),
    ),
    slip(
        "ex17-5",
        "splits in the middle",
        ("best_first(stop - start, places)", "(stop - start) // 2"),
    ),
    slip(
        "ex17-5",
        "does the left part with a place less",
        ("reverse(start, middle, places)", "reverse(start, middle, places - 1)"),
    ),
    slip(
        "ex17-5",
        "keeps every state",
        ("best_first(stop - start, places)", "1"),
    ),
    slip(
        "ex17-5",
        "forgets to return before it runs",
        (
            "[('return', start), ('run', start, middle), ('keep', middle)]",
            "[('run', start, middle), ('keep', middle)]",
        ),
    ),
    slip(
        "ex17-5",
        "forgets to keep the first state",
        ("moves = [('keep', 0)]", "moves = []"),
    ),
    Mutant(
        "ex17-6",
        "asks the field at the start of the step",
        _newton("x + h * f(t, y).detach() - y", RIGHT[1]),
    ),
    Mutant(
        "ex17-6",
        "makes one move of Newton's method",
        _newton(*RIGHT).replace("range(20)", "range(1)"),
    ),
    Mutant(
        "ex17-6", "forgets the transpose on the way back", _newton(*RIGHT, "matrix")
    ),
    Mutant(
        "ex17-6",
        "multiplies on the way back",
        _newton(*RIGHT).replace("torch.linalg.solve(matrix.T, v)", "matrix.T @ v"),
    ),
    Mutant(
        "ex17-6",
        "differentiates as if the step were explicit",
        _newton(*RIGHT).replace(
            "torch.linalg.solve(matrix.T, v)",
            "v + h * jacobian(f, t + h, y).T @ v",
        ),
    ),
    Mutant(
        "ex17-6",
        "takes the Jacobian at the start for the way back",
        _newton(*RIGHT).replace(
            "matrix = torch.eye(len(y)) - h * jacobian(f, t + h, y)\n    return",
            "matrix = torch.eye(len(y)) - h * jacobian(f, t, y)\n    return",
        ),
    ),
    Mutant(
        "ex17-6",
        "makes an explicit step",
        _newton(*RIGHT).replace("y = x = x.detach()", "return x + h * f(t, x)"),
    ),
    Mutant(
        "ex17-6",
        "puts the end in by Picard's iteration, which leaves a stiff equation",
        _newton(*RIGHT).replace(
            "torch.linalg.solve(matrix, x + h * f(t + h, y).detach() - y)",
            "x + h * f(t + h, y).detach() - y",
        ),
    ),
    slip(
        "ex17-7",
        "adds eps to the eigenvalues",
        (
            "torch.outer(size_g, size_z) + eps",
            "torch.outer(size_g + eps, size_z + eps)",
        ),
    ),
    slip(
        "ex17-7",
        "does not turn the result back",
        ("return U_g @ inside @ U_z.T", "return inside"),
    ),
    slip(
        "ex17-7",
        "transposes the wrong side",
        ("U_g.T @ G @ U_z", "U_g @ G @ U_z.T"),
        ("U_g @ inside @ U_z.T", "U_g.T @ inside @ U_z"),
    ),
    slip(
        "ex17-7",
        "adds the eigenvalues of both",
        ("torch.outer(size_g, size_z)", "(size_g[:, None] + size_z)"),
    ),
    slip(
        "ex17-7",
        "takes a root, as Adam does",
        (
            "torch.outer(size_g, size_z) + eps",
            "torch.outer(size_g, size_z).clamp(min=0).sqrt() + eps",
        ),
    ),
    slip(
        "ex17-7",
        "forgets eps",
        ("torch.outer(size_g, size_z) + eps", "torch.outer(size_g, size_z)"),
    ),
    Mutant(
        "ex17-7",
        "forms the large matrix",
        """
def divide(G, Sg, Sz, eps):
    Q = torch.kron(Sg, Sz) + eps * torch.eye(G.numel())
    return torch.linalg.solve(Q, G.flatten()).reshape(G.shape)
""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex17-2",
        "takes numbers for times, and vjp",
        """
def backsolve(f, theta, t, x, v):
    g, times = torch.zeros(theta.shape), t.tolist()
    for before, now in zip(times[-2::-1], times[:0:-1]):
        look = lambda x, theta: f(now, x, theta)
        slope, (by_x, by_theta) = torch.autograd.functional.vjp(look, (x, theta), v)
        h = now - before
        x, v, g = x - h * slope.detach(), v + h * by_x, g + h * by_theta
    return [x, v, g]
""",
    ),
    Alternative(
        "ex17-1",
        "adds the stages up with a loop",
        """
def rk_step(a, b, f, t, h, x):
    slopes = []
    for i in range(len(b)):
        y, time = x, t
        for j in range(i):
            y = y + h * a[i][j] * slopes[j]
            time = time + h * a[i][j]
        slopes.append(f(time, y))
    for weight, slope in zip(b, slopes):
        x = x + h * weight * slope
    return x
""",
    ),
    Alternative(
        "ex17-1",
        "stacks the stages and contracts",
        """
def rk_step(a, b, f, t, h, x):
    k = [f(t, x)]
    for row in list(a)[1:]:
        w = torch.as_tensor(row, dtype=x.dtype)
        k.append(f(t + h * w.sum().item(), x + h * torch.tensordot(w, torch.stack(k), dims=1)))
    return x + h * torch.tensordot(torch.as_tensor(b, dtype=x.dtype), torch.stack(k), dims=1)
""",
    ),
    Alternative(
        "ex17-2",
        "asks autograd twice",
        """
def backsolve(f, theta, t, x, v):
    g = torch.zeros(theta.shape)
    x = x.clone().detach()
    for late, early in zip(t[1:].flip(0), t[:-1].flip(0)):
        leaf = x.clone().requires_grad_()
        slope = f(late, leaf, theta)
        back = torch.autograd.grad(slope, leaf, v, retain_graph=True)[0]
        share = torch.autograd.grad(slope, theta, v)[0]
        x = x - (late - early) * slope.detach()
        g = g + (late - early) * share
        v = v + (late - early) * back
    return x, v, g
""",
    ),
    Alternative(
        "ex17-2",
        "takes the gradient of an inner product",
        """
def backsolve(f, theta, t, x, v):
    total = 0
    for k in range(len(t) - 2, -1, -1):
        h = (t[k + 1] - t[k]).item()
        x = x.detach().requires_grad_(True)
        slope = f(t[k + 1], x, theta)
        by_x, by_theta = torch.autograd.grad((slope * v).sum(), [x, theta])
        total = total + h * by_theta
        v = v + h * by_x
        x = (x - h * slope).detach()
    return x, v, total
""",
    ),
    Alternative(
        "ex17-3",
        "walks through the states with enumerate",
        """
def discrete(step, theta, states, v):
    shares = []
    for k, state in reversed(list(enumerate(states))):
        x = state.clone().detach().requires_grad_(True)
        after = step(k, x, theta)
        back = torch.autograd.grad([after], [x, theta], [v])
        v = back[0]
        shares.append(back[1])
    return v, sum(shares)
""",
    ),
    Alternative(
        "ex17-3",
        "calls itself",
        """
def discrete(step, theta, states, v):
    if not states:
        return v, torch.zeros_like(theta).detach()
    x = states[-1].detach().requires_grad_()
    back, share = torch.autograd.grad(step(len(states) - 1, x, theta), (x, theta), v)
    first, rest = discrete(step, theta, states[:-1], back)
    return first, rest + share
""",
    ),
    Alternative(
        "ex17-4",
        "fills a table",
        """
def fewest(m, c):
    table = [[n * (n + 1) // 2 for n in range(m + 1)]]
    for places in range(2, c + 1):
        row = [0, 1]
        for n in range(2, m + 1):
            row.append(min(i + table[-1][n - i] + row[i] for i in range(1, n)))
        table.append(row)
    return table[-1][m]
""",
    ),
    Alternative(
        "ex17-4",
        "knows the closed form",
        """
def fewest(m, c):
    r = 0
    while math.comb(c + r, c) < m:
        r += 1
    return m + (r * m - math.comb(c + r, r - 1) if r else 0)
""",
    ),
    Alternative(
        "ex17-5",
        "returns lists of moves and joins them",
        """
def plan(N, c):
    def moves(a, b, places):
        if b - a == 1:
            return [("return", a), ("reverse", a)]
        if places == 1:
            return [("return", a), ("run", a, b - 1), ("reverse", b - 1)] + moves(a, b - 1, 1)
        m = a + best_first(b - a, places)
        right, left = moves(m, b, places - 1), moves(a, m, places)
        return [("return", a), ("run", a, m), ("keep", m)] + right + [("drop", m)] + left
    return [("keep", 0)] + moves(0, N, c) + [("drop", 0)]
""",
    ),
    Alternative(
        "ex17-5",
        "translates the library's plan",
        """
def plan(N, c):
    names = {"Store": "keep", "Free": "drop", "Restore": "return", "Reverse": "reverse"}
    moves = []
    for action in revolve(N, c):
        if isinstance(action, Advance):
            moves.append(("run", action.start, action.stop))
        else:
            moves.append((names[type(action).__name__], action.step))
    return moves
""",
    ),
    Alternative(
        "ex17-6",
        "inverts the matrix, and makes a fixed number of moves",
        """
def implicit_step(f, t, h, x):
    y = x.clone().detach()
    for _ in range(30):
        inverse = torch.linalg.inv(torch.eye(y.numel()) - h * jacobian(f, t + h, y))
        with torch.no_grad():
            y = y - inverse @ (y - x - h * f(t + h, y))
    return y
def implicit_back(f, t, h, y, v):
    return torch.linalg.inv(torch.eye(y.numel()) - h * jacobian(f, t + h, y)).T @ v
""",
    ),
    Alternative(
        "ex17-6",
        "differentiates the residual as a whole",
        """
def implicit_step(f, t, h, x):
    off = lambda y: y - x.detach() - h * f(t + h, y)
    y = x.detach().clone()
    for _ in range(50):
        J = torch.autograd.functional.jacobian(off, y)
        move = -torch.linalg.solve(J, off(y).detach())
        y = y + move
        if move.norm() < 1e-13:
            break
    return y
def implicit_back(f, t, h, y, v):
    J = torch.autograd.functional.jacobian(lambda z: z - h * f(t + h, z), y)
    return torch.linalg.solve(J.mT, v[:, None])[:, 0]
""",
    ),
    Alternative(
        "ex17-7",
        "uses singular value decompositions",
        """
def divide(G, Sg, Sz, eps):
    U, s, _ = torch.linalg.svd(Sg)
    V, z, _ = torch.linalg.svd(Sz)
    return U @ ((U.T @ G @ V) / (s[:, None] * z[None, :] + eps)) @ V.T
""",
    ),
    Alternative(
        "ex17-7",
        "solves a small system for each eigenvector of the first matrix",
        """
def divide(G, Sg, Sz, eps):
    sizes, U = torch.linalg.eigh(Sg)
    rows = U.T @ G
    eye = torch.eye(len(Sz))
    solved = [torch.linalg.solve(s * Sz + eps * eye, row) for s, row in zip(sizes, rows)]
    return U @ torch.stack(solved)
""",
    ),
]
