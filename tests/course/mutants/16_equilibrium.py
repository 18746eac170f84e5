"""Wrong and other right answers to the exercises of chapter 16."""

from tests.course.mutants import Alternative, Mutant, changed, slip, solutions

PICARD_LOOP = """
def picard(step, z0, tol, limit):
    z, looks = z0.clone(), [0] * len(z0)
    awake = list(range(len(z0)))
    for _ in range(limit):
        f, moved = step(z), []
        for i in awake:
            looks[i] += 1
            if (f[i] - z[i]).norm() > tol * f[i].norm():
                moved.append(i)
        awake = moved
        if not awake:
            break
        z = z.clone()
        z[awake] = f[awake]
    return z, torch.tensor(looks)
"""

ENOUGH = """
def enough(q, first, tol):
    k, bound = 0, first / (1 - q)
    while bound > tol:
        k, bound = k + 1, q * bound
    return k
"""

BOUNDED = """
def bounded(V, q):
    norm = torch.linalg.matrix_norm(V, 2)
    return V * (q / norm).clamp(max=1)
"""


def _anderson(weights: str, start: str = "F[-1]", ends: str = "dF") -> str:
    """An answer to 16.3 that finds its weights gamma (batch, history - 1) otherwise."""
    return f"""
def anderson_next(Z, F):
    G = F - Z
    if len(G) == 1:
        return F[-1]
    dG, dF, dZ = G.diff(dim=0), F.diff(dim=0), Z.diff(dim=0)
    columns, g = dG.permute(1, 2, 0), G[-1][:, :, None]
    gamma = {weights}
    return {start} - ({ends}.permute(1, 2, 0) @ gamma)[:, :, 0]
"""


LSTSQ = "torch.linalg.lstsq(columns, g).solution"


def _slopes(body: str) -> str:
    """An answer to 16.6 with another slope of sample i."""
    return f"""
def slope_by_lam(A, x, v):
    slopes = torch.zeros(len(x))
    for i in range(len(x)):
        on = x[i] != 0
        if on.any():
            A_on = A[:, on]
            s = x[i, on].sign()
            slopes[i] = {body}
    return slopes
"""


MUTANTS = [
    slip(
        "ex16-1",
        "stops by the size of the move, not by its part of the state",
        ("tol * f.norm(dim=1)", "tol"),
    ),
    slip(
        "ex16-1",
        "measures the batch as one long state",
        (
            "(f - z).norm(dim=1) <= tol * f.norm(dim=1)",
            "((f - z).norm() <= tol * f.norm()).expand(len(z0))",
        ),
    ),
    slip(
        "ex16-1",
        "lets samples that rest move on",
        ("z = torch.where(rests[:, None], z, f)", "z = f"),
    ),
    slip(
        "ex16-1",
        "stops when the first sample rests",
        ("rests.all()", "rests.any()"),
    ),
    slip(
        "ex16-1",
        "divides, and calls a state of zero restless",
        (
            "(f - z).norm(dim=1) <= tol * f.norm(dim=1)",
            "(f - z).norm(dim=1) / f.norm(dim=1) <= tol",
        ),
    ),
    slip(
        "ex16-1",
        "does not count the look that finds a sample at rest",
        ("        looks = looks + ~rests\n", ""),
        (
            "        if rests.all()",
            "        looks = looks + ~rests\n        if rests.all()",
        ),
    ),
    slip("ex16-1", "counts looks of samples that rest", ("+ ~rests", "+ 1")),
    slip(
        "ex16-1",
        "compares with the size of the state before",
        ("tol * f.norm(dim=1)", "tol * z.norm(dim=1)"),
    ),
    slip(
        "ex16-1",
        "writes into the start",
        ("z = torch.where(rests[:, None], z, f)", "z[~rests] = f[~rests]"),
    ),
    slip("ex16-2", "takes the Frobenius norm", ("matrix_norm(V, 2)", "matrix_norm(V)")),
    slip("ex16-2", "scales small matrices up, too", (".clamp(max=1)", "")),
    slip(
        "ex16-2",
        "keeps the gradient out of the norm",
        ("torch.linalg.matrix_norm(V, 2)", "torch.linalg.matrix_norm(V.detach(), 2)"),
    ),
    slip(
        "ex16-2",
        "makes every entry smaller than q instead",
        ("V * (q / norm).clamp(max=1)", "V.clamp(-q, q)"),
    ),
    slip(
        "ex16-2",
        "bounds the spectral radius, not the norm",
        ("torch.linalg.matrix_norm(V, 2)", "torch.linalg.eigvals(V).abs().max()"),
    ),
    slip("ex16-2", "leaves out the division by 1 - q", ("first / (1 - q)", "first")),
    slip("ex16-2", "takes at least one step", ("return k", "return max(k, 1)")),
    Mutant(
        "ex16-2",
        "rounds the number of steps down",
        BOUNDED
        + """
def enough(q, first, tol):
    return max(0, math.floor(math.log(tol * (1 - q) / first) / math.log(q)))
""",
    ),
    Mutant(
        "ex16-3",
        "applies the layer only: Picard",
        "def anderson_next(Z, F):\n    return F[-1]",
    ),
    Mutant(
        "ex16-3",
        "combines the states in place of their images",
        _anderson(LSTSQ, "Z[-1]", "dZ"),
    ),
    Mutant("ex16-3", "adds the correction", _anderson(f"-{LSTSQ}")),
    Mutant(
        "ex16-3",
        "mixes states and images",
        _anderson(LSTSQ, "F[-1]", "dZ"),
    ),
    Mutant(
        "ex16-3",
        "fits the move of the oldest state",
        _anderson("torch.linalg.lstsq(columns, G[0][:, :, None]).solution"),
    ),
    Mutant(
        "ex16-3",
        "solves normal equations that a sample at rest makes singular",
        _anderson("torch.linalg.solve(columns.mT @ columns, columns.mT @ g)"),
    ),
    Mutant(
        "ex16-3",
        "shares one set of weights among all samples",
        _anderson(
            "torch.linalg.lstsq(columns.flatten(0, 1), g.flatten(0, 1)).solution"
        ),
    ),
    Mutant(
        "ex16-3",
        "adds a ridge that is large enough to be seen",
        _anderson(
            "torch.linalg.solve(columns.mT @ columns + 1e-3 * torch.eye(len(dG)), "
            "columns.mT @ g)"
        ),
    ),
    Mutant(
        "ex16-3",
        "remembers two states only",
        _anderson(LSTSQ).replace("G = F - Z", "Z, F = Z[-2:], F[-2:]\n    G = F - Z"),
    ),
    slip(
        "ex16-4",
        "lets a comparison with NaN decide for staying",
        ("~((newest <= lost * least) & newest.isfinite())", "newest > lost * least"),
    ),
    slip(
        "ex16-4",
        "sends the whole batch back for one sample",
        ("back = astray[:, None]", "back = astray.any()"),
    ),
    slip(
        "ex16-4",
        "replaces the newest state only",
        (
            "return (torch.where(back, best, Z), torch.where(back, image, F))",
            "Z, F = Z.clone(), F.clone()\n"
            "    Z[-1], F[-1] = torch.where(back, best, Z[-1]), torch.where(back, image, F[-1])\n"
            "    return Z, F",
        ),
    ),
    slip(
        "ex16-4",
        "goes back with the states and keeps their images",
        ("torch.where(back, image, F)", "F"),
    ),
    slip(
        "ex16-4",
        "puts the best state where its image belongs",
        ("torch.where(back, image, F)", "torch.where(back, best, F)"),
    ),
    slip(
        "ex16-4",
        "measures the longest move of the history",
        ("(F[-1] - Z[-1]).norm(dim=1)", "(F - Z).norm(dim=2).amax(dim=0)"),
    ),
    slip(
        "ex16-4",
        "compares the distance from the best state",
        ("(F[-1] - Z[-1])", "(Z[-1] - best)"),
    ),
    slip(
        "ex16-4",
        "sends back whoever moves longer than the best at all",
        ("lost * least", "least"),
    ),
    slip(
        "ex16-4",
        "takes the largest entry for the length of a move",
        ("(F[-1] - Z[-1]).norm(dim=1)", "(F[-1] - Z[-1]).abs().amax(dim=1)"),
        ("(image - best).norm(dim=1)", "(image - best)[:, 0].abs() + 0.5"),
    ),
    slip(
        "ex16-4",
        "writes into the history it was given",
        (
            "return (torch.where(back, best, Z), torch.where(back, image, F))",
            "Z[:], F[:] = torch.where(back, best, Z), torch.where(back, image, F)\n"
            "    return Z, F",
        ),
    ),
    slip(
        "ex16-5",
        "leaves the inverse out",
        ("u = solve(adjoint, v)", "u = v"),
    ),
    slip(
        "ex16-5",
        "forgets to start each product from v",
        ("return v + torch", "return torch"),
    ),
    slip(
        "ex16-5",
        "lets the graph of the state through",
        (
            "z = z.detach().requires_grad_()",
            "z = z if z.requires_grad else z.detach().requires_grad_()",
        ),
    ),
    slip(
        "ex16-5",
        "marks the state it was given",
        (
            "z = z.detach().requires_grad_()",
            "z = z.requires_grad_() if z.is_leaf else z.detach().requires_grad_()",
        ),
    ),
    slip(
        "ex16-5",
        "evaluates the layer again for every product",
        (
            "return v + torch.autograd.grad(image, z, u, retain_graph=True)[0]",
            "with torch.enable_grad():\n            again = f(z, theta)\n"
            "        return v + torch.autograd.grad(again, z, u)[0]",
        ),
    ),
    slip(
        "ex16-5",
        "has the wrong sign in front of the Jacobian",
        ("v + torch.autograd.grad", "v - torch.autograd.grad"),
    ),
    Mutant(
        "ex16-5",
        "multiplies by J in place of its transpose",
        """
def implicit(f, z, theta, v):
    z = z.detach().requires_grad_()
    image = f(z, theta)
    rows = torch.eye(z.numel()).reshape(-1, *z.shape)
    back = [torch.autograd.grad(image, z, row, retain_graph=True)[0] for row in rows]
    J = torch.stack(back).reshape(z.numel(), z.numel())
    u = torch.linalg.solve(torch.eye(len(J)) - J, v.flatten()).reshape(v.shape)
    return torch.autograd.grad(image, theta, u)[0]
""",
    ),
    slip(
        "ex16-5",
        "leaves the gradient in theta",
        (
            "return torch.autograd.grad(image, theta, u)[0]",
            "image.backward(u)\n    return theta.grad",
        ),
    ),
    slip(
        "ex16-5",
        "stops the series after a few terms",
        (
            "u = solve(adjoint, v)",
            "u = v\n    for _ in range(5):\n        u = adjoint(u)",
        ),
    ),
    Mutant(
        "ex16-6",
        "forgets the minus sign",
        _slopes("v[i, on] @ torch.linalg.solve(A_on.T @ A_on, s)"),
    ),
    Mutant(
        "ex16-6",
        "treats the atoms as orthogonal",
        _slopes("-v[i, on] @ (s / A_on.square().sum(dim=0))"),
    ),
    Mutant("ex16-6", "takes the atoms for orthonormal", _slopes("-v[i, on] @ s")),
    Mutant(
        "ex16-6",
        "multiplies by the Gram matrix",
        _slopes("-v[i, on] @ (A_on.T @ A_on) @ s"),
    ),
    Mutant(
        "ex16-6",
        "takes the entries in place of their signs",
        _slopes("-v[i, on] @ torch.linalg.solve(A_on.T @ A_on, x[i, on])"),
    ),
    Mutant(
        "ex16-6",
        "leaves out the signs",
        _slopes("-v[i, on] @ torch.linalg.solve(A_on.T @ A_on, s.abs())"),
    ),
    Mutant(
        "ex16-6",
        "cuts the inverse of the whole Gram matrix",
        _slopes("-v[i, on] @ torch.linalg.pinv(A.T @ A)[on][:, on] @ s"),
    ),
    slip(
        "ex16-6",
        "takes the support of the first sample for all",
        ("on = x[i] != 0", "on = x[0] != 0"),
    ),
    slip(
        "ex16-6",
        "takes positive entries only for the support",
        ("on = x[i] != 0", "on = x[i] > 0"),
    ),
    slip("ex16-7", "sums one term too many", ("range(k - 1)", "range(k)")),
    slip(
        "ex16-7",
        "takes the last term in place of the sum",
        ("total = total + term", "total = term"),
    ),
    slip("ex16-7", "forgets the damping in front", ("tau * total", "total")),
    slip(
        "ex16-7",
        "damps the product and drops the rest",
        ("tau * back + (1 - tau) * term", "tau * back"),
    ),
    slip(
        "ex16-7",
        "swaps the two weights of the damping",
        ("tau * back + (1 - tau) * term", "(1 - tau) * back + tau * term"),
    ),
    slip(
        "ex16-7",
        "multiplies v again in place of the newest term",
        ("autograd.grad(image, z, term,", "autograd.grad(image, z, v,"),
    ),
    slip(
        "ex16-7",
        "lets the graph of the state through",
        (
            "z = z.detach().requires_grad_()",
            "z = z if z.requires_grad else z.detach().requires_grad_()",
        ),
    ),
    Mutant(
        "ex16-7",
        "unrolls damped steps, and keeps a graph for each",
        """
def phantom(f, z, theta, v, k, tau):
    h = z.detach()
    for _ in range(k):
        h = tau * f(h, theta) + (1 - tau) * h
    return torch.autograd.grad(h, theta, v)[0]
""",
    ),
    slip("ex16-8", "forgets the square", (".item() ** 2", ".item()")),
    slip(
        "ex16-8",
        "overlooks that a tall matrix loses some u",
        ("B.shape[0] > B.shape[1] or ", ""),
    ),
    slip(
        "ex16-8",
        "calls every wide matrix hopeless",
        ("B.shape[0] > B.shape[1]", "B.shape[0] < B.shape[1]"),
    ),
    slip(
        "ex16-8",
        "asks for an exact zero",
        ("gains[-1] <= 1e-12 * gains[0]", "gains[-1] == 0"),
    ),
    slip(
        "ex16-8",
        "calls a gain zero by its size alone",
        ("1e-12 * gains[0]", "1e-12"),
    ),
    slip(
        "ex16-8",
        "leaves the damping out of the rate",
        ("1 - tau * (1 - q)", "q"),
    ),
    slip(
        "ex16-8",
        "takes tau q for the rate",
        ("1 - tau * (1 - q)", "tau * q"),
    ),
    slip(
        "ex16-8",
        "begins at no term",
        ("k, left = (1, 1 - tau * (1 - q))", "k, left = (0, 1.0)"),
    ),
    Mutant(
        "ex16-8",
        "rounds the number of terms down",
        """
def terms_needed(B, q, tau):
    gains = torch.linalg.svdvals(B)
    if B.shape[0] > B.shape[1] or gains[-1] <= 1e-12 * gains[0]:
        return math.inf
    allowed, rate = (gains[-1] / gains[0]).item() ** 2, 1 - tau * (1 - q)
    return max(1, math.floor(math.log(allowed) / math.log(rate))) if rate else 1
""",
    ),
]

ALTERNATIVES = [
    Alternative("ex16-1", "goes through the samples one by one", PICARD_LOOP),
    Alternative(
        "ex16-1",
        "writes squares and keeps a mask of who is awake",
        """
def picard(step, z0, tol, limit):
    z, awake = z0.clone(), torch.ones(len(z0), 1, dtype=torch.bool)
    looks = torch.zeros(len(z0), dtype=torch.int32)
    while limit > 0 and awake.any():
        limit -= 1
        f = step(z)
        looks += awake[:, 0]
        moved = (f - z).square().sum(1, keepdim=True).sqrt()
        awake = moved > tol * f.square().sum(1, keepdim=True).sqrt()
        z = z + awake * (f - z)
    return z, looks
""",
    ),
    Alternative(
        "ex16-2",
        "takes singular values, and a logarithm",
        """
def bounded(V, q):
    largest = torch.linalg.svdvals(V)[0]
    return V if largest <= q else q * V / largest
def enough(q, first, tol):
    k = math.log(tol * (1 - q) / first) / math.log(q)
    return max(0, math.ceil(k - 1e-9))
""",
    ),
    Alternative(
        "ex16-2",
        "divides by the larger of 1 and the ratio",
        """
def bounded(V, q):
    return V / (torch.linalg.norm(V, ord=2) / q).clamp(min=1)
def enough(q, first, tol):
    k = 0
    while q ** k * first > tol * (1 - q):
        k += 1
    return k
""",
    ),
    Alternative(
        "ex16-3",
        "uses the pseudo-inverse, also for no differences",
        """
def anderson_next(Z, F):
    G = F - Z
    gamma = torch.linalg.pinv(G.diff(dim=0).permute(1, 2, 0)) @ G[-1][..., None]
    return F[-1] - (F.diff(dim=0).permute(1, 2, 0) @ gamma).squeeze(-1)
""",
    ),
    Alternative(
        "ex16-3",
        "goes through the samples one by one",
        """
def anderson_next(Z, F):
    following = []
    for z, f in zip(Z.unbind(1), F.unbind(1)):
        g = f - z
        if len(g) == 1:
            following.append(f[-1])
            continue
        gamma = torch.linalg.pinv((g[1:] - g[:-1]).T) @ g[-1]
        following.append(f[-1] - gamma @ (f[1:] - f[:-1]))
    return torch.stack(following)
""",
    ),
    Alternative(
        "ex16-4",
        "goes through the samples one by one",
        """
def forget(Z, F, best, image, lost):
    Z, F = Z.clone(), F.clone()
    for i in range(Z.shape[1]):
        move, least = (F[-1, i] - Z[-1, i]).norm(), (image[i] - best[i]).norm()
        if not (torch.isfinite(move) and move <= lost * least):
            Z[:, i], F[:, i] = best[i], image[i]
    return Z, F
""",
    ),
    Alternative(
        "ex16-4",
        "replaces what is not finite by a large number",
        """
def forget(Z, F, best, image, lost):
    move = (F[-1] - Z[-1]).square().sum(-1).sqrt()
    stays = torch.isfinite(move) & (move <= lost * (image - best).square().sum(-1).sqrt())
    mask = stays.reshape(1, -1, 1).expand_as(Z)
    return torch.where(mask, Z, best.expand_as(Z)), torch.where(mask, F, image.expand_as(F))
""",
    ),
    Alternative(
        "ex16-5",
        "uses torch.func.vjp",
        """
def implicit(f, z, theta, v):
    image, pull = torch.func.vjp(f, z.detach(), theta.detach())
    u = solve(lambda u: v + pull(u)[0], v)
    return pull(u)[1]
""",
    ),
    Alternative(
        "ex16-5",
        "starts from zero, and sums the series if that is long enough",
        """
def implicit(f, z, theta, v):
    leaf = z.detach().clone().requires_grad_(True)
    out = f(leaf, theta)
    u = v
    for _ in range(500):
        (back,) = torch.autograd.grad(out, leaf, u, retain_graph=True)
        u = v + back
    (slope,) = torch.autograd.grad(out, theta, u)
    return slope
""",
    ),
    Alternative(
        "ex16-6",
        "solves least squares with the atoms themselves",
        _slopes(
            "-(torch.linalg.pinv(A_on) @ torch.linalg.pinv(A_on).T @ s) @ v[i, on]"
        ),
    ),
    Alternative(
        "ex16-6",
        "solves all samples at once, with ones off the support",
        """
def slope_by_lam(A, x, v):
    on = (x != 0).to(A.dtype)
    gram = torch.diag_embed(on) @ (A.T @ A) @ torch.diag_embed(on)
    gram = gram + torch.diag_embed(1 - on)
    change = torch.linalg.solve(gram, x.sign()[..., None])[..., 0]
    return -(on * v * change).sum(dim=1)
""",
    ),
    Alternative(
        "ex16-7",
        "uses torch.func.vjp and a list of terms",
        """
def phantom(f, z, theta, v, k, tau):
    image, pull = torch.func.vjp(f, z.detach(), theta.detach())
    terms = [v]
    while len(terms) < k:
        terms.append(tau * pull(terms[-1])[0] + (1 - tau) * terms[-1])
    return tau * pull(sum(terms))[1]
""",
    ),
    Alternative(
        "ex16-7",
        "sums by Horner's rule",
        """
def phantom(f, z, theta, v, k, tau):
    leaf = z.detach().requires_grad_()
    out = f(leaf, theta)
    total = v
    for _ in range(k - 1):
        back = torch.autograd.grad(out, leaf, total, retain_graph=True)[0]
        total = v + tau * back + (1 - tau) * total
    return torch.autograd.grad(out, theta, total)[0] * tau
""",
    ),
    Alternative(
        "ex16-8",
        "takes a power in each turn of the loop",
        """
def terms_needed(B, q, tau):
    rank = torch.linalg.matrix_rank(B, rtol=1e-12)
    if rank < B.shape[0]:
        return math.inf
    s = torch.linalg.svdvals(B)
    k = 1
    while (1 - tau * (1 - q)) ** k > (s.min() / s.max()) ** 2:
        k += 1
    return k
""",
    ),
    Alternative(
        "ex16-8",
        "rounds a quotient of logarithms up",
        changed(
            solutions()["ex16-8"],
            (
                "k, left = (1, 1 - tau * (1 - q))\n"
                "    while left > allowed:\n"
                "        k, left = (k + 1, left * (1 - tau * (1 - q)))\n"
                "    return k",
                "rate = 1 - tau * (1 - q)\n"
                "    if rate == 0 or allowed == 1:\n"
                "        return 1\n"
                "    return max(1, math.ceil(math.log(allowed) / math.log(rate) - 1e-9))",
            ),
        ),
    ),
]
