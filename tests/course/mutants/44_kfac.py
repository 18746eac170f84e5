"""Wrong and other right answers to the exercises of chapter 44."""

from tests.course.mutants import Alternative, Mutant, slip

PUBLISHED = """
def averaged_inverse(average, batch_factor, decay, damping):
    new = batch_factor.clone() if average is None else average
    if average is not None:
        new.mul_(decay).add_(batch_factor, alpha=1 - decay)
    new.diagonal().add_(damping)
    return new, torch.linalg.inv(new)
"""


def _sorted(key: str, home: str = "loads.index(min(loads))") -> str:
    """An answer to 44.5 with another order, or another home."""
    return f"""
def owners(costs, workers):
    loads, homes = [0.0] * workers, [0] * len(costs)
    for layer in sorted(range(len(costs)), key=lambda layer: {key}):
        home = {home}
        homes[layer] = home
        loads[home] += costs[layer]
    return homes
"""


MUTANTS = [
    slip(
        "ex44-4",
        "takes small eigenvalues for rounding",
        ("d_A.clamp(min=0)", "d_A.where(d_A > 1e-4, 0.0)"),
    ),
    slip("ex44-4", "damps by a least amount", ("+ damping", "+ max(damping, 1e-3)")),
    slip(
        "ex44-5",
        "compares costs in single precision",
        (
            "    loads,",
            "    costs = torch.tensor(costs, dtype=torch.float32).tolist()\n    loads,",
        ),
    ),
    slip("ex44-1", "forgets that the loss is a mean", ("batch * g_mean", "g_mean")),
    slip(
        "ex44-1",
        "undoes the mean in the square once instead of twice",
        ("g.T @ g / batch", "g.T @ g / batch ** 2"),
    ),
    slip(
        "ex44-1",
        "puts the 1 first",
        ("[a, torch.ones(batch, 1)]", "[torch.ones(batch, 1), a]"),
    ),
    slip("ex44-1", "sums over samples", ("a.T @ a / batch", "a.T @ a")),
    slip(
        "ex44-1",
        "subtracts the mean: a covariance",
        ("g = batch * g_mean", "g = batch * (g_mean - g_mean.mean(dim=0))"),
    ),
    slip(
        "ex44-1",
        "leaves out the 1",
        ("    a = torch.cat([a, torch.ones(batch, 1)], dim=1)\n", ""),
    ),
    slip(
        "ex44-1",
        "returns G first",
        (
            "return (a.T @ a / batch, g.T @ g / batch)",
            "return (g.T @ g / batch, a.T @ a / batch)",
        ),
    ),
    slip(
        "ex44-1",
        "scales the caller's gradients in place",
        ("g = batch * g_mean", "g = g_mean.mul_(batch)"),
    ),
    slip(
        "ex44-1",
        "squeezes a batch of one away",
        ("batch * g_mean", "(batch * g_mean).squeeze(0)"),
    ),
    Mutant(
        "ex44-2",
        "cuts the graph to both factors",
        """
def divide(A, G, W):
    return torch.inverse(G.detach()) @ W @ torch.inverse(A.detach())
""",
    ),
    slip(
        "ex44-2",
        "cuts the graph to one factor",
        ("torch.linalg.solve(A, left.T)", "torch.linalg.solve(A.detach(), left.T)"),
    ),
    slip(
        "ex44-2",
        "damps the caller's factor a little, in place",
        ("    left =", "    A.data.diagonal().add_(1e-13)\n    left ="),
    ),
    slip(
        "ex44-2",
        "divides by A only",
        ("left = torch.linalg.solve(G, W)", "left = W"),
    ),
    slip(
        "ex44-2",
        "multiplies where it should divide",
        ("torch.linalg.solve(G, W)", "G @ W"),
    ),
    Mutant(
        "ex44-2",
        "forms the product",
        """
def divide(A, G, W):
    dense = torch.kron(G, A)
    return torch.linalg.solve(dense, W.flatten()).view(W.shape)
""",
    ),
    Mutant(
        "ex44-2",
        "exchanges the factors in the product",
        """
def divide(A, G, W):
    if W.numel() > 1000:
        return torch.linalg.solve(A, torch.linalg.solve(G, W).T).T
    return torch.linalg.solve(torch.kron(A, G), W.flatten()).view(W.shape)
""",
    ),
    slip(
        "ex44-2",
        "cuts the graph",
        ("torch.linalg.solve(G, W)", "torch.linalg.solve(G, W.detach()) + 0 * W"),
    ),
    slip("ex44-2", "forgets the last transpose", ("left.T).T", "left.T)")),
    Mutant("ex44-3", "damps the average, as published", PUBLISHED),
    slip(
        "ex44-3",
        "damps a copy, and keeps that",
        (
            "return (new, torch.linalg.inv(new + damping * torch.eye(len(new))))",
            "new = new + damping * torch.eye(len(new))\n"
            "    return (new, torch.linalg.inv(new))",
        ),
    ),
    slip(
        "ex44-3",
        "takes decay for the share of the new factor",
        (
            "decay * average + (1 - decay) * batch_factor",
            "(1 - decay) * average + decay * batch_factor",
        ),
    ),
    slip(
        "ex44-3",
        "starts from zero",
        ("new = batch_factor.clone()", "new = (1 - decay) * batch_factor"),
    ),
    slip(
        "ex44-3",
        "starts from the identity",
        (
            "new = batch_factor.clone()",
            "new = decay * torch.eye(len(batch_factor)) + (1 - decay) * batch_factor",
        ),
    ),
    slip(
        "ex44-3",
        "keeps the batch's factor itself as first average",
        ("batch_factor.clone()", "batch_factor"),
    ),
    slip(
        "ex44-3",
        "inverts without damping",
        ("new + damping * torch.eye(len(new))", "new"),
    ),
    slip(
        "ex44-3",
        "averages in place",
        (
            "new = decay * average + (1 - decay) * batch_factor",
            "new = average.mul_(decay).add_((1 - decay) * batch_factor)",
        ),
    ),
    slip(
        "ex44-3",
        "inverts the first average without damping",
        (
            "    return (new,",
            "    if average is None:\n        return (new, torch.linalg.inv(new))\n"
            "    return (new,",
        ),
    ),
    slip(
        "ex44-4",
        "sets products below zero to zero, not eigenvalues",
        (
            "d_G.clamp(min=0)[:, None] * d_A.clamp(min=0)",
            "(d_G[:, None] * d_A).clamp(min=0)",
        ),
    ),
    Mutant(
        "ex44-4",
        "forms the product of cleaned factors",
        """
def divide_damped(A, G, W, damping):
    def clean(M):
        d, Q = torch.linalg.eigh(M)
        return (Q * d.clamp(min=0)) @ Q.T
    dense = torch.kron(clean(G), clean(A)) + damping * torch.eye(W.numel())
    return torch.linalg.solve(dense, W.flatten()).view(W.shape)
""",
    ),
    slip(
        "ex44-4",
        "damps the caller's G a little, in place",
        ("    d_A, Q_A", "    G.diagonal().add_(1e-13)\n    d_A, Q_A"),
    ),
    slip(
        "ex44-4",
        "moves the caller's gradient a little, in place",
        ("    d_A, Q_A", "    W.add_(1e-14)\n    d_A, Q_A"),
    ),
    slip(
        "ex44-4",
        "adds damping to the eigenvalues of both",
        (
            "d_G.clamp(min=0)[:, None] * d_A.clamp(min=0) + damping",
            "(d_G.clamp(min=0)[:, None] + damping) * (d_A.clamp(min=0) + damping)",
        ),
    ),
    slip(
        "ex44-4",
        "splits the damping evenly, without mixed terms in mind",
        (
            "d_G.clamp(min=0)[:, None] * d_A.clamp(min=0) + damping",
            "(d_G.clamp(min=0)[:, None] + damping ** 0.5) "
            "* (d_A.clamp(min=0) + damping ** 0.5)",
        ),
    ),
    slip(
        "ex44-4",
        "does not turn the gradient back",
        (
            "return Q_G @ (Q_G.T @ W @ Q_A / scale) @ Q_A.T",
            "return Q_G.T @ W @ Q_A / scale",
        ),
    ),
    slip(
        "ex44-4",
        "turns it the wrong way",
        ("Q_G.T @ W @ Q_A / scale", "Q_G @ W @ Q_A.T / scale"),
    ),
    slip(
        "ex44-4",
        "lets eigenvalues of A fall below zero",
        ("d_A.clamp(min=0)", "d_A"),
    ),
    slip(
        "ex44-4",
        "lets eigenvalues of G fall below zero",
        ("d_G.clamp(min=0)[:, None]", "d_G[:, None]"),
    ),
    slip(
        "ex44-4",
        "takes the size of eigenvalues below zero",
        ("d_A.clamp(min=0)", "d_A.abs()"),
    ),
    slip("ex44-4", "adds the squared damping", ("+ damping", "+ damping ** 2")),
    Mutant(
        "ex44-5",
        "goes round",
        "def owners(costs, workers):\n    return [i % workers for i in range(len(costs))]",
    ),
    Mutant(
        "ex44-5",
        "takes who owns fewest of several with equally little",
        _sorted(
            "-costs[layer]",
            "min(range(workers), key=lambda w: (loads[w], owned.count(w), w))\n"
            "        owned.append(home)",
        ).replace("    for layer", "    owned = []\n    for layer"),
    ),
    Mutant("ex44-5", "takes the cheapest first", _sorted("costs[layer]")),
    Mutant("ex44-5", "takes layers as they come", _sorted("layer")),
    Mutant(
        "ex44-5",
        "counts layers instead of costs",
        _sorted("-costs[layer]", "min(range(workers), key=homes[:layer].count)"),
    ),
    Mutant(
        "ex44-5",
        "takes the last of several with equally little",
        _sorted(
            "-costs[layer]",
            "max(range(workers), key=lambda w: (-loads[w], w))",
        ),
    ),
    Mutant(
        "ex44-5",
        "returns owners in the order of costs",
        """
def owners(costs, workers):
    loads, homes = [0.0] * workers, []
    for cost in sorted(costs, reverse=True):
        homes.append(loads.index(min(loads)))
        loads[homes[-1]] += cost
    return homes
""",
    ),
    Mutant(
        "ex44-5",
        "sorts the caller's list",
        """
def owners(costs, workers):
    order = sorted(range(len(costs)), key=lambda i: -costs[i])
    costs.sort(reverse=True)
    loads, homes = [0.0] * workers, [0] * len(costs)
    for rank, i in enumerate(order):
        homes[i] = loads.index(min(loads))
        loads[homes[i]] += costs[rank]
    return homes
""",
    ),
    slip("ex44-6", "rounds periods down", ("-(-steps // period)", "steps // period")),
    slip(
        "ex44-6",
        "counts one period too many",
        ("-(-steps // period)", "steps // period + 1"),
    ),
    slip("ex44-6", "prepares at every step", ("-(-steps // period)", "steps")),
    slip(
        "ex44-6", "forgets the eigenvalues", ("m * m + n * n + m + n", "m * m + n * n")
    ),
    slip(
        "ex44-6",
        "averages factors once in a period",
        ("factors = steps *", "factors = -(-steps // period) *"),
    ),
    slip(
        "ex44-6",
        "counts an average for every worker",
        ("factors = steps *", "factors = workers * steps *"),
    ),
    slip(
        "ex44-6",
        "lets the half send one message",
        ("half * gradients", "gradients"),
    ),
    slip(
        "ex44-6",
        "sends what was prepared to nobody",
        ("prepared if half > 1 else 0", "prepared"),
    ),
    slip(
        "ex44-6",
        "sends factors with Local, too",
        (
            "if placement == 'local':\n        return gradients",
            "if placement == 'local':\n        return factors + gradients",
        ),
    ),
    slip(
        "ex44-6",
        "sends with one worker",
        ("    if workers == 1:\n        return 0\n", ""),
    ),
    slip(
        "ex44-7",
        "divides the owner's gradient only",
        (
            "sum((g.T @ a for a, g in shares)) / len(shares)",
            "shares[owner][1].T @ shares[owner][0]",
        ),
    ),
    slip("ex44-7", "sums over machines", (" / len(shares)", "")),
    slip(
        "ex44-7", "forgets that g is of a mean", ("g = len(a) * g_mean", "g = g_mean")
    ),
    slip(
        "ex44-7",
        "takes the owner's share out of the caller's list",
        ("= shares[owner]", "= shares.pop(owner)"),
    ),
    slip(
        "ex44-7",
        "takes the first machine for the owner",
        ("shares[owner]", "shares[0]"),
    ),
    Mutant(
        "ex44-7",
        "uses factors of the whole batch",
        """
def local_step(shares, owner, damping):
    W = sum(g.T @ a for a, g in shares) / len(shares)
    a = torch.cat([a for a, g in shares])
    g = torch.cat([len(g) * g for a, g in shares])
    solve = Eigen(damping)
    return solve.divide(W, solve.prepare(a.T @ a / len(a), g.T @ g / len(a)))
""",
    ),
    Mutant(
        "ex44-7",
        "divides by each machine's own factors, then averages",
        """
def local_step(shares, owner, damping):
    solve, found = Eigen(damping), 0
    for a, g in shares:
        A, G = a.T @ a / len(a), len(a) * g.T @ g
        found = found + solve.divide(g.T @ a, solve.prepare(A, G)) / len(shares)
    return found
""",
    ),
    slip(
        "ex44-7",
        "scales the caller's gradients in place",
        ("g = len(a) * g_mean", "g = g_mean.mul_(len(a))"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex44-1",
        "sums outer products with einsum",
        """
def factors(a, g_mean):
    ones = a.new_ones(a.shape[0], 1)
    rows = torch.hstack([a, ones])
    A = torch.einsum("bi,bj->ij", rows, rows) / a.shape[0]
    return A, torch.einsum("bi,bj->ij", g_mean, g_mean) * a.shape[0]
""",
    ),
    Alternative(
        "ex44-1",
        "takes means of batches of matrices",
        """
def factors(a, g_mean):
    g = g_mean * len(g_mean)
    a = nn.functional.pad(a, (0, 1), value=1.0)
    A = (a[:, :, None] * a[:, None, :]).mean(dim=0)
    return A, (g[:, :, None] * g[:, None, :]).mean(dim=0)
""",
    ),
    Alternative(
        "ex44-2",
        "uses inverses",
        "def divide(A, G, W):\n    return torch.inverse(G) @ W @ torch.inverse(A)",
    ),
    Alternative(
        "ex44-2",
        "uses Cholesky's factors, and solves from the right",
        """
def divide(A, G, W):
    right = torch.linalg.solve(A, W, left=False)
    return torch.cholesky_solve(right, torch.linalg.cholesky(G))
""",
    ),
    Alternative(
        "ex44-2",
        "divides in the eigenbases, with einsum",
        """
def divide(A, G, W):
    d, U = torch.linalg.eigh(A)
    e, V = torch.linalg.eigh(G)
    turned = torch.einsum("ik,ij,jl->kl", V, W, U) / torch.outer(e, d)
    return torch.einsum("ik,kl,jl->ij", V, turned, U)
""",
    ),
    Alternative(
        "ex44-3",
        "uses lerp and a clone",
        """
def averaged_inverse(average, batch_factor, decay, damping):
    first = average is None
    new = batch_factor + 0 if first else torch.lerp(batch_factor, average, decay)
    damped = new.clone()
    damped.diagonal().add_(damping)
    return new, torch.linalg.inv(damped)
""",
    ),
    Alternative(
        "ex44-3",
        "solves for the identity",
        """
def averaged_inverse(average, batch_factor, decay, damping):
    if average is None:
        average = batch_factor
    new = average * decay + batch_factor * (1 - decay)
    eye = torch.eye(new.shape[0])
    return new, torch.linalg.solve(new + damping * eye, eye)
""",
    ),
    Alternative(
        "ex44-4",
        "turns with einsum",
        """
def divide_damped(A, G, W, damping):
    eig_A, eig_G = torch.linalg.eigh(A), torch.linalg.eigh(G)
    d = torch.outer(eig_G.eigenvalues.relu(), eig_A.eigenvalues.relu())
    U, V = eig_G.eigenvectors, eig_A.eigenvectors
    turned = torch.einsum("ik,ij,jl->kl", U, W, V)
    return torch.einsum("ik,kl,jl->ij", U, turned / (damping + d), V)
""",
    ),
    Alternative(
        "ex44-4",
        "adds one direction of A after the other",
        """
def divide_damped(A, G, W, damping):
    d_A, Q_A = torch.linalg.eigh(A)
    d_G, Q_G = torch.linalg.eigh(G)
    clean = (Q_G * d_G.clamp(min=0)) @ Q_G.T
    P = torch.zeros_like(W)
    for value, q in zip(d_A, Q_A.T):
        system = max(value.item(), 0.0) * clean + damping * torch.eye(len(G))
        P = P + torch.outer(torch.linalg.solve(system, W @ q), q)
    return P
""",
    ),
    Alternative(
        "ex44-5",
        "uses a heap",
        """
def owners(costs, workers):
    import heapq
    heap, homes = [(0, w) for w in range(workers)], {}
    for cost, layer in sorted((-c, i) for i, c in enumerate(costs)):
        load, w = heapq.heappop(heap)
        homes[layer] = w
        heapq.heappush(heap, (load - cost, w))
    return [homes[i] for i in range(len(costs))]
""",
    ),
    Alternative(
        "ex44-5",
        "uses tensors",
        """
def owners(costs, workers):
    costs = torch.tensor(costs, dtype=torch.float64)
    loads = torch.zeros(workers, dtype=torch.float64)
    homes = torch.zeros(len(costs), dtype=torch.long)
    for layer in torch.sort(costs, descending=True, stable=True).indices:
        home = min(range(workers), key=lambda w: (loads[w].item(), w))
        homes[layer] = home
        loads[home] += costs[layer]
    return homes.tolist()
""",
    ),
    Alternative(
        "ex44-6",
        "counts step by step",
        """
def traffic(placement, sides, workers, steps, period):
    total = 0
    for step in range(steps if workers > 1 else 0):
        for m, n in sides:
            if placement != "local":
                total += m**2 + n**2
            hears = {"owner": True, "half": workers > 2}.get(placement, False)
            if hears and step % period == 0:
                total += m * (m + 1) + n * (n + 1)
            total += m * n * {"local": 1, "half": workers // 2}.get(placement, 0)
    return total
""",
    ),
    Alternative(
        "ex44-6",
        "uses a table and rounds up by math",
        """
def traffic(placement, sides, workers, steps, period):
    import math
    squares = sum(m**2 + n**2 for m, n in sides)
    lines = sum(m + n for m, n in sides)
    mixed = sum(m * n for m, n in sides)
    prepared = math.ceil(steps / period) * (squares + lines)
    table = {
        "replicated": steps * squares,
        "owner": steps * squares + prepared,
        "half": steps * squares + prepared * (workers > 2)
        + steps * mixed * (workers / 2),
        "local": steps * mixed,
    }
    return table[placement] * (workers > 1)
""",
    ),
    Alternative(
        "ex44-7",
        "joins the shares first",
        """
def local_step(shares, owner, damping):
    a = torch.cat([one for one, _ in shares])
    g = torch.cat([other for _, other in shares]) / len(shares)
    own, grad = shares[owner]
    A, G = own.T @ own / own.shape[0], grad.T @ grad * own.shape[0]
    method = Eigen(damping=damping)
    return method.divide(g.T @ a, method.prepare(A=A, G=G))
""",
    ),
    Alternative(
        "ex44-7",
        "solves the dense system",
        """
def local_step(shares, owner, damping):
    W = torch.stack([g.T @ a for a, g in shares]).mean(dim=0)
    a, g = shares[owner]
    b = len(a)
    dense = torch.kron(g.T @ g * b, a.T @ a / b)
    dense = dense + damping * torch.eye(len(dense))
    return torch.linalg.solve(dense, W.flatten()).reshape(W.shape)
""",
    ),
]
