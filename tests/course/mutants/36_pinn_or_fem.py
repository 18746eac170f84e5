"""Wrong and other right answers to the exercises of chapter 36."""

from tests.course.mutants import Alternative, Mutant, slip

MUTANTS = [
    slip(
        "ex36-1", "a ratio of 2, whatever is given", ("math.log(ratio)", "math.log(2)")
    ),
    slip(
        "ex36-1", "the common logarithm below", ("math.log(ratio)", "math.log10(ratio)")
    ),
    slip("ex36-1", "goes the wrong way", ("values[2] - second", "values[2] + second")),
    slip("ex36-1", "forgets the minus one", ("(gain - 1)", "gain")),
    slip(
        "ex36-1",
        "differences the other way round",
        ("first.norm() / second.norm()", "second.norm() / first.norm()"),
    ),
    slip(
        "ex36-1",
        "corrects the middle mesh",
        ("values[2] - second", "values[1] - second"),
    ),
    slip(
        "ex36-1",
        "the error of the middle mesh",
        ("second.norm() / (gain - 1))", "first.norm() / (gain - 1))"),
    ),
    slip(
        "ex36-1",
        "squares of norms",
        ("first.norm() / second.norm()", "(first @ first) / (second @ second)"),
    ),
    slip(
        "ex36-1",
        "the step between meshes as the error",
        ("second.norm() / (gain - 1))", "second.norm())"),
    ),
    Mutant(
        "ex36-1",
        "the mean of the values' own orders",
        """
def richardson(values, ratio):
    first, second = values[0] - values[1], values[1] - values[2]
    order = ((first / second).abs().log() / math.log(ratio)).mean()
    gain = ratio**order
    return order, values[2] - second / (gain - 1), second.norm() / (gain - 1)
""",
    ),
    Mutant(
        "ex36-1",
        "supposes the order 2",
        """
def richardson(values, ratio):
    second = values[1] - values[2]
    gain = ratio**2
    return torch.tensor(2.0), values[2] - second / (gain - 1), second.norm() / (gain - 1)
""",
    ),
    Mutant(
        "ex36-1",
        "a whole order",
        """
def richardson(values, ratio):
    first, second = values[0] - values[1], values[1] - values[2]
    order = ((first.norm() / second.norm()).log() / math.log(ratio)).round()
    gain = ratio**order
    return order, values[2] - second / (gain - 1), second.norm() / (gain - 1)
""",
    ),
    slip("ex36-2", "viscosity adds", ("- nu * p", "+ nu * p")),
    slip("ex36-2", "forgets the pressure", (" + push", "")),
    slip("ex36-2", "forgets viscosity", (" - nu * p[:, :2]", "")),
    slip("ex36-2", "pressure in all directions", ("torch.eye(2,", "torch.ones(2, 2,")),
    slip("ex36-2", "pressure pulls", ("+ push", "- push")),
    slip(
        "ex36-2",
        "transposes the gradients",
        ("nu * p[:, :2]", "nu * p[:, :2].transpose(1, 2)"),
    ),
    slip(
        "ex36-2",
        "squares of each component only",
        ("w[:, :, None] * w[:, None, :]", "torch.diag_embed(w ** 2)"),
    ),
    slip(
        "ex36-2",
        "mass first",
        ("[momentum, w[:, None, :]]", "[w[:, None, :], momentum]"),
    ),
    slip(
        "ex36-2",
        "half of the square, as in Burgers' equation",
        ("w[:, :, None] * w[:, None, :]", "w[:, :, None] * w[:, None, :] / 2"),
    ),
    slip(
        "ex36-2",
        "the pressure of the first point for all",
        ("u[:, 2, None, None]", "u[:1, 2, None, None]"),
    ),
    slip(
        "ex36-2",
        "mass without its direction",
        ("w[:, None, :]]", "w[:, None, :].flip(2)]"),
    ),
    slip("ex36-3", "the degree itself", ("(degree + 1)", "degree")),
    slip("ex36-3", "the common logarithm", ("math.log(n)", "math.log10(n)")),
    slip("ex36-3", "the layer may be everything", ("min(0.5, ", "min(1.0, ")),
    slip(
        "ex36-3",
        "the layer on the left",
        ("1 - tau, n // 2", "tau, n // 2"),
        ("linspace(1 - tau, 1", "linspace(tau, 1"),
    ),
    slip("ex36-3", "the edge of the layer twice", ("[1:]", "")),
    slip("ex36-3", "leaves the edge of the layer out", ("[1:]", "[2:]")),
    slip("ex36-3", "n elements on each side", ("n // 2", "n")),
    slip(
        "ex36-3", "a layer as wide as eps", ("(degree + 1) * eps * math.log(n)", "eps")
    ),
    slip(
        "ex36-3",
        "no limit of the layer",
        (
            "min(0.5, (degree + 1) * eps * math.log(n))",
            "(degree + 1) * eps * math.log(n)",
        ),
    ),
    Mutant(
        "ex36-3",
        "a geometric mesh",
        """
def layer_mesh(n, eps, degree):
    return torch.cat([1 - torch.logspace(0, math.log10(eps), n), torch.ones(1)])
""",
    ),
    slip(
        "ex36-4",
        "every slab from the same start",
        ("start = parts[-1](torch.tensor([t1]))[0]", "pass"),
    ),
    slip(
        "ex36-4",
        "goes on from the slab's start",
        ("torch.tensor([t1])", "torch.tensor([t0])"),
    ),
    slip(
        "ex36-4",
        "an end belongs to the later slab",
        ("bucketize(t, inner)", "bucketize(t, inner, right=True)"),
    ),
    slip(
        "ex36-4",
        "the first component only",
        (
            "u[which == k] = part(t[which == k])",
            "u[which == k, 0] = part(t[which == k])[:, 0]",
        ),
    ),
    slip("ex36-4", "counts the first edge, too", ("edges[1:-1]", "edges[:-1]")),
    slip(
        "ex36-4",
        "the last slab for all times",
        ("if (which == k).any():", "if k == len(parts) - 1:"),
        ("u[which == k] = part(t[which == k])", "u = part(t)"),
    ),
    Mutant(
        "ex36-4",
        "solves when it is asked",
        """
def slabs(solve_slab, start, edges):
    def whole(t):
        u, at = torch.zeros(len(t), len(start)), start
        for k, (t0, t1) in enumerate(zip(edges, edges[1:])):
            part = solve_slab(t0, t1, at)
            at = part(torch.tensor([t1]))[0]
            mine = (t <= t1) & ((t > t0) | (k == 0))
            if mine.any():
                u[mine] = part(t[mine])
        return u
    return whole
""",
    ),
    Mutant(
        "ex36-4",
        "sorts the times",
        """
def slabs(solve_slab, start, edges):
    parts = []
    for t0, t1 in zip(edges, edges[1:]):
        parts.append(solve_slab(t0, t1, start))
        start = parts[-1](torch.tensor([t1]))[0]
    inner = torch.tensor(edges[1:-1])
    def whole(t):
        t = t.sort().values
        which = torch.bucketize(t, inner)
        return torch.cat([p(t[which == k]) for k, p in enumerate(parts) if (which == k).any()])
    return whole
""",
    ),
    Mutant(
        "ex36-4",
        "moves the start in place",
        """
def slabs(solve_slab, start, edges):
    parts = []
    for t0, t1 in zip(edges, edges[1:]):
        parts.append(solve_slab(t0, t1, start.clone()))
        start.copy_(parts[-1](torch.tensor([t1]))[0])
    inner = torch.tensor(edges[1:-1])
    def whole(t):
        which = torch.bucketize(t, inner)
        u = torch.zeros(len(t), len(start))
        for k, part in enumerate(parts):
            if (which == k).any():
                u[which == k] = part(t[which == k])
        return u
    return whole
""",
    ),
    slip(
        "ex36-5",
        "the slope at the mean, not the chord",
        (
            "(ends[0] - ends[1]) / (left - right)",
            "(f(torch.tensor((left + right) / 2 + 1e-6)) - f(torch.tensor((left + right) / 2 - 1e-6))) / 2e-6",
        ),
    ),
    slip("ex36-5", "the sign of the speed", ("(left - right)", "(right - left)")),
    slip(
        "ex36-5",
        "looks the other way",
        ("before >= speed - slack", "before <= speed + slack"),
        ("after <= speed + slack", "after >= speed - slack"),
    ),
    slip("ex36-5", "one place is enough", (".all()", ".any()")),
    slip(
        "ex36-5",
        "no tolerance",
        ("1e-09 * torch.cat([before, after]).abs().max()", "-1e-12"),
    ),
    slip("ex36-5", "a generous tolerance", ("1e-09", "0.1")),
    Mutant(
        "ex36-5",
        "Lax: slopes at the ends only",
        """
def jump(f, left, right):
    ends = f(torch.tensor([left, right]))
    speed = (ends[0] - ends[1]) / (left - right)
    e = 1e-6 * (right - left)
    a = (f(torch.tensor(left + e)) - ends[0]) / e
    b = (f(torch.tensor(right - e)) - ends[1]) / -e
    slack = 1e-6 * max(abs(a), abs(b))
    return speed, bool(a >= speed - slack and b <= speed + slack)
""",
    ),
    Mutant(
        "ex36-5",
        "downwards is allowed, upwards is not",
        """
def jump(f, left, right):
    ends = f(torch.tensor([left, right]))
    return (ends[0] - ends[1]) / (left - right), left > right
""",
    ),
    Mutant(
        "ex36-5",
        "the mean of the ends, as for Burgers",
        """
def jump(f, left, right):
    return torch.tensor((left + right) / 2), left > right
""",
    ),
    slip("ex36-6", "forgets the root", ("return (share.sqrt(), ", "return (share, ")),
    slip("ex36-6", "the deviation of the square", (" / (2 * share.sqrt()))", ")")),
    slip("ex36-6", "an absolute error", ("a.mean() / b.mean()", "a.mean()")),
    slip("ex36-6", "the spread of one point", (" * len(a) ** 0.5", "")),
    slip("ex36-6", "divides by m", ("len(a) ** 0.5", "len(a)")),
    slip(
        "ex36-6",
        "forgets that the size is measured, too",
        ("(a - share * b)", "(a - a.mean())"),
    ),
    slip("ex36-6", "0 / 0", ("if share == 0:", "if False:")),
    slip(
        "ex36-6",
        "a mean of ratios",
        ("share = a.mean() / b.mean()", "share = (a / b).mean()"),
    ),
    slip(
        "ex36-6",
        "the first component",
        ("(found - exact).square().sum(1)", "(found - exact).square()[:, 0]"),
    ),
    slip(
        "ex36-6",
        "forgets the size in the deviation",
        ("(b.mean() * len(a) ** 0.5)", "len(a) ** 0.5"),
    ),
    slip("ex36-6", "sums for means", ("a.mean() / b.mean()", "a.sum() / b.mean()")),
    Mutant(
        "ex36-7",
        "the first time below, even if it rises again",
        """
def time_to(seconds, errors, level):
    below = (errors <= level).nonzero()[:, 0]
    return float(seconds[below[0]]) if len(below) else math.inf

def ladder(seconds, errors):
    return seconds.cumsum(0), errors.cummin(0).values
""",
    ),
    slip(
        "ex36-7",
        "an error that is no number counts as below",
        ("~(errors <= level)", "errors > level"),
    ),
    slip("ex36-7", "below, but not equal", ("errors <= level", "errors < level")),
    slip("ex36-7", "the last time above", (" + 1 if", " if")),
    slip("ex36-7", "the end for never", ("else math.inf", "else float(seconds[-1])")),
    slip("ex36-7", "one mesh alone is paid for", ("seconds.cumsum(0)", "seconds")),
    slip("ex36-7", "the error of the last mesh", ("errors.cummin(0).values", "errors")),
    slip("ex36-7", "the largest so far", ("cummin", "cummax")),
    slip("ex36-7", "places, not seconds", ("float(seconds[first])", "float(first)")),
    slip(
        "ex36-7",
        "places of the smallest",
        ("cummin(0).values", "cummin(0).indices.double()"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex36-1",
        "by the order, as a power",
        """
def richardson(values, ratio):
    a, b, c = values
    order = torch.log((b - a).norm() / (c - b).norm()) / torch.log(torch.tensor(float(ratio)))
    better = c + (c - b) / (ratio**order - 1)
    return order, better, (c - better).norm()
""",
    ),
    Alternative(
        "ex36-1",
        "by Aitken's formula, common logarithms",
        """
def richardson(values, ratio):
    d = values.diff(dim=0)
    n, m = d[0].norm(), d[1].norm()
    better = values[-1] + d[1] * m / (n - m)
    return (n / m).log10() / math.log10(ratio), better, m * m / (n - m)
""",
    ),
    Alternative(
        "ex36-2",
        "entry by entry",
        """
def flow_flux(u, p, nu):
    a, b, P = u.unbind(1)
    first = torch.stack([a * a + P - nu * p[:, 0, 0], a * b - nu * p[:, 0, 1]], dim=1)
    second = torch.stack([b * a - nu * p[:, 1, 0], b * b + P - nu * p[:, 1, 1]], dim=1)
    return torch.stack([first, second, torch.stack([a, b], dim=1)], dim=1)
""",
    ),
    Alternative(
        "ex36-2",
        "by einsum, filled in",
        """
def flow_flux(u, p, nu):
    F = torch.empty(len(u), 3, 2)
    F[:, :2] = torch.einsum("bi,bj->bij", u[:, :2], u[:, :2]) - nu * p[:, :2]
    F[:, [0, 1], [0, 1]] += u[:, 2:]
    F[:, 2] = u[:, :2]
    return F
""",
    ),
    Alternative(
        "ex36-3",
        "steps, added up",
        """
def layer_mesh(n, eps, degree):
    tau = min((degree + 1) * eps * math.log(n), 1 / 2)
    half = n // 2
    steps = torch.cat([torch.full((half,), (1 - tau) / half), torch.full((half,), tau / half)])
    edges = torch.cat([torch.zeros(1), steps.cumsum(0)])
    edges[-1] = 1.0
    return edges
""",
    ),
    Alternative(
        "ex36-3",
        "by interpolation",
        """
def layer_mesh(n, eps, degree):
    tau = min(0.5, (1 + degree) * math.log(n) * eps)
    s = torch.arange(n + 1) / n
    return torch.where(s <= 0.5, 2 * s * (1 - tau), 1 - 2 * (1 - s) * tau)
""",
    ),
    Alternative(
        "ex36-4",
        "a loop over times",
        """
def slabs(solve_slab, start, edges):
    pieces, at = [], start
    for k in range(len(edges) - 1):
        piece = solve_slab(edges[k], edges[k + 1], at)
        at = piece(torch.tensor([edges[k + 1]])).squeeze(0)
        pieces.append((edges[k + 1], piece))

    def whole(t):
        rows = []
        for one in t:
            piece = next((p for end, p in pieces if one <= end), pieces[-1][1])
            rows.append(piece(one.reshape(1))[0])
        return torch.stack(rows)

    return whole
""",
    ),
    Alternative(
        "ex36-4",
        "counts the edges below",
        """
def slabs(solve_slab, start, edges):
    inside = torch.as_tensor(edges[1:-1])
    found = []
    for a, b in zip(edges[:-1], edges[1:]):
        f = solve_slab(a, b, start)
        start = f(torch.tensor([float(b)])).reshape(-1)
        found.append(f)
    c = len(start)

    def whole(t):
        number = (t[:, None] > inside).sum(1)
        out = torch.empty(len(t), c)
        for k in set(number.tolist()):
            out[number == k] = found[k](t[number == k])
        return out

    return whole
""",
    ),
    Alternative(
        "ex36-5",
        "multiplied by the differences",
        """
def jump(f, left, right):
    l, r = torch.tensor(left), torch.tensor(right)
    s = (f(r) - f(l)) / (r - l)
    v = torch.linspace(left, right, 1003)[1:-1]
    a, b = (f(v) - f(l)) / (v - l), (f(v) - f(r)) / (v - r)
    small = 1e-9 * max(a.abs().max().item(), b.abs().max().item())
    return s, bool(a.min() >= s - small) and bool(b.max() <= s + small)
""",
    ),
    Alternative(
        "ex36-5",
        "a Python number for the speed, 1001 shares",
        """
def jump(f, left, right):
    w = torch.arange(1, 1002) / 1002
    v = left + w * (right - left)
    fl, fr = f(torch.tensor([float(left)]))[0], f(torch.tensor([float(right)]))[0]
    s = float((fl - fr) / (left - right))
    a, b = (f(v) - fl) / (v - left), (f(v) - fr) / (v - right)
    tol = 1e-9 * float(torch.stack([a, b]).abs().max())
    return s, not bool(((a < s - tol) | (b > s + tol)).any())
""",
    ),
    Alternative(
        "ex36-6",
        "by norms, with m inside of the root",
        """
def measured_error(found, exact):
    a = (found - exact).pow(2).sum(-1)
    b = exact.pow(2).sum(-1)
    E = (found - exact).norm() / exact.norm()
    if E == 0:
        return E, torch.tensor(0.0)
    R, m = E**2, len(b)
    return E, ((a - R * b) ** 2).sum().sqrt() / (m * b.mean()) / (2 * E)
""",
    ),
    Alternative(
        "ex36-6",
        "the slope of the error by both means",
        """
def measured_error(found, exact):
    a, b = torch.linalg.norm(found - exact, dim=1) ** 2, torch.linalg.norm(exact, dim=1) ** 2
    A, B = a.mean(), b.mean()
    E = torch.sqrt(A / B)
    if A == 0:
        return E, 0 * E
    influence = E / 2 * ((a - A) / A - (b - B) / B)
    return E, influence.std(correction=0) / len(a) ** 0.5
""",
    ),
    Alternative(
        "ex36-7",
        "the largest error still to come; loops",
        """
def time_to(seconds, errors, level):
    e = errors.nan_to_num(nan=math.inf)
    to_come = e.flip(0).cummax(0).values.flip(0)
    good = to_come <= level
    return seconds[good.double().argmax()].item() if good.any() else float("inf")

def ladder(seconds, errors):
    return (
        torch.stack([seconds[: k + 1].sum() for k in range(len(seconds))]),
        torch.stack([errors[: k + 1].min() for k in range(len(errors))]),
    )
""",
    ),
    Alternative(
        "ex36-7",
        "from the end backwards; itertools",
        """
def time_to(seconds, errors, level):
    answer = math.inf
    for s, e in zip(reversed(seconds.tolist()), reversed(errors.tolist())):
        if not e <= level:
            break
        answer = s
    return answer

def ladder(seconds, errors):
    from itertools import accumulate
    return (
        torch.tensor(list(accumulate(seconds.tolist()))),
        torch.tensor(list(accumulate(errors.tolist(), min))),
    )
""",
    ),
]
