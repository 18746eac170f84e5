"""Chapter 34: what students get wrong about weak forms, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed

EXACTNESS = """def exactness(nodes, weights):
    degree = 2 * len(nodes)
    values, _ = pinn.legendre(degree, nodes)
    miss = values @ weights
    miss[0] -= 2
    wrong = (miss.abs() > 1e-10).nonzero()
    return int(wrong[0]) - 1
"""

BUBBLES = """def bubbles(K, x):
    P, dP = pinn.legendre(K + 1, x)
    factor = 2 * torch.arange(1, K + 1)[:, None] + 1
    return P[2:] - P[:-2], factor * P[1:-1], factor * dP[1:-1]
"""

ELEMENT = """def on_element(a, b, K, xi):
    J = (b - a) / 2
    v, dv, ddv = tests(K, xi)
    return Element(a + J * (xi + 1), J, v, dv / J, ddv / J**2)
"""

WEAK = """def weak(u, s, a, b, K, rule, parts):
    e = on_element(a, b, K, rule.nodes)
    ends = on_element(a, b, K, torch.tensor([-1.0, 1.0]))
    w = e.J * rule.weights
    U, dU, ddU = u(e.x)
    end, slope, _ = u(ends.x)
    sign = torch.tensor([-1.0, 1.0])
    load = e.v @ (w * s(e.x))
    if parts == 0:
        return -e.v @ (w * ddU) - load
    flow = ends.v @ (sign * slope)
    if parts == 1:
        return e.dv @ (w * dU) - flow - load
    return -e.ddv @ (w * U) + ends.dv @ (sign * end) - flow - load
"""

POINTS = """def points_needed(K, p, kind):
    degree = p + K - 1
    lost = 1 if kind == "legendre" else 3
    return math.ceil((degree + lost) / 2)
"""

ASSEMBLE = """def assemble(edges, K, rule):
    J = (edges[1:] - edges[:-1]) / 2
    x = edges[:-1, None] + J[:, None] * (rule.nodes + 1)
    v, dv, _ = bubbles(K, rule.nodes)
    k = torch.arange(1, K + 1)
    scale = (J[:, None] / (2 * (2 * k + 1))).sqrt()[:, :, None]
    D = scale * (dv * rule.weights)
    V = scale * J[:, None, None] * (v * rule.weights)
    return x, D, V
"""

GALERKIN = """def galerkin(edges, K, rule, s, left, right):
    x, _, V = assemble(edges, K, rule)
    S, h = s(x), edges[1:] - edges[:-1]
    c = torch.einsum("ekq,eq->ek", V, S)
    hats = torch.stack([(1 - rule.nodes) / 2, (1 + rule.nodes) / 2]) * rule.weights
    falls, rises = h / 2 * (hats @ S.T)
    load = rises[:-1] + falls[1:]
    load[:1] += left / h[0]
    load[-1:] += right / h[-1]
    inner = torch.diag(1 / h[:-1] + 1 / h[1:])
    inner -= torch.diag(1 / h[1:-1], 1) + torch.diag(1 / h[1:-1], -1)
    U = torch.linalg.solve(inner, load)
    return torch.cat([torch.tensor([left]), U, torch.tensor([right])]), c
"""

REFINE = """def refine(edges, K, rule, s, share):
    x, _, V = assemble(edges, 2 * K, rule)
    beyond = torch.einsum("ekq,eq->ek", V[:, K:], s(x))
    squares = beyond.square().sum(1)
    order = squares.argsort(descending=True)
    before = squares[order].cumsum(0) - squares[order]
    marked = order[before < share * squares.sum()]
    middles = (edges[marked] + edges[marked + 1]) / 2
    return torch.cat([edges, middles]).sort().values, squares.sqrt()
"""

STEP = """def lm_step(r, J, lam):
    m, n = J.shape
    if m < n:
        return -J.T @ torch.linalg.solve(J @ J.T + lam * torch.eye(m), r)
    return -torch.linalg.solve(J.T @ J + lam * torch.eye(n), J.T @ r)
"""

CODE = {
    "ex34-1": EXACTNESS,
    "ex34-2": BUBBLES,
    "ex34-3": ELEMENT,
    "ex34-4": WEAK,
    "ex34-5": POINTS,
    "ex34-6": ASSEMBLE,
    "ex34-7": GALERKIN,
    "ex34-8": REFINE,
    "ex34-9": STEP,
}

WRONG = [
    ("ex34-1", "trusts powers of x", ("values, _ = pinn.legendre(degree, nodes)", "k = torch.arange(degree + 1.0)[:, None]\n    values = nodes**k"), ("miss[0] -= 2", "miss -= torch.where(k[:, 0] % 2 == 0, 2 / (k[:, 0] + 1), 0.0)"), ("int(wrong[0]) - 1", "int(wrong[0]) - 1 if len(wrong) else degree")),
    ("ex34-1", "takes the last degree that works", ("wrong = (miss.abs() > 1e-10).nonzero()\n    return int(wrong[0]) - 1", "right = (miss.abs() <= 1e-10).nonzero()\n    return int(right[-1]) if len(right) else -1")),
    ("ex34-1", "returns the first failure", ("int(wrong[0]) - 1", "int(wrong[0])")),
    ("ex34-1", "forgets the integral of a constant", ("    miss[0] -= 2\n", "    miss[0] = 0\n")),
    ("ex34-1", "counts the nodes instead of measuring", ("int(wrong[0]) - 1", "2 * len(nodes) - 1")),
    ("ex34-2", "differences of neighbours", ("P[2:] - P[:-2]", "P[2:] - P[1:-1]")),
    ("ex34-2", "the factor of the slope missing", ("factor * P[1:-1], factor", "P[1:-1], factor")),
    ("ex34-2", "factor 2k - 1, an index off", ("[:, None] + 1", "[:, None] - 1")),
    ("ex34-2", "wrong order of the difference", ("P[2:] - P[:-2]", "P[:-2] - P[2:]")),
    ("ex34-2", "slope given in place of the second derivative", ("factor * dP[1:-1]", "factor * P[1:-1]")),
    ("ex34-3", "slopes by xi, not by x", ("dv / J", "dv")),
    ("ex34-3", "second derivative with one factor only", ("ddv / J**2", "ddv / J")),
    ("ex34-3", "multiplies where it should divide", ("dv / J, ddv / J**2", "dv * J, ddv * J**2")),
    ("ex34-3", "the whole length for the Jacobian", ("(b - a) / 2", "b - a")),
    ("ex34-3", "reference points not shifted", ("(xi + 1)", "xi")),
    ("ex34-4", "boundary term of the second step dropped", (" + ends.dv @ (sign * end)", "")),
    ("ex34-4", "flow through the ends dropped", ("flow = ends.v @ (sign * slope)", "flow = 0")),
    ("ex34-4", "sign of the first integration by parts", ("return e.dv @ (w * dU) - flow", "return -e.dv @ (w * dU) + flow")),
    ("ex34-4", "weights without the Jacobian", ("w = e.J * rule.weights", "w = rule.weights")),
    ("ex34-4", "load added instead of subtracted", ("ddU) - load", "ddU) + load"), ("flow - load", "flow + load")),
    ("ex34-4", "brackets as sums without signs", ("torch.tensor([-1.0, 1.0])\n    load", "torch.tensor([1.0, 1.0])\n    load")),
    ("ex34-4", "computes the first form whatever is asked", ("if parts == 0:", "if True:")),
    ("ex34-5", "as many points as tests", ("return math.ceil((degree + lost) / 2)", "return K + (lost > 1)")),
    ("ex34-5", "the degree as number of points", ("math.ceil((degree + lost) / 2)", "degree")),
    ("ex34-5", "the degree of the bubble taken as K", ("p + K - 1", "p + K - 2")),
    ("ex34-5", "one to be on the safe side", ("/ 2)", "/ 2) + 1")),
    ("ex34-5", "Lobatto like Legendre", ("1 if kind == \"legendre\" else 3", "1")),
    ("ex34-5", "rounds down", ("math.ceil((degree + lost) / 2)", "(degree + lost) // 2")),
    ("ex34-6", "the Jacobian of the slope forgotten", ("D = scale *", "D = scale * J[:, None, None] *")),
    ("ex34-6", "the Jacobian of the integral forgotten", ("V = scale * J[:, None, None] *", "V = scale *")),
    ("ex34-6", "no weights", ("(dv * rule.weights)", "dv")),
    ("ex34-6", "scale without its square root", (".sqrt()", "")),
    ("ex34-6", "scale of the reference element", ("(J[:, None] / (2", "(0 * J[:, None] + 1 / (2")),
    ("ex34-6", "scale with 2k - 1", ("(2 * k + 1)", "(2 * k - 1)")),
    ("ex34-7", "known end values left out of the load", ("    load[:1] += left / h[0]\n    load[-1:] += right / h[-1]\n", "")),
    ("ex34-7", "an inner hat with one element only", ("rises[:-1] + falls[1:]", "rises[:-1]")),
    ("ex34-7", "hats of the wrong side", ("falls, rises =", "rises, falls =")),
    ("ex34-7", "sign of the neighbours", ("inner -= torch", "inner += torch")),
    ("ex34-7", "sign of the bubbles", ('c = torch.einsum("ekq', 'c = -torch.einsum("ekq')),
    ("ex34-7", "end values interpolated linearly, bubbles only", ("U = torch.linalg.solve(inner, load)", "U = left + (right - left) * (edges[1:-1] - edges[0]) / (edges[-1] - edges[0])")),
    ("ex34-8", "estimates with the tests already used", ("V[:, K:]", "V[:, :K]")),
    ("ex34-8", "marks by the estimate, not by its square", ("before = squares[order].cumsum(0) - squares[order]", "root = squares.sqrt()[order]\n    before = root.cumsum(0) - root"), ("share * squares.sum()", "share * squares.sqrt().sum()")),
    ("ex34-8", "stops one element short", ("squares[order].cumsum(0) - squares[order]", "squares[order].cumsum(0)")),
    ("ex34-8", "smallest first", ("descending=True", "descending=False")),
    ("ex34-8", "a share of the elements, not of the total", ("order[before < share * squares.sum()]", "order[: math.ceil(share * len(order))]")),
    ("ex34-8", "edges left unsorted", (".sort().values", "")),
    ("ex34-8", "squares returned as estimates", ("squares.sqrt()", "squares")),
    ("ex34-9", "uphill: the sign", ("return -J.T", "return J.T"), ("return -torch", "return torch")),
    ("ex34-9", "always the parameters' system", ("if m < n:", "if False:")),
    ("ex34-9", "always the residuals' system", ("if m < n:", "if True:")),
    ("ex34-9", "no damping", ("lam * torch.eye(m)", "1e-14 * torch.eye(m)"), ("lam * torch.eye(n)", "1e-14 * torch.eye(n)")),
    ("ex34-9", "gradient step", ("    m, n = J.shape\n", "    return -J.T @ r / (1 + lam)\n    m, n = J.shape\n")),
    ("ex34-9", "damping squared", ("lam * torch", "lam**2 * torch")),
    # ideas that the tests let pass once, and their neighbours
    ("ex34-1", "a tolerance of 1e-7", ("> 1e-10", "> 1e-7")),
    ("ex34-1", "asks for the last digit", ("> 1e-10", "> 1e-13")),
    ("ex34-1", "hands back a tensor, not a number", ("int(wrong[0]) - 1", "wrong[0, 0] - 1")),
    ("ex34-2", "differentiates by difference quotients", ("factor * dP[1:-1]", "factor * (pinn.legendre(K + 1, x + 1e-5)[0] - pinn.legendre(K + 1, x - 1e-5)[0])[1:-1] / 2e-5")),
    ("ex34-2", "bubbles of unit energy, which come later", ("P[2:] - P[:-2], factor * P[1:-1], factor * dP[1:-1]", "(P[2:] - P[:-2]) / (2 * factor).sqrt(), factor * P[1:-1] / (2 * factor).sqrt(), factor * dP[1:-1] / (2 * factor).sqrt()")),
    ("ex34-3", "scales the bubbles only", ("v, dv / J, ddv / J**2", "v, torch.cat([dv[:2], dv[2:] / J]), ddv / J**2")),
    ("ex34-3", "an element that starts at the middle", ("a + J * (xi + 1)", "(a + b) / 2 + J * (xi + 1)")),
    ("ex34-4", "the chapter's fine rule, whatever is given", ("    e = on_element", "    rule = fine\n    e = on_element")),
    ("ex34-4", "takes the outermost quadrature points for the ends", ("u(ends.x)", "u(e.x[[0, -1]])")),
    ("ex34-4", "forgets the hats' share of the flow", ("    flow = ends.v @ (sign * slope)\n", "    flow = ends.v @ (sign * slope)\n    flow[:2] = 0\n")),
    ("ex34-5", "degree of u times v, without any derivative", ("p + K - 1", "p + K + 1")),
    ("ex34-5", "a number with a decimal point", ("math.ceil((degree + lost) / 2)", "float(math.ceil((degree + lost) / 2))")),
    ("ex34-7", "the rule of its own, whatever is given", ("    x, _, V", "    rule = pinn.gauss_legendre(60)\n    x, _, V")),
    ("ex34-7", "the load of a hat at its vertex", ("load = rises[:-1] + falls[1:]", "load = s(edges[1:-1]) * (h[:-1] + h[1:]) / 2")),
    ("ex34-7", "an even mesh", ("h = s(x), edges[1:] - edges[:-1]", "h = s(x), (edges[-1] - edges[:1]).repeat(len(edges) - 1) / (len(edges) - 1)")),
    ("ex34-8", "the rule of its own, whatever is given", ("    x, _, V", "    rule = pinn.gauss_legendre(150)\n    x, _, V")),
    ("ex34-8", "a share of the whole energy, not of what is missed", ('beyond = torch.einsum("ekq,eq->ek", V[:, K:], s(x))', 'every = torch.einsum("ekq,eq->ek", V, s(x))\n    beyond = every[:, K:]'), ("share * squares.sum()", "share * every.square().sum()")),
    ("ex34-8", "at most half of the elements at once", ("    middles =", "    marked = marked[: max(1, len(squares) // 2)]\n    middles =")),
    ("ex34-9", "keeps the damping above a fixed number", ("    m, n", "    lam = max(lam, 1e-10)\n    m, n")),
    ("ex34-9", "drops the damping where it is small", ("    m, n", "    if lam < 1e-6:\n        return -torch.linalg.pinv(J) @ r\n    m, n")),
    ("ex34-9", "the gradient of the mean square, damped alike", ("lam * torch.eye(m)", "m * lam * torch.eye(m)"), ("lam * torch.eye(n)", "m * lam * torch.eye(n)")),
]  # fmt: skip

LOOP = """def assemble(edges, K, rule):
    k = torch.arange(1, K + 1)
    xs, Ds, Vs = [], [], []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        e = on_element(a, b, K, rule.nodes)
        scale = (e.J / (2 * (2 * k + 1))).sqrt()[:, None]
        xs.append(e.x)
        Ds.append(scale * e.dv[2:] * e.J * rule.weights)
        Vs.append(scale * e.v[2:] * e.J * rule.weights)
    return torch.stack(xs), torch.stack(Ds), torch.stack(Vs)
"""

MUTANTS = [Mutant(n, idea, changed(CODE[n], *pairs)) for n, idea, *pairs in WRONG]
MUTANTS += [Mutant("ex34-6", "a loop over the elements, right but slow", LOOP)]

ALTERNATIVES = [
    Alternative(
        "ex34-1",
        "a loop that stops at the first failure",
        """def exactness(nodes, weights):
    d = 0
    while True:
        values, _ = pinn.legendre(max(d, 1), nodes)
        if abs(float((values[d] * weights).sum()) - (2 if d == 0 else 0)) > 1e-10:
            return d - 1
        d += 1
""",
    ),
    Alternative(
        "ex34-1",
        "Chebyshev polynomials and their integrals",
        """def exactness(nodes, weights):
    angle = torch.arccos(nodes)
    for d in range(2 * len(nodes) + 1):
        true = 2 / (1 - d**2) if d % 2 == 0 else 0.0
        if abs((torch.cos(d * angle) @ weights).item() - true) > 1e-10:
            return d - 1
    return 2 * len(nodes)
""",
    ),
    Alternative("ex34-2", "by the library's Legendre polynomials", BUBBLES),
    Alternative(
        "ex34-2",
        "by the library's test functions",
        """def bubbles(K, x):
    t = pinn.lobatto(K, x)
    return t.values, t.first, t.second
""",
    ),
    Alternative(
        "ex34-2",
        "row by row, second derivative from Legendre's equation's recurrence",
        """def bubbles(K, x):
    P, dP = pinn.legendre(K + 2, x)
    rows = [
        (P[k + 1] - P[k - 1], (2 * k + 1) * P[k], (2 * k + 1) * dP[k])
        for k in range(1, K + 1)
    ]
    return tuple(torch.stack(r) for r in zip(*rows, strict=True))
""",
    ),
    Alternative(
        "ex34-3",
        "by the middle",
        """def on_element(a, b, K, xi):
    v, dv, ddv = tests(K, xi)
    h = b - a
    return Element((a + b) / 2 + h / 2 * xi, h / 2, v, dv * 2 / h, ddv * 4 / h**2)
""",
    ),
    Alternative(
        "ex34-3",
        "by interpolation between the ends",
        """def on_element(a, b, K, xi):
    J = (b - a) * 0.5
    found = tests(K, xi)
    scaled = [f / J**order for order, f in enumerate(found)]
    return Element(a * (1 - xi) / 2 + b * (1 + xi) / 2, J, *scaled)
""",
    ),
    Alternative(
        "ex34-4",
        "sums written out",
        """def weak(u, s, a, b, K, rule, parts):
    e = on_element(a, b, K, rule.nodes)
    ends = on_element(a, b, K, torch.tensor([-1.0, 1.0]))

    def integral(f):
        return (f * e.J * rule.weights).sum(1)

    def bracket(f):
        return f[:, 1] - f[:, 0]

    R = -integral(s(e.x) * e.v)
    if parts == 0:
        return R - integral(u(e.x)[2] * e.v)
    R = R - bracket(u(ends.x)[1] * ends.v)
    if parts == 1:
        return R + integral(u(e.x)[1] * e.dv)
    return R - integral(u(e.x)[0] * e.ddv) + bracket(u(ends.x)[0] * ends.dv)
""",
    ),
    Alternative(
        "ex34-4",
        "a dictionary of terms",
        """def weak(u, s, a, b, K, rule, parts):
    e = on_element(a, b, K, rule.nodes)
    lo, hi = on_element(a, b, K, torch.tensor([-1.0])), on_element(a, b, K, torch.tensor([1.0]))
    w = e.J * rule.weights
    both = torch.stack([lo.x[0], hi.x[0]])
    R = -e.v @ (w * s(e.x))
    jet, edge = u(e.x), u(both)
    if parts == 0:
        return R - e.v @ (w * jet[2])
    R = R - (hi.v[:, 0] * edge[1][1] - lo.v[:, 0] * edge[1][0])
    if parts == 1:
        return R + e.dv @ (w * jet[1])
    return R + (hi.dv[:, 0] * edge[0][1] - lo.dv[:, 0] * edge[0][0]) - e.ddv @ (w * jet[0])
""",
    ),
    Alternative(
        "ex34-5",
        "whole numbers only",
        """def points_needed(K, p, kind):
    n = (p + K + 1) // 2
    return n if kind == "legendre" else n + 1
""",
    ),
    Alternative(
        "ex34-5",
        "by trying",
        """def points_needed(K, p, kind):
    n = 1
    while 2 * n - (1 if kind == "legendre" else 3) < p + K - 1:
        n += 1
    return n
""",
    ),
    Alternative(
        "ex34-6",
        "each test over the root of its energy",
        """def assemble(edges, K, rule):
    a, b = edges[:-1].reshape(-1, 1, 1), edges[1:].reshape(-1, 1, 1)
    v, dv, _ = (f[2:] for f in tests(K, rule.nodes))
    k = torch.arange(1, K + 1)[:, None]
    energy = (2 * k + 1) * 4 / (b - a)
    w = (b - a) / 2 * rule.weights
    x = (a + (b - a) * (rule.nodes + 1) / 2)[:, 0]
    return x, dv * 2 / (b - a) * w / energy.sqrt(), v * w / energy.sqrt()
""",
    ),
    Alternative(
        "ex34-6",
        "by einsum",
        """def assemble(edges, K, rule):
    h = edges.diff()
    t = pinn.lobatto(K, rule.nodes)
    k = torch.arange(1.0, K + 1)
    x = (edges[:-1] + edges[1:])[:, None] / 2 + h[:, None] / 2 * rule.nodes
    scale = torch.einsum("e,k->ek", (h / 2).sqrt(), (4 * k + 2).rsqrt())
    D = torch.einsum("ek,kq,q->ekq", scale, t.first, rule.weights)
    V = torch.einsum("ek,e,kq,q->ekq", scale, h / 2, t.values, rule.weights)
    return x, D, V
""",
    ),
    Alternative(
        "ex34-7",
        "all vertices in one system, the ends as equations",
        """def galerkin(edges, K, rule, s, left, right):
    x, _, V = assemble(edges, K, rule)
    E = len(edges) - 1
    A, F = torch.zeros(E + 1, E + 1), torch.zeros(E + 1)
    for e in range(E):
        one = on_element(edges[e], edges[e + 1], 1, rule.nodes)
        w = one.J * rule.weights
        A[e : e + 2, e : e + 2] += (one.dv[:2] * w) @ one.dv[:2].T
        F[e : e + 2] += one.v[:2] @ (w * s(one.x))
    A[[0, -1]] = 0
    A[0, 0] = A[-1, -1] = 1
    F[0], F[-1] = left, right
    U = torch.linalg.solve(A, F)
    U[0], U[-1] = left, right
    return U, (V * s(x)[:, None]).sum(2)
""",
    ),
    Alternative(
        "ex34-7",
        "vertices by integrating twice",
        """def galerkin(edges, K, rule, s, left, right):
    x, _, V = assemble(edges, K, rule)
    J = edges.diff()[:, None] / 2
    w = J * rule.weights

    def response(y):
        a, b = edges[0], edges[-1]
        green = torch.minimum(x, y) - a
        green = green * (b - torch.maximum(x, y)) / (b - a)
        line = left + (right - left) * (y - a) / (b - a)
        return line + (w * green * s(x)).sum()

    inner = [response(y) for y in edges[1:-1]]
    U = torch.tensor([left, *[v.item() for v in inner], right])
    return U, torch.einsum("ekq,eq->ek", V, s(x))
""",
    ),
    Alternative(
        "ex34-8",
        "one element after the other",
        """def refine(edges, K, rule, s, share):
    x, _, V = assemble(edges, 2 * K, rule)
    eta = torch.einsum("ekq,eq->ek", V, s(x))[:, K:].norm(dim=1)
    held, new = 0.0, edges.tolist()
    for e in sorted(range(len(eta)), key=lambda e: -eta[e].item()):
        if held >= share * eta.square().sum().item():
            break
        held += eta[e].item() ** 2
        new.append((edges[e].item() + edges[e + 1].item()) / 2)
    return torch.tensor(sorted(new)), eta
""",
    ),
    Alternative(
        "ex34-8",
        "by the coefficients of the polynomial of twice the degree",
        """def refine(edges, K, rule, s, share):
    c = galerkin(edges, 2 * K, rule, s, 0.0, 0.0)[1]
    squares = c[:, K:].square().sum(1)
    values, order = squares.sort(descending=True)
    count = int((values.cumsum(0) < share * squares.sum()).sum()) + 1
    marks = torch.zeros(len(squares), dtype=torch.bool)
    marks[order[:count]] = True
    middles = ((edges[1:] + edges[:-1]) / 2)[marks]
    return torch.sort(torch.cat([middles, edges]))[0], squares.sqrt()
""",
    ),
    Alternative(
        "ex34-9",
        "by the augmented least squares problem",
        """def lm_step(r, J, lam):
    n = J.shape[1]
    rows = torch.cat([J, math.sqrt(lam) * torch.eye(n)])
    return -torch.linalg.lstsq(rows, torch.cat([r, torch.zeros(n)])[:, None]).solution[:, 0]
""",
    ),
    Alternative(
        "ex34-9",
        "by the singular values",
        """def lm_step(r, J, lam):
    U, S, Vh = torch.linalg.svd(J, full_matrices=False)
    return -Vh.T @ (S / (S**2 + lam) * (U.T @ r))
""",
    ),
    Alternative(
        "ex34-3",
        "each function by its own chain rule",
        """def on_element(a, b, K, xi):
    slope = 2 / (b - a)  # of xi as a function of x
    v, dv, ddv = tests(K, xi)
    return Element(b + (xi - 1) / slope, 1 / slope, v, slope * dv, slope * slope * ddv)
""",
    ),
    Alternative(
        "ex34-4",
        "from the form before, by what one integration moves",
        """def weak(u, s, a, b, K, rule, parts):
    e = on_element(a, b, K, rule.nodes)
    left, right = (on_element(a, b, K, torch.tensor([z])) for z in (-1.0, 1.0))
    f, g = [(-e.v, 2), (e.dv, 1), (-e.ddv, 0)][parts]
    R = (f * u(e.x)[g] - e.v * s(e.x)) @ rule.weights * e.J
    if parts > 0:
        R = R - right.v[:, 0] * u(right.x)[1] + left.v[:, 0] * u(left.x)[1]
    if parts > 1:
        R = R + right.dv[:, 0] * u(right.x)[0] - left.dv[:, 0] * u(left.x)[0]
    return R
""",
    ),
    Alternative(
        "ex34-7",
        "every element's matrix in one table",
        """def galerkin(edges, K, rule, s, left, right):
    x, _, V = assemble(edges, K, rule)
    h, E = edges.diff(), len(edges) - 1
    A, F, e = torch.zeros(E + 1, E + 1), torch.zeros(E + 1), torch.arange(E)
    up = (1 + rule.nodes) / 2
    for i, hat in ((0, 1 - up), (1, up)):
        F.index_add_(0, e + i, h / 2 * (s(x) @ (hat * rule.weights)))
        for j in (0, 1):
            A.index_put_((e + i, e + j), (1 if i == j else -1) / h, accumulate=True)
    U = torch.zeros(E + 1)
    U[0], U[-1] = left, right
    F = F - A @ U
    U[1:-1] = torch.linalg.solve(A[1:-1, 1:-1], F[1:-1])
    return U, (V @ s(x)[:, :, None])[:, :, 0]
""",
    ),
]
