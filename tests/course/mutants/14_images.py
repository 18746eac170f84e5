"""Wrong and other right answers to the exercises of chapter 14."""

from tests.course.mutants import Alternative, Mutant, slip

ERROR = """
def adjoint_error(A, x, y):
    Ax, back = A(x), A.adjoint(y)
    off = {forth} - {back}
    return {size} / ({norms})
"""
INNER = {
    "forth": "(Ax.conj() * y).sum()",
    "back": "(x.conj() * back).sum()",
    "size": "off.abs()",
    "norms": "Ax.norm() * y.norm()",
}


def _error(**other: str) -> str:
    """An answer to 14.1 with some of its parts changed."""
    return ERROR.format(**(INNER | other))


CAMERA = """
def coarse(x, s):
    {forward}


def coarse_adjoint(b, s):
    {adjoint}
"""
POOL = "return torch.nn.functional.avg_pool2d(x, s)"
SPREAD = "return b.repeat_interleave(s, 2).repeat_interleave(s, 3) / s**2"


def _camera(forward: str = POOL, adjoint: str = SPREAD) -> str:
    """An answer to 14.2 with another forward map, or another adjoint."""
    return CAMERA.format(forward=forward, adjoint=adjoint)


ADMM = """
def admm_step(A, b, z, u, rho, prox):
    x = solve(A, {rhs}, rho)
    z_new = prox({seen})
    return x, z_new, {price}
"""
STEP = {
    "rhs": "A.adjoint(b) + rho * (z - u)",
    "seen": "x + u",
    "price": "u + x - z_new",
}


def _admm(**other: str) -> str:
    """An answer to 14.3 with some of its lines changed."""
    return ADMM.format(**(STEP | other))


PRIMAL_DUAL = """
def primal_dual_step(A, b, state, lam, tau, sigma):
    x, x_bar, q, p = state
    q = {data}
    p = p + sigma * nabla({ahead})
    p = {short}
    x_new = x - tau * ({back})
    return x_new, {bar}, q, p
"""
LINES = {
    "data": "(q + sigma * (A(x_bar) - b)) / (1 + sigma)",
    "ahead": "x_bar",
    "short": "p / (p.norm(dim=-1, keepdim=True) / max(lam, 1e-30)).clamp(min=1)",
    "back": "A.adjoint(q) + nabla.adjoint(p)",
    "bar": "2 * x_new - x",
}


def _primal_dual(**other: str) -> str:
    """An answer to 14.4 with some of its lines changed."""
    return PRIMAL_DUAL.format(**(LINES | other))


LAYER = """
def ista_net_layer(A, b, x, gamma, theta, maps):
    D, F, F_back, G = maps
    y = {descent}
    return {network}
"""
NETWORK = {
    "descent": "x + gamma * A.adjoint(b - A(x))",
    "network": "y + G(F_back(unroll.soft_threshold(F(D(y)), theta)))",
}


def _layer(**other: str) -> str:
    """An answer to 14.5 with one of its lines changed."""
    return LAYER.format(**(NETWORK | other))


GRADIENTS = """
def data_step_gradients(A, b, z, rho, v):
    x = solve(A, A.adjoint(b) + rho * z, rho)
    w = solve(A, v, rho)
    return {b}, {z}, {rho}
"""
SLOPES = {"b": "A(w)", "z": "rho * w", "rho": "(w * (z - x)).sum()"}


def _slopes(**other: str) -> str:
    """An answer to 14.6 with one gradient changed."""
    return GRADIENTS.format(**(SLOPES | other))


UNSEEN = """
def unseen(A, d, delta):
    return {part}


def unseen_share(A, found, truth, delta):
    error = {error}
    return {share}
"""
PARTS = {
    "part": "delta * solve(A, d, delta)",
    "error": "found - truth",
    "share": (
        "unseen(A, error, delta).square().sum(dim=(1, 2, 3))"
        " / error.square().sum(dim=(1, 2, 3))"
    ),
}


def _unseen(**other: str) -> str:
    """An answer to 14.7 with one of its lines changed."""
    return UNSEEN.format(**(PARTS | other))


MUTANTS = [
    Mutant(
        "ex14-1",
        "forgets to conjugate",
        _error(forth="(Ax * y).sum()", back="(x * back).sum()"),
    ),
    Mutant("ex14-1", "compares real parts only", _error(size="off.real.abs()")),
    Mutant("ex14-1", "keeps the sign of the difference", _error(size="off.real")),
    Mutant("ex14-1", "divides by one norm only", _error(norms="Ax.norm() * Ax.norm()")),
    Mutant(
        "ex14-1",
        "takes the mean over the batch in place of the sum",
        _error(forth="(Ax.conj() * y).mean()", back="(x.conj() * back).mean()"),
    ),
    Mutant("ex14-1", "divides by the wrong pair", _error(norms="x.norm() * y.norm()")),
    Mutant(
        "ex14-2",
        "takes the inverse for the adjoint: does not divide",
        _camera(adjoint="return b.repeat_interleave(s, 2).repeat_interleave(s, 3)"),
    ),
    Mutant(
        "ex14-2",
        "divides by s, not by the pixels of a block",
        _camera(adjoint=SPREAD.replace("s**2", "s")),
    ),
    Mutant(
        "ex14-2",
        "tiles the picture in place of its pixels",
        _camera(adjoint="return b.repeat(1, 1, s, s) / s**2"),
    ),
    Mutant(
        "ex14-2", "takes every s-th pixel", _camera(forward="return x[..., ::s, ::s]")
    ),
    Mutant(
        "ex14-2",
        "adds the pixels of a block",
        _camera(forward=POOL + " * s**2"),
    ),
    Mutant(
        "ex14-2",
        "mixes the axes of the blocks up",
        _camera(
            forward="return x.reshape(len(x), 1, s, x.shape[2] // s, s, "
            "x.shape[3] // s).mean(dim=(2, 4))"
        ),
    ),
    Mutant(
        "ex14-2",
        "cuts the gradient of the forward map",
        _camera(forward=POOL.replace("(x, s)", "(x.detach(), s)")),
    ),
    Mutant("ex14-3", "adds the multiplier", _admm(rhs="A.adjoint(b) + rho * (z + u)")),
    Mutant("ex14-3", "forgets rho on the right", _admm(rhs="A.adjoint(b) + z - u")),
    Mutant("ex14-3", "denoises without the multiplier", _admm(seen="x")),
    Mutant("ex14-3", "takes the old z for the multiplier", _admm(price="u + x - z")),
    Mutant("ex14-3", "moves the multiplier away", _admm(price="u - x + z_new")),
    Mutant("ex14-3", "forgets what was there", _admm(price="x - z_new")),
    slip(
        "ex14-3",
        "solves for a rho without gradient",
        (
            "solve(A, A.adjoint(b) + rho * (z - u), rho)",
            "solve(A, A.adjoint(b) + rho * (z - u), float(rho))",
        ),
    ),
    Mutant(
        "ex14-4",
        "clips entry by entry",
        _primal_dual(short="p.clamp(-lam, lam)"),
    ),
    Mutant(
        "ex14-4",
        "makes every pair as long as lam",
        _primal_dual(short="lam * p / p.norm(dim=-1, keepdim=True).clamp(min=1e-30)"),
    ),
    Mutant(
        "ex14-4",
        "divides by a length of zero",
        _primal_dual(short="p / (p.norm(dim=-1, keepdim=True) / lam).clamp(min=1)"),
    ),
    Mutant("ex14-4", "does not look ahead", _primal_dual(bar="x_new")),
    Mutant(
        "ex14-4",
        "looks at x, not at x_bar",
        _primal_dual(data="(q + sigma * (A(x) - b)) / (1 + sigma)", ahead="x"),
    ),
    Mutant(
        "ex14-4",
        "forgets that the data term is a square",
        _primal_dual(data="q + sigma * (A(x_bar) - b)"),
    ),
    Mutant(
        "ex14-4",
        "goes down along the divergence",
        _primal_dual(back="A.adjoint(q) - nabla.adjoint(p)"),
    ),
    Mutant("ex14-5", "goes uphill", _layer(descent="x - gamma * A.adjoint(b - A(x))")),
    Mutant(
        "ex14-5",
        "lets the old image pass by",
        _layer(network=NETWORK["network"].replace("y + G", "x + G")),
    ),
    Mutant(
        "ex14-5",
        "lets nothing pass by",
        _layer(network="G(F_back(unroll.soft_threshold(F(D(y)), theta)))"),
    ),
    Mutant(
        "ex14-5",
        "scales the threshold by the step",
        _layer(network=NETWORK["network"].replace("theta)", "gamma * theta)")),
    ),
    Mutant(
        "ex14-5",
        "thresholds before the transform",
        _layer(network="y + G(F_back(F(unroll.soft_threshold(D(y), theta))))"),
    ),
    Mutant(
        "ex14-5",
        "cuts the gradient of the threshold",
        _layer(network=NETWORK["network"].replace("theta)", "float(theta))")),
    ),
    Mutant(
        "ex14-5",
        "uses a one-sided threshold",
        _layer(network="y + G(F_back(torch.relu(F(D(y)) - theta)))"),
    ),
    Mutant("ex14-6", "forgets rho beside z", _slopes(z="w")),
    Mutant("ex14-6", "carries v to the data, not w", _slopes(b="A(v)")),
    Mutant("ex14-6", "swaps solution and z", _slopes(rho="(w * (x - z)).sum()")),
    Mutant("ex14-6", "forgets that z has rho, too", _slopes(rho="-(w * x).sum()")),
    Mutant("ex14-6", "takes v for w", _slopes(rho="(v * (z - x)).sum()")),
    Mutant(
        "ex14-6", "takes the mean over the batch", _slopes(rho="(w * (z - x)).mean()")
    ),
    Mutant(
        "ex14-6",
        "takes the gradient of a copy: as if x were z",
        _slopes(b="0 * b", z="v", rho="0 * w.sum()"),
    ),
    Mutant("ex14-7", "forgets the factor", _unseen(part="solve(A, d, delta)")),
    Mutant(
        "ex14-7",
        "returns the seen part",
        _unseen(part="d - delta * solve(A, d, delta)"),
    ),
    Mutant(
        "ex14-7",
        "projects as if A A* were the identity",
        _unseen(part="d - A.adjoint(A(d)) + 0 * delta"),
    ),
    Mutant("ex14-7", "splits the image, not the error", _unseen(error="found")),
    Mutant(
        "ex14-7",
        "divides lengths, not squares",
        _unseen(share="(" + PARTS["share"] + ").sqrt()"),
    ),
    Mutant(
        "ex14-7",
        "gives one share for the batch",
        _unseen(share="unseen(A, error, delta).square().sum() / error.square().sum()"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex14-1",
        "vdot, and a Python number",
        """
def adjoint_error(A, x, y):
    forth = A(x).flatten()
    y_flat, back, x_flat = y.flatten(), A.adjoint(y).flatten(), x.flatten()
    kind = torch.promote_types(torch.promote_types(forth.dtype, y.dtype), back.dtype)
    one = torch.vdot(forth.to(kind), y_flat.to(kind))
    other = torch.vdot(x_flat.to(kind), back.to(kind))
    return abs((one - other).item()) / (forth.norm() * y_flat.norm()).item()
""",
    ),
    Alternative(
        "ex14-1",
        "the conjugate of both inner products",
        _error(
            forth="(A(x) * y.conj()).sum()",
            back="(x * A.adjoint(y).conj()).sum()",
        ),
    ),
    Alternative("ex14-2", "pools and repeats", _camera()),
    Alternative(
        "ex14-2",
        "a convolution and its transpose",
        """
def coarse(x, s):
    return torch.nn.functional.conv2d(x, torch.full((1, 1, s, s), 1 / s**2), stride=s)


def coarse_adjoint(b, s):
    weight = torch.full((1, 1, s, s), 1 / s**2)
    return torch.nn.functional.conv_transpose2d(b, weight, stride=s)
""",
    ),
    Alternative(
        "ex14-2",
        "a Kronecker product",
        _camera(adjoint="return torch.kron(b, torch.ones(1, 1, s, s)) / (s * s)"),
    ),
    Alternative("ex14-3", "the same in three lines", _admm()),
    Alternative(
        "ex14-3",
        "solves for the change",
        _admm(rhs="A.adjoint(b) + rho * z - rho * u", price="x + u - z_new"),
    ),
    Alternative(
        "ex14-4",
        "a quotient that is at least 1",
        _primal_dual(),
    ),
    Alternative(
        "ex14-4",
        "shortens with a mask",
        _primal_dual(
            short="torch.where(p.norm(dim=-1, keepdim=True) <= lam, p, "
            "lam * torch.nn.functional.normalize(p, dim=-1))",
            bar="x_new + (x_new - x)",
        ),
    ),
    Alternative(
        "ex14-5",
        "from the gradient",
        _layer(descent="x - gamma * A.adjoint(A(x) - b)"),
    ),
    Alternative(
        "ex14-5",
        "a threshold by hand",
        _layer(
            network="y + G(F_back((lambda c: c.sign() * (c.abs() - theta)"
            ".clamp(min=0))(F(D(y)))))"
        ),
    ),
    Alternative(
        "ex14-6",
        "a Python number for rho",
        _slopes(rho="float((w * (z - x)).sum())"),
    ),
    Alternative(
        "ex14-6",
        "two inner products",
        _slopes(rho="(w * z).sum() - (w * x).sum()", z="w * rho"),
    ),
    Alternative(
        "ex14-7",
        "the seen part, subtracted",
        _unseen(part="d - solve(A, A.adjoint(A(d)), delta)"),
    ),
    Alternative(
        "ex14-7",
        "norms over the flat images",
        _unseen(
            share="(unseen(A, error, delta).flatten(1).norm(dim=1)"
            " / error.flatten(1).norm(dim=1)) ** 2"
        ),
    ),
]
