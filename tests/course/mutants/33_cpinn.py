"""Chapter 33: what students get wrong in cPINN and XPINN, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed

LOCATE = """def locate(x, cuts):
    index = torch.zeros(len(x), dtype=torch.long)
    for axis, positions in enumerate(cuts):
        behind = x[:, axis, None] >= torch.tensor(positions)
        index = index * (len(positions) + 1) + behind.sum(dim=1)
    return index
"""

HALVES = """def two_halves(exact, cut, value):
    shift = value - exact(torch.tensor([[cut]])).item()

    def left(x):
        return exact(x) + shift * x / cut

    def right(x):
        return exact(x) + shift * (1 - x) / (1 - cut)

    return left, right


def kink(exact, cut, value):
    shift = value - exact(torch.tensor([[cut]])).item()
    return -shift / (cut * (1 - cut))
"""

JUMP = """def flux_jump(flux_left, left, flux_right, right, x, normal):
    def through(flux, u):
        with torch.enable_grad():
            at = x.detach().clone().requires_grad_()
            value = u(at)
            (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
            return (flux(at, value, slope[:, None, :]) * normal[:, None, :]).sum(dim=2)

    return through(flux_left, left) - through(flux_right, right)
"""

OUTFLOW = """def outflow(f, u, box):
    a, b, t0, t1 = box

    def side(x):
        t, w = gauss(t0, t1)
        at = torch.stack([torch.full_like(t, x), t], dim=1)
        jet = pinn.jet_of(u, at, pinn.Wanted.all(2))
        flow = f(jet.u, jet.p[:, :, 0], jet.H[:, :, 0, 0])
        return (w @ flow.detach()).item()

    def content(t):
        x, w = gauss(a, b)
        at = torch.stack([x, torch.full_like(x, t)], dim=1)
        return (w @ u(at).detach()).item()

    return side(b) - side(a) + content(t1) - content(t0)


def conserving(fluxes, u, boxes):
    worst = {
        name: max(abs(outflow(f, u, box)) for box in boxes)
        for name, f in fluxes.items()
    }
    return min(worst, key=worst.get)
"""

BALANCES = """def balances(laws, pieces, edges):
    D, into, out = [], [], []
    for law, u, a, b in zip(laws, pieces, edges[:-1], edges[1:], strict=True):
        ends = torch.tensor([[a], [b]])
        jet = pinn.jet_of(u, ends, pinn.Wanted((0,)))
        F = law.flux(ends, jet.u, jet.p).detach().flatten()
        x, w = gauss(a, b)
        made = w @ law.source(x[:, None], u(x[:, None])).detach()
        D.append(F[1] - F[0] - made[0])
        into.append(F[0])
        out.append(F[1])
    jumps = [o - i for o, i in zip(out[:-1], into[1:], strict=True)]
    return torch.stack(D), torch.tensor(jumps)
"""

TERMS = """def cpinn_terms(laws, pieces, points, faces, couple):
    terms = {"residual": [], "coupling": [], "average": []}
    for law, u, x in zip(laws, pieces, points, strict=True):
        jet = pinn.jet_of(u, x, law.wanted)
        terms["residual"].append(law.strong_residual(x, jet))
    for q, p, x, normal in faces:
        left, right = pieces[q], pieces[p]
        terms["coupling"].append(couple(laws[q], left, laws[p], right, x, normal))
        average = (left(x) + right(x)) / 2
        terms["average"] += [left(x) - average, right(x) - average]
    return terms
"""

BATCHED = """def batched(layers, lower, upper, x, index):
    Q, d = lower.shape
    counts = index.bincount(minlength=Q)
    width = int(counts.max())
    order = index.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(index)
    place[order] = torch.arange(len(x)) - starts[index[order]]
    slot = index * width + place
    low, high = lower[index], upper[index]
    scaled = 2 * (x - low) / (high - low) - 1
    h = scaled.new_zeros(Q * width, d).index_copy(0, slot, scaled).view(Q, width, d)
    for W, b in layers[:-1]:
        h = (h @ W + b).tanh()
    h = h @ layers[-1][0] + layers[-1][1]
    return h.reshape(Q * width, 1)[slot]
"""

SOURCES = {
    "ex33-1": LOCATE,
    "ex33-2": HALVES,
    "ex33-3": JUMP,
    "ex33-4": OUTFLOW,
    "ex33-5": BALANCES,
    "ex33-6": TERMS,
    "ex33-7": BATCHED,
}


def slip(number: int, idea: str, *swaps: tuple[str, str]) -> Mutant:
    """The right answer to an exercise with passages replaced."""
    grade_id = f"ex33-{number}"
    return Mutant(grade_id, idea, changed(SOURCES[grade_id], *swaps))


MUTANTS = [
    slip(1, "a point on a cut goes to the part before it", (">=", ">")),
    slip(
        1,
        "an axis with c cuts has c parts",
        ("(len(positions) + 1)", "max(len(positions), 1)"),
    ),
    slip(
        1,
        "the first axis runs fastest",
        ("enumerate(cuts)", "reversed(list(enumerate(cuts)))"),
    ),
    slip(
        1,
        "all axes have as many cuts as the first",
        ("(len(positions) + 1)", "(len(cuts[0]) + 1)"),
    ),
    slip(1, "only the first axis is cut", ("enumerate(cuts)", "enumerate(cuts[:1])")),
    slip(
        2,
        "the line that is added does not vanish at the right end",
        ("shift * (1 - x) / (1 - cut)", "shift * x / cut"),
    ),
    slip(2, "a constant is added, which spoils the ends", ("shift * x / cut", "shift")),
    slip(
        2,
        "a parabola is added instead of a line",
        ("shift * x / cut", "shift * x**2 / cut**2"),
    ),
    slip(2, "the kink is left minus right", ("return -shift", "return shift")),
    slip(
        2,
        "only the left slope counts in the kink",
        ("-shift / (cut * (1 - cut))", "-shift / cut"),
    ),
    slip(
        2,
        "the value is taken for the shift",
        ("value - exact(torch.tensor([[cut]])).item()", "value"),
    ),
    slip(3, "cuts the slope off the graph", ("create_graph=True", "retain_graph=True")),
    slip(
        3,
        "takes the left flux for both sides",
        ("through(flux_right, right)", "through(flux_left, right)"),
    ),
    slip(
        3,
        "adds the fluxes, as if both normals pointed outwards",
        (") - through", ") + through"),
    ),
    slip(
        3,
        "forgets the normal and adds up the axes",
        (" * normal[:, None, :]", ""),
    ),
    slip(
        3,
        "takes only the flux along the first axis",
        (".sum(dim=2)", "[:, :, 0]"),
    ),
    slip(
        3,
        "lets the right side be a target without gradient",
        ("through(flux_right, right)", "through(flux_right, right).detach()"),
    ),
    slip(
        3,
        "differentiates by the caller's own x",
        ("x.detach().clone().requires_grad_()", "x.requires_grad_()"),
    ),
    slip(
        3,
        "fails when gradients are switched off",
        ("with torch.enable_grad():", "if True:"),
    ),
    slip(4, "forgets what is left in the box", (" + content(t1) - content(t0)", "")),
    slip(
        4,
        "adds what flows in instead of subtracting it",
        ("side(b) - side(a)", "side(b) + side(a)"),
    ),
    slip(
        4,
        "first time minus last",
        ("content(t1) - content(t0)", "content(t0) - content(t1)"),
    ),
    slip(
        4, "takes the derivative along t for u_x", ("jet.p[:, :, 0]", "jet.p[:, :, 1]")
    ),
    slip(
        4,
        "takes the mixed derivative for u_xx",
        ("jet.H[:, :, 0, 0]", "jet.H[:, :, 0, 1]"),
    ),
    slip(4, "judges a flux by its best box", ("max(abs", "min(abs")),
    slip(4, "takes the most negative outflow for the smallest", ("max(abs(", "max((")),
    slip(
        4,
        "lets boxes cancel each other",
        (
            "max(abs(outflow(f, u, box)) for box in boxes)",
            "abs(sum(outflow(f, u, box) for box in boxes))",
        ),
    ),
    slip(
        4, "looks at the first box only", ("for box in boxes", "for box in boxes[:1]")
    ),
    slip(
        5,
        "forgets the source",
        ("F[1] - F[0] - made[0]", "F[1] - F[0]"),
    ),
    slip(5, "adds the source", ("- made[0]", "+ made[0]")),
    slip(5, "in minus out", ("F[1] - F[0] - made", "F[0] - F[1] - made")),
    slip(5, "the jump is right minus left", ("o - i for", "i - o for")),
    slip(
        5,
        "all subdomains have the law of the first",
        ("law.flux(", "laws[0].flux("),
    ),
    slip(
        5,
        "averages the source instead of integrating it",
        ("made = w @", "made = w / (b - a) @"),
    ),
    slip(
        5,
        "hands back numbers that drag a graph along",
        (".detach().flatten()", ".flatten()"),
    ),
    slip(
        5,
        "compares the two ends of one subdomain",
        (
            "zip(out[:-1], into[1:], strict=True)",
            "zip(out[:-1], into[:-1], strict=True)",
        ),
    ),
    slip(
        6,
        "the average term compares a network with itself",
        ("(left(x) + right(x)) / 2", "left(x)"),
    ),
    slip(
        6,
        "forgets to halve the sum",
        ("(left(x) + right(x)) / 2", "(left(x) + right(x))"),
    ),
    slip(
        6,
        "right deviation with the sign of the left",
        ("right(x) - average]", "average - right(x)]"),
    ),
    slip(
        6,
        "couples neighbours in the list, whatever the face says",
        (
            "left, right = pieces[q], pieces[p]",
            "p = min(q + 1, len(pieces) - 1)\n        left, right = pieces[q], pieces[p]",
        ),
    ),
    slip(
        6,
        "takes the left law on both sides",
        ("laws[p], right", "laws[q], right"),
    ),
    slip(
        6,
        "always couples by the flux",
        ("couple(laws", "conservative(laws"),
    ),
    slip(
        6,
        "one average term per face only",
        ("[left(x) - average, right(x) - average]", "[left(x) - average]"),
    ),
    slip(
        6,
        "forgets the source in the residual",
        ("law.strong_residual(x, jet)", "pinn.divergence(law.flux, x, jet)"),
    ),
    slip(
        6,
        "the first network is evaluated everywhere",
        ("pinn.jet_of(u, x,", "pinn.jet_of(pieces[0], x,"),
    ),
    slip(
        6,
        "the average is a constant to the right network, and it learns nothing",
        ("right(x) - average]", "right(x).detach() - average.detach()]"),
        ("[left(x) - average,", "[left(x) - (left(x) + right(x).detach()) / 2,"),
    ),
    slip(7, "leaves the points in sorted order", ("[slot]\n", "[slot[order]]\n")),
    slip(
        7,
        "scales by the box of the whole domain",
        (
            "low, high = lower[index], upper[index]",
            "low, high = lower.min(dim=0).values, upper.max(dim=0).values",
        ),
    ),
    slip(
        7,
        "forgets the scaling",
        ("scaled = 2 * (x - low) / (high - low) - 1", "scaled = x"),
    ),
    slip(
        7,
        "a tanh behind the last layer",
        (
            "layers[-1][0] + layers[-1][1]",
            "layers[-1][0] + layers[-1][1]\n    h = h.tanh()",
        ),
    ),
    slip(
        7,
        "scales to [0, 1]",
        ("2 * (x - low) / (high - low) - 1", "(x - low) / (high - low)"),
    ),
    slip(
        7,
        "believes that all subdomains have equally many points",
        ("width = int(counts.max())", "width = -(-len(x) // Q)"),
        (
            "slot = index * width + place",
            "slot = (index * width + place).clamp(max=Q * width - 1)",
        ),
    ),
    Mutant(
        "ex33-7",
        "loops over the subdomains",
        "def batched(layers, lower, upper, x, index):\n    out = x.new_zeros(len(x), 1)\n    for q in range(len(lower)):\n        rows = (index == q).nonzero()[:, 0]\n        h = 2 * (x[rows] - lower[q]) / (upper[q] - lower[q]) - 1\n        for W, b in layers[:-1]:\n            h = (h @ W[q] + b[q]).tanh()\n        out = out.index_copy(0, rows, h @ layers[-1][0][q] + layers[-1][1][q])\n    return out\n",
    ),
    slip(
        7,
        "detaches the points while sorting them",
        ("index_copy(0, slot, scaled)", "index_copy(0, slot, scaled.detach())"),
    ),
    slip(
        7,
        "the first network for everybody",
        ("(h @ W + b)", "(h @ W[:1] + b[:1])"),
    ),
    # ideas that the tests let pass once, and their neighbours
    slip(
        1,
        "a tolerance: points close before a cut count as on it",
        ("torch.tensor(positions)", "torch.tensor(positions) - 1e-9"),
    ),
    slip(
        1,
        "compares in single precision",
        (
            "x[:, axis, None] >= torch.tensor(positions)",
            "x[:, axis, None].float() >= torch.tensor(positions).float()",
        ),
    ),
    slip(
        2,
        "the chapter's own cut, whatever is asked for",
        ("shift * x / cut", "shift * x / CUT"),
        ("(1 - x) / (1 - cut)", "(1 - x) / (1 - CUT)"),
    ),
    slip(
        2,
        "the kink by difference quotients",
        (
            "    return -shift / (cut * (1 - cut))",
            "    left, right = two_halves(exact, cut, value)\n"
            "    at, h = torch.tensor([[cut]]), 1e-6\n"
            "    ahead = (right(at + h) - right(at)) / h\n"
            "    return (ahead - (left(at) - left(at - h)) / h).item()",
        ),
    ),
    slip(
        2,
        "the value at the cut is held as a part of a graph that x has cut",
        ("exact(x) + shift * x / cut", "exact(x.detach()) + shift * x / cut"),
    ),
    slip(
        3,
        "half of the right side is a target without gradient",
        (
            "- through(flux_right, right)",
            "- (through(flux_right, right) + through(flux_right, right).detach()) / 2",
        ),
    ),
    slip(
        3,
        "the right side's slope is a constant to its network",
        (
            "    return through(flux_left, left) - through(flux_right, right)",
            "    def still(x, u, p):\n        return flux_right(x, u, p.detach())\n\n"
            "    return through(flux_left, left) - through(still, right)",
        ),
    ),
    slip(
        4,
        "Simpson's rule, which is exact for cubics only",
        (
            "    a, b, t0, t1 = box\n",
            "    a, b, t0, t1 = box\n\n"
            "    def gauss(a, b):\n"
            "        x = torch.tensor([a, (a + b) / 2, b])\n"
            "        return x, (b - a) / 6 * torch.tensor([1.0, 4.0, 1.0])\n",
        ),
    ),
    slip(
        4,
        "outflow per area of the box",
        (
            "max(abs(outflow(f, u, box)) for box in boxes)",
            "max(\n            abs(outflow(f, u, (a, b, s, t))) / ((b - a) * (t - s))\n"
            "            for a, b, s, t in boxes\n        )",
        ),
    ),
    slip(
        5,
        "jumps that drag a graph along",
        (
            "F = law.flux(ends, jet.u, jet.p).detach().flatten()",
            "F = law.flux(ends, jet.u, jet.p).flatten()",
        ),
        (
            "torch.stack(D), torch.tensor(jumps)",
            "torch.stack(D).detach(), torch.stack(jumps) if jumps else torch.zeros(0)",
        ),
    ),
    slip(
        5,
        "every source reads the first network",
        (
            "law.source(x[:, None], u(x[:, None]))",
            "law.source(x[:, None], pieces[0](x[:, None]))",
        ),
    ),
    slip(
        5,
        "the source by the trapezoidal rule",
        (
            "x, w = gauss(a, b)",
            "x = torch.linspace(a, b, 2001)\n"
            "        w = torch.full((2001,), (b - a) / 2000)\n"
            "        w[[0, -1]] /= 2",
        ),
    ),
    slip(
        6,
        "half of every residual is a constant",
        (
            'terms["residual"].append(law.strong_residual(x, jet))',
            'r = law.strong_residual(x, jet)\n        terms["residual"].append((r + r.detach()) / 2)',
        ),
    ),
    slip(
        6,
        "the flux of the right network is a target",
        (
            "couple(laws[q], left, laws[p], right, x, normal))",
            "couple(laws[q], left, laws[p], right, x, normal) / 2\n"
            "            + couple(laws[q], left, laws[p], right, x, normal).detach() / 2)",
        ),
    ),
    slip(7, "the biases learn nothing", ("h @ W + b)", "h @ W + b.detach())")),
    slip(
        7,
        "half of the last layer is a constant",
        ("h @ layers[-1][0] +", "h @ (layers[-1][0] + layers[-1][0].detach()) / 2 +"),
    ),
    slip(
        7,
        "boxes of the previous subdomain's size",
        ("/ (high - low)", "/ (upper - lower).roll(1, 0)[index]"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex33-1",
        "by bucketize and the array's shape",
        """def locate(x, cuts):
    shape = [len(c) + 1 for c in cuts]
    index = torch.zeros(len(x), dtype=torch.int64)
    stride = 1
    for axis in reversed(range(len(cuts))):
        edges = torch.tensor(cuts[axis], dtype=x.dtype)
        index += stride * torch.bucketize(x[:, axis].contiguous(), edges, right=True)
        stride *= shape[axis]
    return index
""",
    ),
    Alternative(
        "ex33-1",
        "point by point in plain Python",
        """def locate(x, cuts):
    found = []
    for point in x.tolist():
        q = 0
        for value, positions in zip(point, cuts):
            q = q * (len(positions) + 1) + sum(value >= c for c in positions)
        found.append(q)
    return torch.tensor(found)
""",
    ),
    Alternative(
        "ex33-2",
        "one function with two slopes",
        """def two_halves(exact, cut, value):
    at = torch.full((1, 1), cut)
    delta = (value - exact(at)).item()
    return (
        lambda x: exact(x) + delta / cut * x,
        lambda x: exact(x) - delta / (1 - cut) * (x - 1),
    )


def kink(exact, cut, value):
    at = torch.full((1, 1), cut)
    delta = (value - exact(at)).item()
    return -delta / (1 - cut) - delta / cut
""",
    ),
    Alternative(
        "ex33-2",
        "the kink measured on the halves",
        """def two_halves(exact, cut, value):
    delta = value - exact(torch.tensor([[cut]]))
    return (
        lambda x: exact(x) + delta * x / cut,
        lambda x: exact(x) + delta * (x - 1) / (cut - 1),
    )


def kink(exact, cut, value):
    at = torch.tensor([[cut]])
    p = [pinn.jet_of(u, at, pinn.Wanted((0,))).p for u in two_halves(exact, cut, value)]
    return (p[1] - p[0]).item()
""",
    ),
    Alternative(
        "ex33-3",
        "with the library's jets",
        """def flux_jump(flux_left, left, flux_right, right, x, normal):
    total = 0
    with torch.enable_grad():
        for sign, flux, u in ((1, flux_left, left), (-1, flux_right, right)):
            jet = pinn.jet_of(u, x, pinn.Wanted.all(x.shape[1], 1))
            total = total + sign * flux(x, jet.u, jet.p)
        return torch.einsum("ncd,nd->nc", total, normal)
""",
    ),
    Alternative(
        "ex33-3",
        "by a decorator and a gradient of ones",
        """@torch.enable_grad()
def flux_jump(flux_left, left, flux_right, right, x, normal):
    y = x.detach().clone()
    y.requires_grad = True
    u, v = left(y), right(y)
    (p,) = torch.autograd.grad(u, y, torch.ones_like(u), create_graph=True)
    (q,) = torch.autograd.grad(v, y, torch.ones_like(v), create_graph=True)
    F = flux_left(y, u, p.unsqueeze(1)) - flux_right(y, v, q.unsqueeze(1))
    return (F @ normal.unsqueeze(2)).squeeze(2)
""",
    ),
    Alternative(
        "ex33-4",
        "four sides in one loop, autograd by hand",
        """def outflow(f, u, box):
    a, b, t0, t1 = box
    total = 0.0
    for sign, x in ((1, b), (-1, a)):
        t, w = gauss(t0, t1, 60)
        with torch.enable_grad():
            at = torch.stack([0 * t + x, t], dim=1).requires_grad_()
            v = u(at)
            g = torch.autograd.grad(v.sum(), at, create_graph=True)[0]
            p = g[:, :1]
            q = torch.zeros_like(p)
            if p.requires_grad:
                q = torch.autograd.grad(p.sum(), at, allow_unused=True)[0]
                q = torch.zeros_like(p) if q is None else q[:, :1]
        total += sign * float((w * f(v, p, q)[:, 0]).sum())
    for sign, t in ((1, t1), (-1, t0)):
        x, w = gauss(a, b, 60)
        total += sign * float((w * u(torch.stack([x, 0 * x + t], dim=1))[:, 0]).sum())
    return total


def conserving(fluxes, u, boxes):
    best, name = math.inf, None
    for key, f in fluxes.items():
        worst = 0.0
        for box in boxes:
            worst = max(worst, abs(outflow(f, u, box)))
        if worst < best:
            best, name = worst, key
    return name
""",
    ),
    Alternative(
        "ex33-4",
        "sorted by squares of the outflow",
        OUTFLOW.replace("gauss(t0, t1)", "gauss(t0, t1, 64)").replace(
            "max(abs(outflow(f, u, box)) for box in boxes)",
            "max(outflow(f, u, box) ** 2 for box in boxes)",
        ),
    ),
    Alternative(
        "ex33-5",
        "a flux function per subdomain",
        """def balances(laws, pieces, edges):
    def flux(q, x):
        at = torch.full((1, 1), x)
        jet = pinn.jet_of(pieces[q], at, pinn.Wanted.all(1, 1))
        return laws[q].flux(at, jet.u, jet.p).item()

    def made(q):
        x, w = gauss(edges[q], edges[q + 1], 30)
        with torch.no_grad():
            s = laws[q].source(x[:, None], pieces[q](x[:, None]))
        return (w * s[:, 0]).sum().item()

    Q = len(pieces)
    D = [flux(q, edges[q + 1]) - flux(q, edges[q]) - made(q) for q in range(Q)]
    jumps = [flux(q, edges[q + 1]) - flux(q + 1, edges[q + 1]) for q in range(Q - 1)]
    return torch.tensor(D), torch.tensor(jumps)
""",
    ),
    Alternative(
        "ex33-5",
        "defects as integrals of the residual",
        """def balances(laws, pieces, edges):
    D, F = [], []
    for q, (law, u) in enumerate(zip(laws, pieces)):
        x, w = gauss(edges[q], edges[q + 1])
        x = x[:, None]
        r = law.strong_residual(x, pinn.jet_of(u, x, law.wanted))
        D.append((w @ r.detach())[0])
        ends = torch.tensor(edges[q : q + 2])[:, None]
        jet = pinn.jet_of(u, ends, pinn.Wanted((0,)))
        F.append(law.flux(ends, jet.u, jet.p).detach()[:, 0, 0])
    F = torch.stack(F)
    return torch.stack(D), F[:-1, 1] - F[1:, 0]
""",
    ),
    Alternative(
        "ex33-6",
        "deviations as half the jump",
        """def cpinn_terms(laws, pieces, points, faces, couple):
    def residual(q):
        x = points[q]
        return laws[q].strong_residual(x, pinn.jet_of(pieces[q], x, laws[q].wanted))

    coupling, average = [], []
    for q, p, x, n in faces:
        coupling.append(couple(laws[q], pieces[q], laws[p], pieces[p], x, n))
        half = (pieces[q](x) - pieces[p](x)) / 2
        average.extend([half, -half])
    return {
        "residual": [residual(q) for q in range(len(pieces))],
        "coupling": coupling,
        "average": average,
    }
""",
    ),
    Alternative(
        "ex33-6",
        "the divergence and the source by hand",
        """def cpinn_terms(laws, pieces, points, faces, couple):
    terms = dict(residual=[], coupling=[], average=[])
    for q, x in enumerate(points):
        jet = pinn.jet_of(pieces[q], x, pinn.Wanted.all(x.shape[1]))
        r = pinn.divergence(laws[q].flux, x, jet)
        if laws[q].source is not None:
            r = r - laws[q].source(x, jet.u)
        terms["residual"].append(r)
    for face in faces:
        q, p, x, normal = face
        value = couple(laws[q], pieces[q], laws[p], pieces[p], x, normal)
        terms["coupling"].append(value)
        both = torch.stack([pieces[q](x), pieces[p](x)])
        terms["average"].extend(both - both.mean(dim=0))
    return terms
""",
    ),
    Alternative(
        "ex33-7",
        "looks up a matrix per point",
        """def batched(layers, lower, upper, x, index):
    low, high = lower[index], upper[index]
    h = (2 * x - low - high) / (high - low)
    for k, (W, b) in enumerate(layers):
        h = torch.einsum("ni,nio->no", h, W[index]) + b[index, 0]
        if k < len(layers) - 1:
            h = torch.tanh(h)
    return h
""",
    ),
    Alternative(
        "ex33-7",
        "a table of row numbers and baddbmm",
        """def batched(layers, lower, upper, x, index):
    Q, N = len(lower), len(x)
    ones = torch.nn.functional.one_hot(index, Q)
    place = (ones.cumsum(0) * ones).sum(1) - 1
    width = int(ones.sum(0).max())
    table = torch.zeros(Q, width, dtype=torch.long)
    table[index, place] = torch.arange(N)
    h = x[table]
    h = 2 * (h - lower[:, None]) / (upper - lower)[:, None] - 1
    for k, (W, b) in enumerate(layers):
        h = torch.baddbmm(b, h, W)
        h = h.tanh() if k + 1 < len(layers) else h
    return h[index, place]
""",
    ),
    Alternative(
        "ex33-1",
        "parts as a table of boxes",
        """def locate(x, cuts):
    edges = [[-math.inf, *c, math.inf] for c in cuts]
    index = x.new_zeros(len(x)).long()
    for q, box in enumerate(itertools.product(*[range(len(c) + 1) for c in cuts])):
        inside = torch.ones(len(x), dtype=torch.bool)
        for axis, k in enumerate(box):
            inside &= x[:, axis] >= edges[axis][k]
            inside &= x[:, axis] < edges[axis][k + 1]
        index[inside] = q
    return index
""".replace("def locate", "import itertools\n\n\ndef locate"),
    ),
    Alternative(
        "ex33-2",
        "straight lines through two points",
        """def two_halves(exact, cut, value):
    there = float(exact(torch.tensor([[cut]])))
    slopes = (value - there) / cut, (there - value) / (1 - cut)

    def half(slope):
        return lambda x: exact(x) + (value - there) + slope * (x - cut)

    return half(slopes[0]), half(slopes[1])


def kink(exact, cut, value):
    d = float(exact(torch.tensor([[cut]]))) - value
    return d / cut + d / (1 - cut)
""",
    ),
    Alternative(
        "ex33-3",
        "point by point, by functional transforms",
        """def flux_jump(flux_left, left, flux_right, right, x, normal):
    def normal_flux(flux, u):
        def one(y):
            return u(y[None])[0, 0]

        p = torch.func.vmap(torch.func.grad(one))(x)
        return torch.einsum("nkd,nd->nk", flux(x, u(x), p[:, None]), normal)

    with torch.enable_grad():
        return normal_flux(flux_left, left) - normal_flux(flux_right, right)
""",
    ),
    Alternative(
        "ex33-4",
        "normals of a box",
        """def outflow(f, u, box):
    (a, b, t0, t1), total = box, 0.0
    x, along = gauss(a, b, 48)
    t, during = gauss(t0, t1, 48)
    for out, where in ((-1, a), (1, b)):
        points = torch.cartesian_prod(torch.tensor([where]), t)
        jet = pinn.jet_of(u, points, pinn.Wanted.all(2))
        through = f(jet.u, jet.p[:, 0, :1], jet.H[:, 0, 0, :1])
        total += out * (during[:, None] * through).sum().item()
    for out, when in ((-1, t0), (1, t1)):
        points = torch.cartesian_prod(x, torch.tensor([when]))
        total += out * (along[:, None] * u(points)).sum().item()
    return total


def conserving(fluxes, u, boxes):
    def worst(name):
        return max(map(abs, (outflow(fluxes[name], u, box) for box in boxes)))

    return sorted(fluxes, key=worst)[0]
""",
    ),
    Alternative(
        "ex33-6",
        "a comprehension for each list",
        """def cpinn_terms(laws, pieces, points, faces, couple):
    sides = [(pieces[q](x), pieces[p](x)) for q, p, x, _ in faces]
    return {
        "average": [v - (l + r) * 0.5 for l, r in sides for v in (l, r)],
        "coupling": [
            couple(laws[q], pieces[q], laws[p], pieces[p], x, n) for q, p, x, n in faces
        ],
        "residual": [
            law.strong_residual(x, pinn.jet_of(u, x, law.wanted))
            for law, u, x in zip(laws, pieces, points)
        ],
    }
""",
    ),
    Alternative(
        "ex33-7",
        "every network at every point, and then a choice",
        """def batched(layers, lower, upper, x, index):
    h = 2 * (x - lower[:, None]) / (upper - lower)[:, None] - 1
    for W, b in layers[:-1]:
        h = torch.tanh(torch.matmul(h, W) + b)
    W, b = layers[-1]
    return (torch.matmul(h, W) + b)[index, torch.arange(len(x))]
""",
    ),
]
