"""Wrong and other right answers to the exercises of chapter 35."""

from tests.course.mutants import Alternative, Mutant, slip

MUTANTS = [
    Mutant(
        "ex35-1",
        "averages the estimates of single values",
        """
def one_unknown(h, y, sigma):
    return (h / y).mean(), sigma / h.norm() * (h / y).mean() ** 2
""",
    ),
    Mutant(
        "ex35-1",
        "fits 1/y, which is linear in C as well, with the wrong weights",
        """
def one_unknown(h, y, sigma):
    C = 1 / ((y / h).mean())
    return C, sigma / h.norm() * C**2
""",
    ),
    slip("ex35-1", "returns a, not C", ("(1 / a, ", "(a, ")),
    slip("ex35-1", "the deviation of a", ("deviation / a ** 2", "deviation")),
    slip("ex35-1", "divides by a once", ("deviation / a ** 2", "deviation / a")),
    slip("ex35-1", "multiplies by a squared", ("/ a ** 2", "* a ** 2")),
    slip("ex35-1", "a variance", ("sigma / h.norm()", "sigma**2 / (h @ h)")),
    slip(
        "ex35-1",
        "the deviation of a mean",
        ("sigma / h.norm()", "sigma / len(h) ** 0.5"),
    ),
    slip("ex35-1", "sums without a root", ("sigma / h.norm()", "sigma / (h @ h)")),
    slip("ex35-1", "the 1-norm", ("h.norm()", "h.abs().sum()")),
    slip("ex35-2", "forgets the sign", ("-J_theta", "J_theta")),
    slip("ex35-2", "forgets the sensors", ("P @ moves", "moves")),
    slip(
        "ex35-2",
        "for square systems only",
        (
            "torch.linalg.lstsq(J_w, -J_theta).solution",
            "torch.linalg.solve(J_w, -J_theta)",
        ),
    ),
    slip(
        "ex35-2",
        "the transpose for the inverse",
        (
            "torch.linalg.lstsq(J_w, -J_theta).solution",
            "-J_w.T @ J_theta",
        ),
    ),
    slip(
        "ex35-2",
        "normal equations of tall systems only",
        (
            "torch.linalg.lstsq(J_w, -J_theta).solution",
            "-torch.linalg.solve(J_w.T @ J_w, J_w.T @ J_theta)",
        ),
    ),
    slip(
        "ex35-2",
        "normal equations of wide systems only",
        (
            "torch.linalg.lstsq(J_w, -J_theta).solution",
            "-J_w.T @ torch.linalg.solve(J_w @ J_w.T, J_theta)",
        ),
    ),
    slip(
        "ex35-2",
        "solves with the transpose",
        (
            "torch.linalg.lstsq(J_w, -J_theta).solution",
            "-torch.linalg.pinv(J_w.T) @ J_theta if len(J_w) == len(J_w.T) "
            "else -torch.linalg.pinv(J_w) @ J_theta",
        ),
    ),
    slip("ex35-2", "the first unknown only", ("P @ moves", "P @ moves[:, :1]")),
    slip("ex35-2", "in single precision", ("P @ moves", "(P @ moves).float()")),
    slip("ex35-3", "forgets the noise", ("S / sigma[:, None]", "S")),
    slip(
        "ex35-3",
        "divides once, where the information needs the square",
        (
            "S / sigma[:, None]",
            "S / sigma[:, None].sqrt()",
        ),
    ),
    slip("ex35-3", "one noise for all", ("sigma[:, None]", "sigma.mean()")),
    slip(
        "ex35-3",
        "inverts single entries for both",
        (
            "torch.linalg.inv(F).diagonal().sqrt()",
            "known",
        ),
    ),
    slip(
        "ex35-3",
        "variances for deviations",
        (
            "torch.linalg.inv(F).diagonal().sqrt()",
            "torch.linalg.inv(F).diagonal()",
        ),
    ),
    slip("ex35-3", "the diagonal as it is", (".rsqrt()", ".sqrt()")),
    slip(
        "ex35-3",
        "exchanges the two",
        (
            "return (known, torch.linalg.inv(F).diagonal().sqrt())",
            "return (torch.linalg.inv(F).diagonal().sqrt(), known)",
        ),
    ),
    slip(
        "ex35-3",
        "a pseudo-inverse where nothing can be known",
        (
            "torch.full_like(known, torch.inf)",
            "torch.linalg.pinv(F).diagonal().sqrt()",
        ),
    ),
    slip(
        "ex35-3",
        "all infinite, known others too",
        (
            "return (known, torch.full_like(known, torch.inf))",
            "return (torch.full_like(known, torch.inf), torch.full_like(known, torch.inf))",
        ),
    ),
    slip(
        "ex35-3",
        "calls nearly dependent dependent",
        (
            "matrix_rank(W)",
            "matrix_rank(W, rtol=1e-3)",
        ),
    ),
    slip(
        "ex35-3",
        "compares pairs of columns only",
        (
            "torch.linalg.matrix_rank(W) < len(F)",
            "any(torch.linalg.matrix_rank(W[:, [i, j]]) < 2 "
            "for i in range(len(F)) for j in range(i))",
        ),
    ),
    slip("ex35-4", "goes the wrong way", ("(y - u) / sigma", "(u - y) / sigma")),
    slip("ex35-4", "forgets the noise of the values", ("(y - u) / sigma", "y - u")),
    slip(
        "ex35-4",
        "forgets the noise of the slopes",
        (
            "rows = S / sigma[:, None]",
            "rows = S",
        ),
    ),
    slip(
        "ex35-4",
        "weighs all values alike",
        (
            "(y - u) / sigma",
            "y - u",
        ),
        ("rows = S / sigma[:, None]", "rows = S"),
    ),
    slip("ex35-4", "one step whatever is asked", ("range(steps)", "range(1)")),
    slip("ex35-4", "one step more", ("range(steps)", "range(steps + 1)")),
    slip(
        "ex35-4",
        "half a step",
        ("torch.linalg.lstsq(rows", "0.5 * torch.linalg.lstsq(rows"),
    ),
    slip("ex35-4", "changes theta in place", ("theta = theta +", "theta +=")),
    slip(
        "ex35-4",
        "slopes of the first guess for ever",
        (
            "    for _ in range(steps):\n        u, S = model(theta)\n",
            "    S = model(theta)[1]\n    for _ in range(steps):\n        u = model(theta)[0]\n",
        ),
    ),
    Mutant(
        "ex35-4",
        "descends the gradient",
        """
def gauss_newton(model, theta, y, sigma, steps):
    for _ in range(steps):
        u, S = model(theta)
        W = S / sigma[:, None]
        theta = theta + W.T @ ((y - u) / sigma) / (W.T @ W).trace()
    return theta
""",
    ),
    slip("ex35-5", "divides by m", ("(m - p)", "m")),
    slip("ex35-5", "divides by m - 1", ("(m - p)", "(m - 1)")),
    slip("ex35-5", "a factor of z too little", ("half = z * ", "half = ")),
    slip(
        "ex35-5",
        "others known",
        (
            "torch.linalg.inv(S.T @ S).diagonal()",
            "1 / (S.T @ S).diagonal()",
        ),
    ),
    slip("ex35-5", "no root", (").sqrt()\n    return", ")\n    return")),
    slip(
        "ex35-5",
        "upper end first",
        (
            "theta - half, theta + half",
            "theta + half, theta - half",
        ),
    ),
    slip("ex35-5", "half as wide", ("half = z * ", "half = z / 2 * ")),
    slip(
        "ex35-5",
        "the spread of what is left, its mean taken off",
        (
            "r.square().sum() / (m - p)",
            "r.var()",
        ),
    ),
    slip(
        "ex35-5",
        "scatter of one value, not of the estimate",
        (
            "(variance * torch.linalg.inv(S.T @ S).diagonal()).sqrt()",
            "variance.sqrt() * torch.ones(p)",
        ),
    ),
    slip("ex35-6", "forgets the noise", ("S / sigma[:, None]", "S")),
    slip(
        "ex35-6",
        "divides by half of it",
        (
            "S / sigma[:, None]",
            "S / sigma[:, None].sqrt()",
        ),
    ),
    slip(
        "ex35-6",
        "the most sensitive candidate",
        (
            "(W * torch.linalg.solve(F, W.T).T).sum(dim=1)",
            "W.square().sum(dim=1)",
        ),
    ),
    slip("ex35-6", "measures where most is known", ("argmax", "argmin")),
    slip("ex35-6", "multiplies by F", ("torch.linalg.solve(F, W.T).T", "(W @ F)")),
    slip(
        "ex35-6",
        "a tensor for a number",
        ("int(variance.argmax())", "variance.argmax()"),
    ),
    slip(
        "ex35-6",
        "adds the row without its noise",
        (
            "torch.outer(W[best], W[best])",
            "torch.outer(S[best], S[best])",
        ),
    ),
    slip(
        "ex35-6",
        "changes F in place",
        (
            "return (best, F + torch.outer(W[best], W[best]))",
            "F += torch.outer(W[best], W[best])\n    return best, F",
        ),
    ),
    Mutant(
        "ex35-6",
        "the smallest sum of variances: another design",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    new = F + W[:, :, None] * W[:, None, :]
    best = int(torch.linalg.inv(new).diagonal(dim1=1, dim2=2).sum(1).argmin())
    return best, new[best]
""",
    ),
    slip(
        "ex35-7",
        "forgets the noise",
        (
            "torch.cat([A / sigma,",
            "torch.cat([A,",
        ),
        ("torch.cat([y / sigma,", "torch.cat([y,"),
    ),
    slip(
        "ex35-7",
        "the noise squared",
        (
            "torch.cat([A / sigma,",
            "torch.cat([A / sigma**2,",
        ),
        ("torch.cat([y / sigma,", "torch.cat([y / sigma**2,"),
    ),
    slip(
        "ex35-7",
        "the values without their noise",
        ("torch.cat([y / sigma,", "torch.cat([y,"),
    ),
    slip("ex35-7", "the price squared", ("lam ** 0.5 * L", "lam * L")),
    slip(
        "ex35-7",
        "a ridge: ignores L",
        (
            "lam ** 0.5 * L",
            "lam**0.5 * torch.eye(A.shape[1])",
        ),
        ("torch.zeros(len(L))", "torch.zeros(A.shape[1])"),
    ),
    slip(
        "ex35-7",
        "wants differences of one",
        ("torch.zeros(len(L))", "torch.ones(len(L))"),
    ),
    Mutant(
        "ex35-7",
        "squares the condition",
        """
def tikhonov(A, y, sigma, L, lam):
    H = A.T @ A / sigma**2 + lam * L.T @ L
    return torch.linalg.pinv(H) @ (A.T @ y / sigma**2)
""",
    ),
    Mutant(
        "ex35-7",
        "a column for a vector",
        """
def tikhonov(A, y, sigma, L, lam):
    rows = torch.cat([A / sigma, lam**0.5 * L])
    wanted = torch.cat([y / sigma, torch.zeros(len(L))])
    return torch.linalg.lstsq(rows, wanted[:, None], driver="gelsd").solution
""",
    ),
    Mutant(
        "ex35-1",
        "the slope without its size: a negative deviation where C is negative",
        """
def one_unknown(h, y, sigma):
    a = (h @ y) / (h @ h)
    return 1 / a, sigma / h.norm() / (a * a.abs())
""",
    ),
    Mutant(
        "ex35-1",
        "fits a line with an intercept",
        """
def one_unknown(h, y, sigma):
    a = ((h - h.mean()) @ (y - y.mean())) / (h - h.mean()).square().sum()
    return 1 / a, sigma / h.norm() / a**2
""",
    ),
    Mutant(
        "ex35-1",
        "takes the noise from what is left, not the one given",
        """
def one_unknown(h, y, sigma):
    a = (h @ y) / (h @ h)
    s = (y - a * h).square().mean().sqrt()
    return 1 / a, s / h.norm() / a**2
""",
    ),
    Mutant(
        "ex35-2",
        "turns the sign of J_theta in place",
        """
def sensitivities(J_w, J_theta, P):
    return P @ torch.linalg.lstsq(J_w, J_theta.neg_()).solution
""",
    ),
    Mutant(
        "ex35-2",
        "turns the sign of P in place",
        """
def sensitivities(J_w, J_theta, P):
    return P.neg_() @ torch.linalg.lstsq(J_w, J_theta).solution
""",
    ),
    Mutant(
        "ex35-2",
        "a wide system with the other weights left as they are",
        """
def sensitivities(J_w, J_theta, P):
    r, n = J_w.shape
    if r < n:
        M = torch.zeros(n, J_theta.shape[1])
        M[:r] = torch.linalg.solve(J_w[:, :r], J_theta)
        return -P @ M
    return -P @ torch.linalg.pinv(J_w) @ J_theta
""",
    ),
    Mutant(
        "ex35-3",
        "tests the rank of F, not of W",
        """
def deviations(S, sigma):
    W = S / sigma[:, None]
    F = W.T @ W
    known = F.diagonal().rsqrt()
    if torch.linalg.matrix_rank(F) < len(F):
        return known, torch.full_like(known, torch.inf)
    return known, torch.linalg.inv(F).diagonal().sqrt()
""",
    ),
    Mutant(
        "ex35-3",
        "calls it singular by the size of a determinant",
        """
def deviations(S, sigma):
    W = S / sigma[:, None]
    F = W.T @ W
    known = F.diagonal().rsqrt()
    if torch.linalg.det(F).abs() < 1e-10:
        return known, torch.full_like(known, torch.inf)
    return known, torch.linalg.inv(F).diagonal().sqrt()
""",
    ),
    Mutant(
        "ex35-3",
        "infinite only where an unknown takes part",
        """
def deviations(S, sigma):
    W = S / sigma[:, None]
    F = W.T @ W
    known = F.diagonal().rsqrt()
    if torch.linalg.matrix_rank(W) < len(F):
        N = torch.eye(len(F)) - torch.linalg.pinv(W) @ W
        free = N.norm(dim=1) > 1e-8
        d = torch.linalg.pinv(W).norm(dim=1)
        return known, torch.where(free, torch.inf, d)
    return known, torch.linalg.inv(F).diagonal().sqrt()
""",
    ),
    Mutant(
        "ex35-4",
        "divides what the model returned in place",
        """
def gauss_newton(model, theta, y, sigma, steps):
    for _ in range(steps):
        u, S = model(theta)
        S /= sigma[:, None]
        theta = theta + torch.linalg.lstsq(S, ((y - u) / sigma)[:, None]).solution[:, 0]
    return theta
""",
    ),
    Mutant(
        "ex35-4",
        "calls the model once more than it steps",
        """
def gauss_newton(model, theta, y, sigma, steps):
    u, S = model(theta)
    for _ in range(steps):
        theta = theta + torch.linalg.lstsq(S / sigma[:, None], ((y - u) / sigma)[:, None]).solution[:, 0]
        u, S = model(theta)
    return theta
""",
    ),
    Mutant(
        "ex35-4",
        "stops where the misfit rises",
        """
def gauss_newton(model, theta, y, sigma, steps):
    best = float("inf")
    for _ in range(steps):
        u, S = model(theta)
        left = (y - u) / sigma
        if left.norm() > best:
            break
        best = left.norm()
        theta = theta + torch.linalg.lstsq(S / sigma[:, None], left[:, None]).solution[:, 0]
    return theta
""",
    ),
    Mutant(
        "ex35-4",
        "what is left of the first guess for ever",
        """
def gauss_newton(model, theta, y, sigma, steps):
    left = None
    for _ in range(steps):
        u, S = model(theta)
        left = (y - u) / sigma if left is None else left
        theta = theta + torch.linalg.lstsq(S / sigma[:, None], left[:, None]).solution[:, 0]
    return theta
""",
    ),
    Mutant(
        "ex35-5",
        "the interval of a new value, not of the estimate",
        """
def interval(theta, S, r, z):
    m, p = S.shape
    v = r.square().sum() / (m - p)
    half = z * (v * (1 + torch.linalg.inv(S.T @ S).diagonal())).sqrt()
    return theta - half, theta + half
""",
    ),
    Mutant(
        "ex35-5",
        "the box about the common ellipse",
        """
def interval(theta, S, r, z):
    m, p = S.shape
    half = z * p**0.5 * r.norm() / (m - p) ** 0.5 * torch.linalg.pinv(S).norm(dim=1)
    return theta - half, theta + half
""",
    ),
    Mutant(
        "ex35-5",
        "the largest deviation for all unknowns",
        """
def interval(theta, S, r, z):
    m, p = S.shape
    half = z * r.norm() / (m - p) ** 0.5 * torch.linalg.pinv(S).norm(dim=1).max()
    return theta - half, theta + half
""",
    ),
    Mutant(
        "ex35-6",
        "a loop over candidates",
        """
def next_sensor(F, S, sigma):
    gains = []
    for s, e in zip(S, sigma):
        gains.append(float(s @ torch.linalg.solve(F, s) / e**2))
    best = gains.index(max(gains))
    w = S[best] / sigma[best]
    return best, F + torch.outer(w, w)
""",
    ),
    Mutant(
        "ex35-6",
        "determinants of all new matrices at once",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    new = F + W[:, :, None] * W[:, None, :]
    best = int(torch.linalg.det(new).argmax())
    return best, new[best]
""",
    ),
    Mutant(
        "ex35-6",
        "a determinant by eigenvalues, for each candidate",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    new = F + W[:, :, None] * W[:, None, :]
    best = int(torch.linalg.eigvalsh(new).log().sum(1).argmax())
    return best, new[best]
""",
    ),
    Mutant(
        "ex35-6",
        "as if the unknowns did not depend on each other",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    best = int((W.square() / F.diagonal()).sum(1).argmax())
    return best, F + torch.outer(W[best], W[best])
""",
    ),
    Mutant(
        "ex35-6",
        "looks along the worst known direction only",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    v = torch.linalg.eigh(F)[1][:, 0]
    best = int((W @ v).abs().argmax())
    return best, F + torch.outer(W[best], W[best])
""",
    ),
    Mutant(
        "ex35-7",
        "solves the normal equations",
        """
def tikhonov(A, y, sigma, L, lam):
    H = A.T @ A / sigma**2 + lam * L.T @ L
    return torch.linalg.solve(H, A.T @ y / sigma**2)
""",
    ),
    Mutant(
        "ex35-7",
        "stacks, and squares the stack",
        """
def tikhonov(A, y, sigma, L, lam):
    R = torch.cat([A / sigma, lam**0.5 * L])
    rhs = R.T @ torch.cat([y / sigma, torch.zeros(len(L))])
    return torch.cholesky_solve(rhs[:, None], torch.linalg.cholesky(R.T @ R))[:, 0]
""",
    ),
    Mutant(
        "ex35-7",
        "inverts first and smooths what comes out",
        """
def tikhonov(A, y, sigma, L, lam):
    q = torch.linalg.pinv(A) @ y
    I = torch.eye(A.shape[1])
    return torch.linalg.lstsq(torch.cat([I, sigma * lam**0.5 * L]), torch.cat([q, torch.zeros(len(L))])[:, None]).solution[:, 0]
""",
    ),
    Mutant(
        "ex35-4",
        "makes what is left in the place of u",
        """
def gauss_newton(model, theta, y, sigma, steps):
    for _ in range(steps):
        u, S = model(theta)
        u.neg_().add_(y).div_(sigma)
        theta = theta + torch.linalg.lstsq(S / sigma[:, None], u[:, None]).solution[:, 0]
    return theta
""",
    ),
    Mutant(
        "ex35-4",
        "steps of limited length",
        """
def gauss_newton(model, theta, y, sigma, steps):
    for _ in range(steps):
        u, S = model(theta)
        d = torch.linalg.lstsq(S / sigma[:, None], ((y - u) / sigma)[:, None]).solution[:, 0]
        theta = theta + d * (5 / d.norm().clamp(min=5))
    return theta
""",
    ),
    Mutant(
        "ex35-6",
        "looks at the direction of a candidate, not at its size",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    g = (W * torch.linalg.solve(F, W.T).T).sum(1) / W.square().sum(1)
    best = int(g.argmax())
    return best, F + torch.outer(W[best], W[best])
""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex35-1",
        "sums written out",
        """
def one_unknown(h, y, sigma):
    squares = (h**2).sum()
    C = squares / (h * y).sum()
    return C, sigma * C**2 / squares.sqrt()
""",
    ),
    Alternative(
        "ex35-1",
        "by lstsq",
        """
def one_unknown(h, y, sigma):
    a = torch.linalg.lstsq(h[:, None], y[:, None]).solution.squeeze()
    return a.reciprocal(), sigma * (h @ h) ** -0.5 / a.square()
""",
    ),
    Alternative(
        "ex35-2",
        "by the pseudo-inverse",
        """
def sensitivities(J_w, J_theta, P):
    return -P @ torch.linalg.pinv(J_w) @ J_theta
""",
    ),
    Alternative(
        "ex35-2",
        "by singular values",
        """
def sensitivities(J_w, J_theta, P):
    U, s, V = torch.linalg.svd(J_w, full_matrices=False)
    return P @ (V.T @ ((U.T @ -J_theta) / s[:, None]))
""",
    ),
    Alternative(
        "ex35-3",
        "by singular values",
        """
def deviations(S, sigma):
    W = S / sigma.view(-1, 1)
    known = 1 / W.norm(dim=0)
    _, s, V = torch.linalg.svd(W, full_matrices=False)
    if len(s) < S.shape[1] or s[-1] < 1e-12 * s[0]:
        return known, known + torch.inf
    return known, (V.T / s).norm(dim=1)
""",
    ),
    Alternative(
        "ex35-3",
        "by a triangular factor",
        """
def deviations(S, sigma):
    W = torch.diag(1 / sigma) @ S
    p = S.shape[1]
    alone = (W * W).sum(0) ** -0.5
    if torch.linalg.matrix_rank(W) < p:
        return alone, torch.tensor([float("inf")] * p)
    R = torch.linalg.qr(W)[1]
    return alone, torch.linalg.inv(R).norm(dim=1)
""",
    ),
    Alternative(
        "ex35-4",
        "by the normal equations",
        """
def gauss_newton(model, theta, y, sigma, steps):
    theta = theta.clone()
    for _ in range(steps):
        u, S = model(theta)
        weighted = S.T / sigma**2
        theta = theta + torch.linalg.solve(weighted @ S, weighted @ (y - u))
    return theta
""",
    ),
    Alternative(
        "ex35-4",
        "by a pseudo-inverse, recursively",
        """
def gauss_newton(model, theta, y, sigma, steps):
    if steps == 0:
        return theta
    u, S = model(theta)
    W = torch.diag(1 / sigma)
    return gauss_newton(
        model, theta + torch.linalg.pinv(W @ S) @ (W @ (y - u)), y, sigma, steps - 1
    )
""",
    ),
    Alternative(
        "ex35-5",
        "by a triangular factor",
        """
def interval(theta, S, r, z):
    R = torch.linalg.qr(S)[1]
    s = r.norm() / (len(r) - len(theta)) ** 0.5
    half = z * s * torch.linalg.inv(R).norm(dim=1)
    return theta - half, theta + half
""",
    ),
    Alternative(
        "ex35-5",
        "one unknown after the other",
        """
def interval(theta, S, r, z):
    m, p = S.shape
    V = (r @ r) / (m - p) * torch.linalg.inv(S.T @ S)
    ends = [(theta[j] - z * V[j, j] ** 0.5, theta[j] + z * V[j, j] ** 0.5) for j in range(p)]
    return torch.stack([e[0] for e in ends]), torch.stack([e[1] for e in ends])
""",
    ),
    Alternative(
        "ex35-6",
        "by einsum",
        """
def next_sensor(F, S, sigma):
    W = torch.einsum("ij,i->ij", S, 1 / sigma)
    gain = torch.einsum("ij,jk,ik->i", W, torch.linalg.inv(F), W)
    best = gain.argmax().item()
    return best, F + W[best][:, None] * W[best]
""",
    ),
    Alternative(
        "ex35-6",
        "by a Cholesky factor",
        """
def next_sensor(F, S, sigma):
    W = S / sigma.unsqueeze(1)
    C = torch.linalg.cholesky(F)
    half = torch.linalg.solve_triangular(C, W.T, upper=False)
    best = int(torch.argmax(half.norm(dim=0)))
    return best, F + W[best : best + 1].T @ W[best : best + 1]
""",
    ),
    Alternative(
        "ex35-7",
        "stacked with the other scaling",
        """
def tikhonov(A, y, sigma, L, lam):
    rows = torch.cat([A, sigma * math.sqrt(lam) * L])
    wanted = torch.cat([y, y.new_zeros(L.shape[0])])
    return torch.linalg.lstsq(rows, wanted.unsqueeze(1), driver="gelsd").solution.squeeze(1)
""",
    ),
    Alternative(
        "ex35-7",
        "by the pseudo-inverse of the stack",
        """
def tikhonov(A, y, sigma, L, lam):
    rows = torch.vstack([A / sigma, lam**0.5 * L])
    plus = torch.linalg.pinv(rows, rtol=1e-14)
    return plus[:, : len(y)] @ (y / sigma)
""",
    ),
    Alternative(
        "ex35-1",
        "by Python's numbers",
        """
def one_unknown(h, y, sigma):
    hh = sum(float(a) ** 2 for a in h)
    hy = sum(float(a) * float(b) for a, b in zip(h, y))
    return hh / hy, sigma * hh**1.5 / hy**2
""",
    ),
    Alternative(
        "ex35-1",
        "propagates the noise of each value",
        """
def one_unknown(h, y, sigma):
    s = (h * y).sum()
    by_y = -h.square().sum() * h / s**2
    return h.square().sum() / s, sigma * by_y.square().sum().sqrt()
""",
    ),
    Alternative(
        "ex35-2",
        "the adjoint way: from the sensors back",
        """
def sensitivities(J_w, J_theta, P):
    return -torch.linalg.lstsq(J_w.T, P.T).solution.T @ J_theta
""",
    ),
    Alternative(
        "ex35-3",
        "what the other columns do not explain",
        """
def deviations(S, sigma):
    W = S / sigma[:, None]
    p = W.shape[1]
    known = W.norm(dim=0) ** -1
    if torch.linalg.matrix_rank(W) < p:
        return known, known * float("inf")
    rest = []
    for j in range(p):
        own, others = W[:, j], torch.cat([W[:, :j], W[:, j + 1 :]], dim=1)
        if p > 1:
            own = own - others @ torch.linalg.lstsq(others, own[:, None]).solution[:, 0]
        rest.append(1 / own.norm())
    return known, torch.stack(rest)
""",
    ),
    Alternative(
        "ex35-3",
        "in scaled units by Cholesky",
        """
def deviations(S, sigma):
    W = S * (1 / sigma).unsqueeze(-1)
    size = W.norm(dim=0)
    if torch.linalg.matrix_rank(W) < W.shape[1]:
        return 1 / size, torch.full(size.shape, float("inf"))
    C = torch.linalg.cholesky((W / size).T @ (W / size))
    return 1 / size, torch.cholesky_inverse(C).diagonal().sqrt() / size
""",
    ),
    Alternative(
        "ex35-4",
        "solves for the estimate, not for the step",
        """
def gauss_newton(model, theta, y, sigma, steps):
    for _ in range(int(steps)):
        u, S = model(theta)
        F = torch.einsum("ij,i,ik->jk", S, sigma**-2, S)
        theta = torch.linalg.solve(F, S.T @ ((y - u + S @ theta) / sigma**2))
    return theta
""",
    ),
    Alternative(
        "ex35-5",
        "one tensor, ends below each other",
        """
def interval(theta, S, r, z):
    F = S.T @ S / (r.pow(2).sum() / (len(r) - len(theta)))
    half = z * torch.cholesky_inverse(torch.linalg.cholesky(F)).diag().sqrt()
    return torch.stack([theta - half, theta + half])
""",
    ),
    Alternative(
        "ex35-6",
        "lstsq, and the noise at the end",
        """
def next_sensor(F, S, sigma):
    variance = torch.einsum("ij,ji->i", S, torch.linalg.lstsq(F, S.T).solution)
    best = int(torch.argsort(variance / sigma**2, descending=True)[0])
    return best, F + S[best].outer(S[best]) / sigma[best] ** 2
""",
    ),
    Alternative(
        "ex35-6",
        "by vmap, F inverted once",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    G = torch.linalg.inv(F)
    gain = torch.func.vmap(lambda w: w @ G @ w)(W)
    best = int(gain.argmax())
    return best, F + torch.outer(W[best], W[best])
""",
    ),
    Alternative(
        "ex35-7",
        "by QR of the stack",
        """
def tikhonov(A, y, sigma, L, lam):
    Q, R = torch.linalg.qr(torch.cat([A / sigma, math.sqrt(lam) * L]))
    return torch.linalg.solve_triangular(R, Q[: len(y)].T @ (y / sigma)[:, None], upper=True)[:, 0]
""",
    ),
    Alternative(
        "ex35-7",
        "by numpy's least squares",
        """
def tikhonov(A, y, sigma, L, lam):
    import numpy as np
    rows = np.vstack([A.numpy() / sigma, np.sqrt(lam) * L.numpy()])
    wanted = np.concatenate([y.numpy() / sigma, np.zeros(len(L))])
    return torch.from_numpy(np.linalg.lstsq(rows, wanted, rcond=None)[0])
""",
    ),
    Alternative(
        "ex35-6",
        "by vmap of a solve",
        """
def next_sensor(F, S, sigma):
    W = S / sigma[:, None]
    gain = torch.vmap(lambda v: v @ torch.linalg.solve(F, v))(W)
    best = int(gain.argmax())
    return best, F + torch.outer(W[best], W[best])
""",
    ),
]
