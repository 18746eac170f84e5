"""Chapter 32: what students get wrong about training PINNs, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed

SPLIT = """def split_error(e):
    M = len(e) - 1
    x = torch.arange(M + 1) / M
    ends = e[[0, -1]]
    rest = e - (1 - x) * ends[0] - x * ends[1]
    k = torch.arange(1, M)
    sines = torch.sin(math.pi * k[:, None] * x[1:-1])
    return ends, 2 / M * sines @ rest[1:-1]
"""

DESCEND = """def descend(J, r, step, steps):
    U, sigma, _ = torch.linalg.svd(J, full_matrices=False)
    share = U.T @ r
    return r + U @ (((1 - step * sigma**2) ** steps - 1) * share)


def best_step(J):
    sigma = torch.linalg.svdvals(J)
    sigma = sigma[sigma > 1e-10 * sigma[0]]
    most, least = sigma[0].item() ** 2, sigma[-1].item() ** 2
    return 2 / (most + least), (most - least) / (most + least)
"""

BALANCE = """def balance(terms, params):
    norms = []
    for term in terms:
        slopes = torch.autograd.grad(
            term, params, retain_graph=True, allow_unused=True
        )
        squares = [g.square().sum() for g in slopes if g is not None]
        norms.append(sum(squares, torch.zeros(())).sqrt())
    norms = torch.stack(norms).detach()
    silent = norms == 0
    return torch.where(silent, 1.0, norms.sum() / norms.where(~silent, 1.0))
"""

CONSTRAIN = """def constrain(N, a, b):
    def u(x):
        with torch.enable_grad():
            right = torch.ones(1, 1, requires_grad=True)
            (slope,) = torch.autograd.grad(N(right).sum(), right, create_graph=True)
        return a + b * x + N(x) - N(torch.zeros(1, 1)) - x * slope

    return u
"""

RAD = """def density(r, k, c):
    size = r.abs() / r.abs().max().clamp(min=1e-300)
    size = size**k
    if size.sum() == 0:
        return torch.full_like(r, 1 / len(r))
    p = size / size.mean() + c
    return p / p.sum()


def draw(p, count, generator):
    chosen = torch.multinomial(p, count, replacement=True, generator=generator)
    return chosen, 1 / (len(p) * p[chosen])
"""

UPDATE = """def update(H, s, y, sBs):
    sy = torch.dot(s, y)
    if sy <= 0:
        return H.clone()
    tau = min(1.0, (sy / sBs).item())
    H = H / tau
    Hy = H @ y
    cross = torch.outer(s, Hy) / sy
    return H - cross - cross.T + (1 + torch.dot(y, Hy) / sy) * torch.outer(s, s) / sy
"""

LM = """def lm_step(J, r, mu):
    U, sigma, Vt = torch.linalg.svd(J, full_matrices=False)
    kept = sigma > (1e-12 * sigma[0] if mu == 0 else 0.0)
    filtered = torch.zeros_like(sigma)
    filtered[kept] = sigma[kept] / (sigma[kept] ** 2 + mu)
    return -Vt.T @ (filtered * (U.T @ r))


def gain(J, r, d, r_new):
    promised = r.square().sum() - (r + J @ d).square().sum()
    return ((r.square().sum() - r_new.square().sum()) / promised).item()
"""


def family(grade_id: str, code: str, wrong: dict[str, list]) -> list[Mutant]:
    """Mutants of one answer, each by the changes that its idea asks for."""
    return [Mutant(grade_id, idea, changed(code, *c)) for idea, c in wrong.items()]


MUTANTS = [
    *family(
        "ex32-1",
        SPLIT,
        {
            "forgets to take off the line": [
                ("rest = e - (1 - x) * ends[0] - x * ends[1]", "rest = e")
            ],
            "takes off the mean instead of the line": [
                ("e - (1 - x) * ends[0] - x * ends[1]", "e - e.mean()")
            ],
            "divides by M without the factor two": [("2 / M", "1 / M")],
            "counts nodes instead of intervals": [
                ("2 / M * sines", "2 / (M + 1) * sines")
            ],
            "starts with the constant mode": [
                ("k = torch.arange(1, M)", "k = torch.arange(0, M - 1)")
            ],
            "uses full periods, 2 pi k": [("math.pi * k", "2 * math.pi * k")],
            "swaps the two ends": [("return ends,", "return ends.flip(0),")],
            "returns magnitudes": [
                ("2 / M * sines @ rest[1:-1]", "(2 / M * sines @ rest[1:-1]).abs()")
            ],
            "works in place": [
                (
                    "rest = e - (1 - x) * ends[0] - x * ends[1]",
                    "rest = e.sub_((1 - x) * ends[0] + x * ends[1])",
                )
            ],
        },
    ),
    *family(
        "ex32-2",
        DESCEND,
        {
            "multiplies by sigma, not by its square": [
                ("step * sigma**2", "step * sigma")
            ],
            "drops what no parameter can reach": [
                (
                    "return r + U @ (((1 - step * sigma**2) ** steps - 1) * share)",
                    "return U @ ((1 - step * sigma**2) ** steps * share)",
                )
            ],
            "one step only": [("** steps - 1", "- 1")],
            "flow instead of steps": [
                (
                    "(1 - step * sigma**2) ** steps",
                    "torch.exp(-steps * step * sigma**2)",
                )
            ],
            "clamps growing parts": [
                (
                    "(1 - step * sigma**2) ** steps",
                    "(1 - step * sigma**2).clamp(min=-1) ** steps",
                )
            ],
            "takes one over the largest square": [
                ("return 2 / (most + least)", "return 1 / most")
            ],
            "condition number of J instead of J squared": [
                (
                    "sigma[0].item() ** 2, sigma[-1].item() ** 2",
                    "sigma[0].item(), sigma[-1].item()",
                )
            ],
            "counts zero singular values": [
                ("    sigma = sigma[sigma > 1e-10 * sigma[0]]\n", "")
            ],
            "rate one minus one over kappa": [
                ("(most - least) / (most + least)", "1 - least / most")
            ],
        },
    ),
    *family(
        "ex32-3",
        BALANCE,
        {
            "differentiates through the weights": [
                (".detach()", ""),
                ("retain_graph=True", "create_graph=True"),
            ],
            "inverts the ratio": [
                ("norms.sum() / norms.where(~silent, 1.0)", "norms / norms.sum()")
            ],
            "balances values instead of gradients": [
                ("norms = torch.stack(norms).detach()", "norms = terms.detach().abs()")
            ],
            "norm of the first tensor only": [
                ("in slopes if g is not None", "in slopes[:1] if g is not None")
            ],
            "adds norms tensor by tensor": [
                ("g.square().sum() for g", "g.norm() for g"),
                ("torch.zeros(())).sqrt()", "torch.zeros(()))"),
            ],
            "mean of the norms instead of their sum": [
                ("norms.sum() /", "norms.mean() /")
            ],
            "squared norms": [("torch.zeros(())).sqrt()", "torch.zeros(()))")],
            "frees the graph": [("retain_graph=True", "retain_graph=False")],
            "infinite weight for a silent term": [
                (
                    "    return torch.where(silent, 1.0, norms.sum() / norms.where(~silent, 1.0))",
                    "    return norms.sum() / norms",
                )
            ],
            "lets backward fill the gradients": [
                (
                    "        slopes = torch.autograd.grad(\n            term, params, retain_graph=True, allow_unused=True\n        )\n",
                    "        term.backward(retain_graph=True)\n        slopes = [None if p.grad is None else p.grad.clone() for p in params]\n        for p in params:\n            p.grad = None\n",
                )
            ],
        },
    ),
    *family(
        "ex32-4",
        CONSTRAIN,
        {
            "prescribes the value at 1 too": [
                (
                    "a + b * x + N(x) - N(torch.zeros(1, 1)) - x * slope",
                    "a + b * x + x * (1 - x) ** 2 * N(x)",
                )
            ],
            "prescribes the value at 1, not the slope": [
                (
                    "a + b * x + N(x) - N(torch.zeros(1, 1)) - x * slope",
                    "a + b * x + x * (1 - x) * N(x)",
                )
            ],
            "forgets the slope of the network": [(" - x * slope", "")],
            "forgets the value of the network at 0": [(" - N(torch.zeros(1, 1))", "")],
            "slope at 0 instead of 1": [
                ("torch.ones(1, 1, requires", "torch.zeros(1, 1, requires")
            ],
            "reflects about 1, which kills all odd derivatives": [
                (
                    "a + b * x + N(x) - N(torch.zeros(1, 1)) - x * slope",
                    "a + b * x + N(x * (2 - x)) - N(torch.zeros(1, 1))",
                )
            ],
            "fixes the slope at 0": [
                (
                    "a + b * x + N(x) - N(torch.zeros(1, 1)) - x * slope",
                    "a + b * x + x**2 * (N(x) - N(torch.ones(1, 1)) - slope / 2)",
                )
            ],
            "cuts the slope off from the parameters and from no_grad": [
                (
                    "        with torch.enable_grad():\n            right = torch.ones(1, 1, requires_grad=True)\n            (slope,) = torch.autograd.grad(N(right).sum(), right, create_graph=True)\n",
                    "        right = torch.ones(1, 1, requires_grad=True)\n        (slope,) = torch.autograd.grad(N(right).sum(), right)\n",
                )
            ],
            "gives b to the left end": [("a + b * x", "b + a * x")],
        },
    ),
    *family(
        "ex32-5",
        RAD,
        {
            "forgets the absolute value": [
                ("size = r.abs() / r.abs().max()", "size = r / r.abs().max()")
            ],
            "adds c before dividing by the mean": [
                ("size / size.mean() + c", "size + c")
            ],
            "mean first, then the power": [
                (
                    "    size = size**k\n",
                    "    size = (size / size.mean().clamp(min=1e-300)) ** k\n",
                ),
                ("size / size.mean() + c", "size + c"),
            ],
            "does not normalise": [("return p / p.sum()", "return p")],
            "takes the power of the raw residual": [
                ("r.abs() / r.abs().max().clamp(min=1e-300)", "r.abs()")
            ],
            "divides by zero when all is solved": [
                (
                    "    if size.sum() == 0:\n        return torch.full_like(r, 1 / len(r))\n",
                    "",
                )
            ],
            "softmax of the residual": [
                ("    p = size / size.mean() + c\n", "    p = torch.exp(size)\n")
            ],
            "draws without replacement": [("replacement=True", "replacement=False")],
            "ignores the generator": [(", generator=generator)", ")")],
            "weights by p instead of one over p": [
                ("1 / (len(p) * p[chosen])", "len(p) * p[chosen]")
            ],
            "no weights at all": [("1 / (len(p) * p[chosen])", "torch.ones(count)")],
            "divides by the number drawn": [
                ("1 / (len(p) * p[chosen])", "1 / (count * p[chosen])")
            ],
            "takes the largest instead of drawing": [
                (
                    "torch.multinomial(p, count, replacement=True, generator=generator)",
                    "p.argsort(descending=True)[torch.arange(count) % len(p)]",
                )
            ],
        },
    ),
    *family(
        "ex32-6",
        UPDATE,
        {
            "plain BFGS without scaling": [
                ("tau = min(1.0, (sy / sBs).item())", "tau = 1.0")
            ],
            "scales in both directions": [
                ("min(1.0, (sy / sBs).item())", "(sy / sBs).item()")
            ],
            "multiplies by tau": [("H = H / tau", "H = H * tau")],
            "inverts the ratio of curvatures": [("sy / sBs", "sBs / sy")],
            "scales after the update": [
                ("    H = H / tau\n", ""),
                (
                    "    return H - cross - cross.T + (1 + torch.dot(y, Hy) / sy) * torch.outer(s, s) / sy",
                    "    return (H - cross - cross.T + (1 + torch.dot(y, Hy) / sy) * torch.outer(s, s) / sy) / tau",
                ),
            ],
            "updates the Hessian instead of its inverse": [
                ("Hy = H @ y", "s, y = y, s\n    Hy = H @ y")
            ],
            "one cross term, not symmetric": [("cross - cross.T", "2 * cross")],
            "forgets s s^T over s^T y": [
                ("(1 + torch.dot(y, Hy) / sy)", "(torch.dot(y, Hy) / sy)")
            ],
            "takes negative curvature too": [
                ("    if sy <= 0:\n        return H.clone()\n", "")
            ],
            "starts again from the identity": [
                ("return H.clone()", "return torch.eye(len(s))")
            ],
            "overwrites H": [("H = H / tau", "H /= tau")],
            "rank one instead of rank two": [
                (
                    "H - cross - cross.T + (1 + torch.dot(y, Hy) / sy) * torch.outer(s, s) / sy",
                    "H + torch.outer(s - Hy, s - Hy) / torch.dot(s - Hy, y)",
                )
            ],
        },
    ),
    *family(
        "ex32-7",
        LM,
        {
            "normal equations": [
                (
                    "    U, sigma, Vt = torch.linalg.svd(J, full_matrices=False)\n    kept = sigma > (1e-12 * sigma[0] if mu == 0 else 0.0)\n    filtered = torch.zeros_like(sigma)\n    filtered[kept] = sigma[kept] / (sigma[kept] ** 2 + mu)\n    return -Vt.T @ (filtered * (U.T @ r))",
                    "    A = J.T @ J + mu * torch.eye(J.shape[1])\n    return -torch.linalg.lstsq(A, J.T @ r[:, None]).solution[:, 0]",
                )
            ],
            "climbs instead of descending": [("return -Vt.T", "return Vt.T")],
            "damps by the square of mu": [
                ("sigma[kept] ** 2 + mu", "sigma[kept] ** 2 + mu**2")
            ],
            "damps the singular values": [
                ("sigma[kept] / (sigma[kept] ** 2 + mu)", "1 / (sigma[kept] + mu)")
            ],
            "divides by round-off": [("1e-12 * sigma[0] if mu == 0 else 0.0", "0.0")],
            "cuts too early": [
                ("1e-12 * sigma[0] if mu == 0 else 0.0", "1e-6 * sigma[0]")
            ],
            "gradient step only": [
                (
                    "filtered[kept] = sigma[kept] / (sigma[kept] ** 2 + mu)",
                    "filtered[kept] = sigma[kept] / (1 + mu)",
                )
            ],
            "gain with the norms, not their squares": [
                (
                    "r.square().sum() - (r + J @ d).square().sum()",
                    "r.norm() - (r + J @ d).norm()",
                ),
                (
                    "(r.square().sum() - r_new.square().sum())",
                    "(r.norm() - r_new.norm())",
                ),
            ],
            "promised over achieved": [
                (
                    "((r.square().sum() - r_new.square().sum()) / promised)",
                    "(promised / (r.square().sum() - r_new.square().sum() + 1e-300))",
                )
            ],
            "promises the slope, forgetting the curvature": [
                (
                    "promised = r.square().sum() - (r + J @ d).square().sum()",
                    "promised = -2 * torch.dot(r, J @ d)",
                )
            ],
            "relative to the old loss": [
                ("/ promised).item()", "/ r.square().sum()).item()")
            ],
        },
    ),
    # ideas that the tests let pass once, and their neighbours
    *family(
        "ex32-1",
        SPLIT,
        {
            "leaves out the upper half of the sines, as in a Fourier transform": [
                ("2 / M * sines", "2 / M * (k[:, None] <= M / 2) * sines")
            ],
            "end values from the inner neighbours": [
                ("ends = e[[0, -1]]", "ends = 2 * e[[1, -2]] - e[[2, -3]]")
            ],
        },
    ),
    *family(
        "ex32-2",
        DESCEND,
        {
            "stops after a thousand steps: nothing moves any more": [
                ("** steps - 1", "** min(steps, 1000) - 1")
            ],
            "squares every factor: an odd number of steps loses its sign": [
                (
                    "(1 - step * sigma**2) ** steps",
                    "((1 - step * sigma**2) ** 2) ** (steps / 2)",
                )
            ],
            "zero below a hundred thousandth: most of the problem seems solved": [
                ("sigma > 1e-10 * sigma[0]", "sigma > 1e-5 * sigma[0]")
            ],
        },
    ),
    *family(
        "ex32-3",
        BALANCE,
        {
            "a small gradient counts as none": [("norms == 0", "norms < 1e-8")],
            "guards the quotient by a constant": [
                ("norms.where(~silent, 1.0)", "(norms + 1e-8)")
            ],
            "gradients of shared parameters only": [
                (
                    "squares = [g.square().sum() for g in slopes if g is not None]",
                    "squares = [] if None in [g and 0 for g in slopes if g is None]"
                    " else [g.square().sum() for g in slopes]",
                )
            ],
        },
    ),
    *family(
        "ex32-4",
        CONSTRAIN,
        {
            "cuts the value at 0 off from the parameters": [
                ("N(torch.zeros(1, 1))", "N(torch.zeros(1, 1)).detach()")
            ],
            "trains half of the network": [
                ("b * x + N(x)", "b * x + (N(x) + N(x).detach()) / 2")
            ],
            "takes the slope of N once, before it is trained": [
                (
                    "    def u(x):\n        with torch.enable_grad():\n"
                    "            right = torch.ones(1, 1, requires_grad=True)\n"
                    "            (slope,) = torch.autograd.grad(N(right).sum(), right, create_graph=True)\n",
                    "    right = torch.ones(1, 1, requires_grad=True)\n"
                    "    (slope,) = torch.autograd.grad(N(right).sum(), right, create_graph=True)\n\n"
                    "    def u(x):\n",
                )
            ],
        },
    ),
    *family(
        "ex32-5",
        RAD,
        {
            "no candidate without a residual is ever drawn, whatever k": [
                ("size = size**k\n", "size = size**k * (r != 0)\n")
            ],
            "cuts small probabilities off": [
                ("return p / p.sum()", "return (p / p.sum()).clamp(min=1e-6)")
            ],
            "weights of a mean one": [
                (
                    "return chosen, 1 / (len(p) * p[chosen])",
                    "w = 1 / p[chosen]\n    return chosen, w / w.mean()",
                )
            ],
            "even spacing in place of independent draws": [
                (
                    "torch.multinomial(p, count, replacement=True, generator=generator)",
                    "torch.searchsorted(p.cumsum(0), (torch.arange(count) + 0.5) / count)",
                )
            ],
        },
    ),
    *family(
        "ex32-6",
        UPDATE,
        {
            "cautious: keeps H when the pair is short": [("sy <= 0", "sy <= 1e-8")],
            "guards the quotient by a constant": [
                ("sy = torch.dot(s, y)", "sy = torch.dot(s, y) + 1e-10")
            ],
            "cautious: keeps H when the curvature is small": [
                ("sy <= 0", "sy <= 1e-6 * sBs")
            ],
        },
    ),
    *family(
        "ex32-7",
        LM,
        {
            "zero below a fixed number": [("1e-12 * sigma[0] if", "1e-12 if")],
            "a short step counts as none": [
                (
                    "    promised =",
                    "    if d.norm() < 1e-6:\n        return 0.0\n    promised =",
                )
            ],
            "guards the quotient by a constant": [
                ("/ promised).item()", "/ (promised + 1e-12)).item()")
            ],
            "keeps the damping away from zero": [
                ("sigma[kept] ** 2 + mu)", "sigma[kept] ** 2 + max(mu, 1e-20))")
            ],
        },
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex32-1",
        "least squares on the sines",
        """def split_error(e):
    M = len(e) - 1
    x = torch.linspace(0, 1, M + 1)
    rest = e - torch.lerp(e[0], e[-1], x)
    table = torch.stack([torch.sin(k * math.pi * x[1:-1]) for k in range(1, M)], dim=1)
    return torch.stack([e[0], e[-1]]), torch.linalg.solve(table, rest[1:-1])
""",
    ),
    Alternative(
        "ex32-1",
        "odd extension and the fast Fourier transform",
        """def split_error(e):
    M = len(e) - 1
    x = torch.arange(M + 1) / M
    rest = e - e[0] - (e[-1] - e[0]) * x
    odd = torch.cat([rest[:-1], -rest.flip(0)[:-1]])
    return e[[0, M]].clone(), -torch.fft.rfft(odd).imag[1:M] / M
""",
    ),
    Alternative(
        "ex32-2",
        "eigenvalues of J J^T",
        """def descend(J, r, step, steps):
    rates, V = torch.linalg.eigh(J @ J.T)
    return V @ ((1 - step * rates.clamp(min=0)) ** steps * (V.T @ r))


def best_step(J):
    squares = torch.linalg.svdvals(J) ** 2
    squares = squares[squares > 1e-20 * squares.max()]
    kappa = (squares.max() / squares.min()).item()
    return 2 / (squares.max() + squares.min()).item(), (kappa - 1) / (kappa + 1)
""",
    ),
    Alternative(
        "ex32-2",
        "a power of the matrix",
        DESCEND.replace(
            """    U, sigma, _ = torch.linalg.svd(J, full_matrices=False)
    share = U.T @ r
    return r + U @ (((1 - step * sigma**2) ** steps - 1) * share)
""",
            """    once = torch.eye(len(r)) - step * J @ J.T
    return torch.linalg.matrix_power(once, steps) @ r
""",
        ),
    ),
    Alternative(
        "ex32-3",
        "zeros for missing gradients",
        """def balance(terms, params):
    norms = []
    for k in range(len(terms)):
        slopes = torch.autograd.grad(
            terms[k], params, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        norms.append(torch.cat([g.flatten() for g in slopes]).norm().item())
    total = sum(norms)
    return torch.tensor([total / n if n > 0 else 1.0 for n in norms])
""",
    ),
    Alternative(
        "ex32-3",
        "all gradients in one batched call",
        """def balance(terms, params):
    units = torch.eye(len(terms))
    slopes = torch.autograd.grad(
        terms, params, units, retain_graph=True, allow_unused=True, is_grads_batched=True
    )
    flat = torch.cat([g.flatten(1) for g in slopes if g is not None], dim=1)
    norms = flat.norm(dim=1).detach()
    weights = norms.sum() / norms
    return torch.nan_to_num(weights, nan=1.0, posinf=1.0)
""",
    ),
    Alternative(
        "ex32-4",
        "x times the network, its slope taken off",
        """def constrain(N, a, b):
    def u(x):
        with torch.enable_grad():
            right = torch.ones(1, 1).requires_grad_()
            value = N(right)
            slope = torch.autograd.grad(value.sum(), right, create_graph=True)[0]
        return a + b * x + x * N(x) - x * (value + slope)

    return u
""",
    ),
    Alternative(
        "ex32-4",
        "a parabola takes the slope off",
        CONSTRAIN.replace("- x * slope", "- (x + x**2) / 3 * slope"),
    ),
    Alternative(
        "ex32-5",
        "logarithms against overflow",
        """def density(r, k, c):
    if not r.any() or k == 0:
        return torch.ones(len(r)) / len(r)
    log = k * r.abs().log()
    size = torch.exp(log - log.max())
    return (size / size.mean() + c) / (1 + c) / len(r)


def draw(p, count, generator):
    chosen = torch.multinomial(p, count, True, generator=generator)
    return chosen, (1 / len(p)) / p[chosen]
""",
    ),
    Alternative(
        "ex32-5",
        "inverse of the distribution function",
        RAD.replace(
            "chosen = torch.multinomial(p, count, replacement=True, generator=generator)",
            "share = torch.rand(count, generator=generator) * p.sum()\n"
            "    chosen = torch.searchsorted(p.cumsum(0), share).clamp(max=len(p) - 1)",
        ),
    ),
    Alternative(
        "ex32-6",
        "Broyden's family with phi = 1",
        """def update(H, s, y, sBs):
    sy = s @ y
    if not sy > 0:
        return 1 * H
    H = H * max(1.0, float(sBs / sy))
    Hy = H @ y
    yHy = y @ Hy
    v = s / sy - Hy / yHy
    return H - torch.outer(Hy, Hy) / yHy + yHy * torch.outer(v, v) + torch.outer(s, s) / sy
""",
    ),
    Alternative(
        "ex32-6",
        "two rank-one products from the left and the right",
        """def update(H, s, y, sBs):
    sy = (s * y).sum()
    if sy <= 0:
        return H + 0
    H = H / torch.clamp(torch.as_tensor(sy / sBs), max=1.0)
    left = H - s[:, None] * (y @ H)[None, :] / sy
    both = left - (left @ y)[:, None] * s[None, :] / sy
    return both + s[:, None] * s[None, :] / sy
""",
    ),
    Alternative(
        "ex32-7",
        "stacked least squares, pseudo-inverse without damping",
        """def lm_step(J, r, mu):
    n = J.shape[1]
    if mu == 0:
        return -torch.linalg.pinv(J, rtol=1e-12) @ r
    A = torch.cat([J, mu**0.5 * torch.eye(n)])
    right = torch.cat([-r, torch.zeros(n)])
    return torch.linalg.lstsq(A, right[:, None]).solution[:, 0]


def gain(J, r, d, r_new):
    model = r + J @ d
    return float((r @ r - r_new @ r_new) / (r @ r - model @ model))
""",
    ),
    Alternative(
        "ex32-7",
        "QR of the stacked matrix",
        LM.replace(
            """    U, sigma, Vt = torch.linalg.svd(J, full_matrices=False)
    kept""",
            """    if mu > 0:
        n = J.shape[1]
        Q, R = torch.linalg.qr(torch.cat([J, mu**0.5 * torch.eye(n)]))
        right = -(Q.T[:, : len(r)] @ r)
        return torch.linalg.solve_triangular(R, right[:, None], upper=True)[:, 0]
    U, sigma, Vt = torch.linalg.svd(J, full_matrices=False)
    kept""",
        ),
    ),
    Alternative(
        "ex32-1",
        "sine by sine, in plain Python",
        """def split_error(e):
    M, (first, *inner, last) = len(e) - 1, e.tolist()
    rest = [v - first - (last - first) * i / M for i, v in enumerate(inner, 1)]
    a = [
        2 / M * sum(v * math.sin(k * i * math.pi / M) for i, v in enumerate(rest, 1))
        for k in range(1, M)
    ]
    return torch.tensor([first, last]), torch.tensor(a)
""",
    ),
    Alternative(
        "ex32-2",
        "repeated squaring",
        """def descend(J, r, step, steps):
    factor, after = torch.eye(len(r)) - step * J @ J.T, r.clone()
    while steps:
        if steps % 2:
            after = factor @ after
        factor, steps = factor @ factor, steps // 2
    return after


def best_step(J):
    squares = [s**2 for s in torch.linalg.svdvals(J).tolist()]
    squares = [s for s in squares if s > 1e-20 * squares[0]]
    step = 2 / (squares[0] + squares[-1])
    return step, 1 - step * squares[-1]
""",
    ),
    Alternative(
        "ex32-3",
        "Gram matrix of the gradients",
        """def balance(terms, params):
    rows = []
    for k in range(len(terms)):
        pick = torch.zeros(len(terms))
        pick[k] = 1.0
        slopes = torch.autograd.grad(
            terms, params, pick, retain_graph=True, allow_unused=True
        )
        flat = [
            torch.zeros(p.numel()) if g is None else g.flatten()
            for g, p in zip(slopes, params, strict=True)
        ]
        rows.append(torch.cat(flat))
    G = torch.stack(rows).detach()
    norms = (G @ G.T).diagonal().sqrt()
    return torch.tensor([(norms.sum() / n).item() if n > 0 else 1.0 for n in norms])
""",
    ),
    Alternative(
        "ex32-4",
        "slope by a forward derivative",
        """def constrain(N, a, b):
    def u(x):
        one = torch.ones(1, 1)
        _, slope = torch.func.jvp(N, (one,), (one,))
        values = N(torch.cat([x, torch.zeros(1, 1)]))
        return values[:-1] - values[-1:] + a + (b - slope) * x

    return u
""",
    ),
    Alternative(
        "ex32-5",
        "largest of the perturbed logarithms",
        """def density(r, k, c):
    if k == 0 or not r.any():
        return torch.ones_like(r) / len(r)
    scaled = (r / r.abs().max()).abs() ** k
    p = scaled / scaled.sum() + c / len(r)
    return p / (1 + c)


def draw(p, count, generator):
    uniform = torch.rand(count, len(p), generator=generator)
    chosen = (p.log() - (-uniform.log()).log()).argmax(dim=1)
    return chosen, (len(p) * p[chosen]).reciprocal()
""",
    ),
    Alternative(
        "ex32-6",
        "two columns and a small matrix between them",
        """def update(H, s, y, sBs):
    sy = float(s @ y)
    if sy <= 0:
        return H.clone()
    tau = min(sy / float(sBs), 1)
    Hy = H @ y / tau
    sides = torch.stack([s, Hy], dim=1)
    middle = torch.tensor([[(1 + float(y @ Hy) / sy) / sy, -1 / sy], [-1 / sy, 0.0]])
    return H / tau + sides @ middle @ sides.T
""",
    ),
    Alternative(
        "ex32-7",
        "least squares of LAPACK, for the padded system",
        """def lm_step(J, r, mu):
    n = J.shape[1]
    A = torch.cat([J, mu**0.5 * torch.eye(n)])
    b = -torch.cat([r, torch.zeros(n)])[:, None]
    least = 1e-12 if mu == 0 else 1e-16
    return torch.linalg.lstsq(A, b, rcond=least, driver="gelsd").solution[:, 0]


def gain(J, r, d, r_new):
    step = J @ d
    promised = -(2 * r + step) @ step
    return float((r - r_new) @ (r + r_new) / promised)
""",
    ),
]
