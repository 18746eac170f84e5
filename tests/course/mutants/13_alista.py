"""Wrong and other right answers to the exercises of chapter 13."""

from tests.course.mutants import Alternative, Mutant, changed, slip

ALISTA = """def alista(A, W, b, gamma, theta, keep):
    x = torch.zeros(b.shape[0], A.shape[1])
    codes = [x]
    for k in range(len(gamma)):
        x = support_select(x + gamma[k] * (b.sub_(x @ A.T) @ W), theta[k], keep[k])
        codes.append(x)
    return torch.stack(codes)"""

CARRY = """
def carry(A, W, b, x):
    return x + (b - x @ A.T) @ W
"""
ERROR_MATRIX = """
def error_matrix(A, W):
    return torch.eye(A.shape[1]) - W.T @ A
"""


def _select(passes: str, rest: str = "unroll.soft_threshold(v, theta)") -> str:
    """An answer to 13.2 that differs in who passes, or in what the others become."""
    return f"""
def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = {passes}
    return torch.where(passes, v, {rest})
"""


def _coherence(body: str) -> str:
    return f"""
def coherence(W, A):
    own = (W * A).sum(dim=0)
    off = ~torch.eye(A.shape[1]).bool()
    {body}
"""


def _weight(body: str) -> str:
    return f"""
def analytic_weight(A):
    {body}
"""


def _alista(body: str, before: str = "pass", start: str = "[x]") -> str:
    """An answer to 13.5 with another body of the loop."""
    return f"""
def alista(A, W, b, gamma, theta, keep):
    x = torch.zeros(b.shape[0], A.shape[1])
    codes = {start}
    {before}
    for k in range(len(gamma)):
        {body}
        codes.append(x)
    return torch.stack(codes)
"""


def _guarantee(threshold: str, bound: str) -> str:
    """An answer to 13.6 with another threshold t, or another next bound, from B."""
    return f"""
def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    theta, bounds = [], [float(first)]
    for _ in range(depth):
        B = bounds[-1]
        t = {threshold}
        theta.append(t)
        bounds.append({bound})
    return torch.tensor(theta), torch.tensor(bounds)
"""


THRESHOLD = "gamma * (mu * B + delta)"
BOUND = "abs(1 - gamma) * B + gamma * mu * (s - 1) * B + s * gamma * delta + s * t"


def _hyper(**changed: str) -> str:
    """An answer to 13.7 with some of its lines changed."""
    lines = {
        "residual": "b - x @ A.T",
        "error": "(residual @ pinv.T).abs().sum(dim=1, keepdim=True)",
        "whole": "(b @ pinv.T).abs().sum(dim=1, keepdim=True)",
        "theta": "c1 * mu * error",
        "beta": "c2 * (x != 0).sum(dim=1, keepdim=True)",
        "exact": "error == 0",
        "gone": "(whole / error.masked_fill(exact, 1.0)).log()",
        "count": "(c3 * gone).floor().nan_to_num(0.0).clamp(0, A.shape[1]).long()",
        "keep": "count.masked_fill(exact, A.shape[1])",
    }
    body = "\n".join(f"    {name} = {code}" for name, code in (lines | changed).items())
    return f"""
def hyper_numbers(A, pinv, b, x, mu, c):
    c1, c2, c3 = c
{body}
    return theta, beta, keep
"""


def _safeguarded(
    better: str = "lasso(A, b, proposal, lam) < lasso(A, b, safe, lam)",
    choice: str = "torch.where(better[:, None], proposal, safe)",
    stop: str = "(duality_gap(A, b, x, lam) <= tol).all()",
    origin: str = "x",
) -> str:
    """An answer to 13.8 with another rule of acceptance, or another end."""
    return f"""
def safeguarded(A, b, lam, proposals, tol, limit):
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x, steps = torch.zeros(b.shape[0], A.shape[1]), 0
    zero = x
    while steps < limit and not {stop}:
        safe = ista_step(A, b, {origin}, lam, step)
        if steps < len(proposals):
            proposal = proposals[steps]
            better = {better}
            safe = {choice}
        x, steps = safe, steps + 1
    return x, steps
"""


MUTANTS = [
    Mutant(
        "ex13-1",
        "carries the residual back with A",
        CARRY.replace("@ W", "@ A") + ERROR_MATRIX,
    ),
    Mutant(
        "ex13-1",
        "takes the residual with the wrong sign",
        CARRY.replace("b - x @ A.T", "x @ A.T - b") + ERROR_MATRIX,
    ),
    Mutant(
        "ex13-1",
        "forgets the x that the layer starts from",
        CARRY.replace("x + ", "") + ERROR_MATRIX,
    ),
    Mutant(
        "ex13-1",
        "multiplies in the wrong order, A transposed first",
        CARRY + ERROR_MATRIX.replace("W.T @ A", "A.T @ W"),
    ),
    Mutant(
        "ex13-1",
        "leaves the identity out of the error matrix",
        CARRY + ERROR_MATRIX.replace("torch.eye(A.shape[1]) - W", "-W"),
    ),
    Mutant(
        "ex13-1",
        "takes the matrix of the residual for that of the error",
        CARRY + ERROR_MATRIX.replace("W.T @ A", "A.T @ A"),
    ),
    Mutant(
        "ex13-2", "lets the largest pass even below theta", _select("larger < keep")
    ),
    Mutant(
        "ex13-2",
        "drops the last of the chosen by a strict cut",
        _select("(larger < keep - 1) & (size > theta)"),
    ),
    Mutant(
        "ex13-2",
        "sets the others to zero or leaves them whole",
        _select(
            "(larger < keep) & (size > theta)", "torch.where(size > theta, v, 0.0)"
        ),
    ),
    Mutant(
        "ex13-2",
        "ranks by value and not by magnitude",
        _select("(larger < keep) & (size > theta)").replace(
            "v.detach().abs()\n    larger = (size[:, None, :] > size[:, :, None])",
            "v.detach().abs()\n    larger = (v[:, None, :] > v[:, :, None])",
        ),
    ),
    Mutant(
        "ex13-2",
        "breaks ties by the order of the atoms",
        """
def support_select(v, theta, keep):
    size = v.detach().abs()
    rank = size.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    passes = (rank < keep) & (size > theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))
""",
    ),
    Mutant(
        "ex13-2",
        "chooses among all samples of the batch together",
        """
def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size.flatten() > size[..., None]).sum(dim=2)
    passes = (larger < keep * len(v)) & (size > theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))
""",
    ),
    Mutant(
        "ex13-2",
        "lets the gradient flow through the choice",
        """
def support_select(v, theta, keep):
    size = v.abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = ((larger < keep) & (size > theta)).to(v.dtype)
    passes = passes + size - size.detach()
    shrunk = unroll.soft_threshold(v, theta)
    return shrunk + passes * (v - shrunk)
""",
    ),
    Mutant(
        "ex13-2",
        "cuts the gradient of those who pass",
        _select("(larger < keep) & (size > theta)").replace(
            "where(passes, v,", "where(passes, v.detach(),"
        ),
    ),
    Mutant(
        "ex13-3",
        "takes the largest signed product",
        _coherence("return ((W / own).T @ A)[off].max()"),
    ),
    Mutant(
        "ex13-3",
        "counts an atom's product with itself",
        _coherence("return ((W / own).T @ A).abs().max()"),
    ),
    Mutant(
        "ex13-3",
        "takes the mean instead of the worst pair",
        _coherence("return ((W / own).T @ A)[off].abs().mean()"),
    ),
    Mutant(
        "ex13-3",
        "does not scale the columns of W",
        _coherence("return (W.T @ A)[off].abs().max()"),
    ),
    Mutant(
        "ex13-3",
        "scales the columns of W to length 1 instead",
        _coherence("return ((W / W.norm(dim=0)).T @ A)[off].abs().max()"),
    ),
    Mutant(
        "ex13-3",
        "divides by the product of the other atom",
        _coherence("return (W.T @ A / own)[off].abs().max()"),
    ),
    Mutant(
        "ex13-4",
        "leaves the multiplier at one",
        _weight("return torch.linalg.solve(A @ A.T, A)"),
    ),
    Mutant(
        "ex13-4",
        "scales to columns of length one",
        _weight("W = torch.linalg.solve(A @ A.T, A); return W / W.norm(dim=0)"),
    ),
    Mutant(
        "ex13-4",
        "meets the constraint on average only",
        _weight(
            "W = torch.linalg.solve(A @ A.T, A); return W / (W * A).sum(dim=0).mean()"
        ),
    ),
    Mutant(
        "ex13-4",
        "meets the constraint with A and minimises nothing",
        _weight("return A / A.square().sum(dim=0)"),
    ),
    Mutant(
        "ex13-4",
        "whitens only one of the two sides",
        _weight(
            "L = torch.linalg.cholesky(A @ A.T); W = torch.linalg.solve(L, A); "
            "return W / (W * A).sum(dim=0)"
        ),
    ),
    Mutant(
        "ex13-4",
        "adds a ridge that the problem does not have",
        _weight(
            "G = A @ A.T + 0.05 * torch.eye(len(A)); W = torch.linalg.solve(G, A); "
            "return W / (W * A).sum(dim=0)"
        ),
    ),
    Mutant(
        "ex13-4",
        "stops an iteration long before its end",
        """
def analytic_weight(A):
    W = A / A.square().sum(dim=0)
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    for _ in range(20):
        W = W - step * (A @ (A.T @ W))
        W = W + A * (1 - (W * A).sum(dim=0)) / A.square().sum(dim=0)
    return W
""",
    ),
    Mutant(
        "ex13-5",
        "carries the residual back with A",
        _alista(
            "x = support_select(x + gamma[k] * ((b - x @ A.T) @ A), theta[k], keep[k])"
        ),
    ),
    Mutant(
        "ex13-5",
        "measures the residual with W",
        _alista(
            "x = support_select(x + gamma[k] * ((b - x @ W.T) @ W), theta[k], keep[k])"
        ),
    ),
    Mutant(
        "ex13-5",
        "multiplies the threshold by the step again",
        _alista(
            "x = support_select("
            "x + gamma[k] * ((b - x @ A.T) @ W), gamma[k] * theta[k], keep[k])"
        ),
    ),
    Mutant(
        "ex13-5",
        "uses the numbers of the first layer in all",
        _alista(
            "x = support_select(x + gamma[0] * ((b - x @ A.T) @ W), theta[0], keep[0])"
        ),
    ),
    Mutant(
        "ex13-5",
        "never selects a support",
        _alista("x = support_select(x + gamma[k] * ((b - x @ A.T) @ W), theta[k], 0)"),
    ),
    Mutant(
        "ex13-5",
        "cuts the gradient between layers",
        _alista(
            "x = support_select("
            "x.detach() + gamma[k] * ((b - x.detach() @ A.T) @ W), theta[k], keep[k])"
        ),
    ),
    Mutant(
        "ex13-5",
        "computes the residual once, before the loop",
        _alista(
            "x = support_select(x + gamma[k] * r, theta[k], keep[k])",
            before="r = (b - x @ A.T) @ W",
        ),
    ),
    Mutant(
        "ex13-5",
        "leaves the start out of the iterates",
        _alista(
            "x = support_select(x + gamma[k] * ((b - x @ A.T) @ W), theta[k], keep[k])",
            start="[]",
        ),
    ),
    Mutant(
        "ex13-6",
        "lets the support hear all s errors",
        _guarantee(THRESHOLD, BOUND.replace("(s - 1)", "s")),
    ),
    Mutant(
        "ex13-6",
        "forgets that the support pays the threshold",
        _guarantee(THRESHOLD, BOUND.replace(" + s * t", "")),
    ),
    Mutant(
        "ex13-6",
        "lets one entry of the support pay the threshold",
        _guarantee(THRESHOLD, BOUND.replace("+ s * t", "+ t")),
    ),
    Mutant(
        "ex13-6",
        "forgets the step in the threshold",
        _guarantee(THRESHOLD.replace("gamma * ", ""), BOUND),
    ),
    Mutant(
        "ex13-6",
        "takes a step that is too long for a gain",
        _guarantee(THRESHOLD, BOUND.replace("abs(1 - gamma)", "(1 - gamma)")),
    ),
    Mutant(
        "ex13-6",
        "assumes the step is one",
        _guarantee(THRESHOLD, BOUND.replace("abs(1 - gamma) * B + ", "")),
    ),
    Mutant(
        "ex13-6",
        "leaves the noise out of the threshold",
        _guarantee("gamma * mu * B", BOUND),
    ),
    Mutant(
        "ex13-6",
        "counts the noise for one entry only",
        _guarantee(THRESHOLD, BOUND.replace("s * gamma * delta", "gamma * delta")),
    ),
    Mutant(
        "ex13-6",
        "shares the error among the entries of the support",
        _guarantee(THRESHOLD.replace("mu * B", "mu * B / s"), BOUND),
    ),
    Mutant(
        "ex13-6",
        "adds a margin of one percent to a threshold that needs none",
        _guarantee(f"1.01 * ({THRESHOLD})", BOUND),
    ),
    Mutant(
        "ex13-7",
        "measures the error in the two-norm",
        _hyper(
            error="(residual @ pinv.T).norm(dim=1, keepdim=True)",
            whole="(b @ pinv.T).norm(dim=1, keepdim=True)",
        ),
    ),
    Mutant("ex13-7", "forgets the coherence", _hyper(theta="c1 * error")),
    Mutant(
        "ex13-7",
        "uses A transposed for the pseudo-inverse",
        _hyper(
            error="(residual @ A).abs().sum(dim=1, keepdim=True)",
            whole="(b @ A).abs().sum(dim=1, keepdim=True)",
        ),
    ),
    Mutant(
        "ex13-7",
        "averages the error over the batch",
        _hyper(
            error="(residual @ pinv.T).abs().sum(dim=1, keepdim=True)"
            ".mean(dim=0, keepdim=True).expand(len(b), 1)"
        ),
    ),
    Mutant(
        "ex13-7",
        "takes the logarithm to base ten",
        _hyper(gone="(whole / error.masked_fill(exact, 1.0)).log10()"),
    ),
    Mutant(
        "ex13-7",
        "turns the ratio around",
        _hyper(gone="(error.masked_fill(exact, 1.0) / whole).log()"),
    ),
    Mutant(
        "ex13-7",
        "rounds keep to the nearest",
        _hyper(count="(c3 * gone).round().nan_to_num(0.0).clamp(0, A.shape[1]).long()"),
    ),
    Mutant(
        "ex13-7",
        "lets keep be negative",
        _hyper(count="(c3 * gone).floor().clamp(-99, A.shape[1]).long()"),
    ),
    Mutant(
        "ex13-7",
        "lets keep exceed the atoms",
        _hyper(count="(c3 * gone).floor().clamp(0, 99).long()"),
    ),
    Mutant(
        "ex13-7",
        "makes momentum grow with the sizes of the entries",
        _hyper(beta="c2 * x.abs().sum(dim=1, keepdim=True)"),
    ),
    Mutant(
        "ex13-7",
        "estimates the error from b alone",
        _hyper(residual="b"),
    ),
    Mutant(
        "ex13-8",
        "is content with less than the current objective",
        _safeguarded(better="lasso(A, b, proposal, lam) < lasso(A, b, x, lam)"),
    ),
    Mutant(
        "ex13-8",
        "decides for the whole batch at once",
        _safeguarded(
            better="lasso(A, b, proposal, lam).sum() < lasso(A, b, safe, lam).sum()",
            choice="proposal if better else safe",
        ),
    ),
    Mutant(
        "ex13-8",
        "accepts whatever is not worse, NaN too",
        _safeguarded(better="~(lasso(A, b, safe, lam) <= lasso(A, b, proposal, lam))"),
    ),
    Mutant(
        "ex13-8",
        "compares the misfit without the penalty",
        _safeguarded(better="lasso(A, b, proposal, 0.0) < lasso(A, b, safe, 0.0)"),
    ),
    Mutant(
        "ex13-8",
        "takes every proposal that is finite",
        _safeguarded(better="proposal.isfinite().all(dim=1)"),
    ),
    Mutant(
        "ex13-8",
        "stops when the mean gap is small",
        _safeguarded(stop="duality_gap(A, b, x, lam).mean() <= tol"),
    ),
    Mutant(
        "ex13-8",
        "stops when the first sample is done",
        _safeguarded(stop="(duality_gap(A, b, x, lam) <= tol).any()"),
    ),
    Mutant(
        "ex13-8",
        "gives up when the proposals are used up",
        _safeguarded(
            stop="((duality_gap(A, b, x, lam) <= tol).all() or steps >= len(proposals))"
        ),
    ),
    Mutant(
        "ex13-8",
        "uses all proposals before it looks at the gap",
        _safeguarded(
            stop="(steps >= len(proposals) and "
            "bool((duality_gap(A, b, x, lam) <= tol).all()))"
        ),
    ),
    Mutant(
        "ex13-8",
        "takes every ISTA step from zero",
        _safeguarded(origin="zero"),
    ),
    # values, gradients and properties that only an exact comparison tells apart
    Mutant(
        "ex13-1",
        "E as a map of rows: right for symmetric products only",
        CARRY
        + """
def error_matrix(A, W):
    return torch.eye(A.shape[1]) - A.T @ W
""",
    ),
    Mutant(
        "ex13-2",
        "a passing entry is a constant: no gradient in v either",
        """
def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > theta)
    return torch.where(passes, v.detach(), unroll.soft_threshold(v, theta))
""",
    ),
    Mutant(
        "ex13-2",
        "a passing entry is thresholded and gets its threshold back, with a gradient",
        """
def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > theta)
    theta = torch.as_tensor(theta)
    soft = unroll.soft_threshold(v, theta)
    return soft + passes * v.detach().sign() * theta.detach()
""",
    ),
    Mutant(
        "ex13-3",
        "pairs i < j only, as if the products were symmetric",
        _coherence("return ((W / own).T @ A).triu(1).abs().max()"),
    ),
    Mutant(
        "ex13-3",
        "the mean of the two crosstalks of a pair",
        _coherence("C = (W / own).T @ A; C = (C + C.T) / 2; return C[off].abs().max()"),
    ),
    Mutant(
        "ex13-4",
        "projected gradient steps in place of a solve",
        """
def analytic_weight(A):
    G, step = A @ A.T, 1 / torch.linalg.matrix_norm(A, 2) ** 2
    W = A / A.square().sum(dim=0)
    for _ in range(3000):
        W = W - step * (G @ W)
        W = W + A * (1 - (W * A).sum(dim=0)) / A.square().sum(dim=0)
    return W
""",
    ),
    Mutant(
        "ex13-4",
        "a small ridge against singular matrices, also where none is needed",
        _weight(
            "W = torch.linalg.solve(A @ A.T + 1e-9 * torch.eye(len(A)), A); "
            "return W / (W * A).sum(dim=0)"
        ),
    ),
    Mutant(
        "ex13-5",
        "half of the gradient: the residual is averaged with a detached copy",
        _alista(
            "r = (b - x @ A.T) @ W; r = (r + r.detach()) / 2; "
            "x = support_select(x + gamma[k] * r, theta[k], keep[k])"
        ),
    ),
    Mutant(
        "ex13-5",
        "all iterates but the last are detached",
        _alista(
            "x = support_select(x + gamma[k] * ((b - x @ A.T) @ W), theta[k], keep[k])"
        ).replace(
            "torch.stack(codes)", "torch.stack([c.detach() for c in codes[:-1]] + [x])"
        ),
    ),
    Mutant(
        "ex13-6",
        "charges too long a step with 1 + gamma",
        _guarantee(
            THRESHOLD,
            BOUND.replace("abs(1 - gamma)", "(1 - gamma if gamma <= 1 else 1 + gamma)"),
        ),
    ),
    Mutant(
        "ex13-6",
        "an own error is gone once the step reaches one",
        _guarantee(THRESHOLD, BOUND.replace("abs(1 - gamma)", "max(1 - gamma, 0)")),
    ),
    Mutant(
        "ex13-6",
        "bounds never rise: the smaller of the old and the new",
        _guarantee(THRESHOLD, f"min(B, {BOUND})"),
    ),
    Mutant(
        "ex13-7",
        "a tiny number in the quotient: keep stays small if c3 is small",
        _hyper(
            gone="((whole + 2.3e-308) / (error + 2.3e-308)).log()",
            keep="count",
        ),
    ),
    Mutant(
        "ex13-7",
        "trusts nobody where b is zero",
        _hyper(keep="count.masked_fill(exact & (whole > 0), A.shape[1])"),
    ),
    Mutant(
        "ex13-7",
        "counts entries above a small limit instead of non-zeros",
        _hyper(beta="c2 * (x.abs() > 0.3).sum(dim=1, keepdim=True)"),
    ),
    Mutant(
        "ex13-8",
        "momentum as soon as the proposals are used up",
        """
def safeguarded(A, b, lam, proposals, tol, limit):
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x = z = torch.zeros(b.shape[0], A.shape[1])
    steps, t = 0, 1.0
    while steps < limit and (duality_gap(A, b, x, lam) > tol).any():
        safe = ista_step(A, b, z, lam, step)
        if steps < len(proposals):
            proposal = proposals[steps]
            better = lasso(A, b, proposal, lam) < lasso(A, b, safe, lam)
            x = z = torch.where(better[:, None], proposal, safe)
        else:
            t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
            z = safe + (t_last - 1) / t * (safe - x)
            x = safe
        steps += 1
    return x, steps
""",
    ),
    Mutant(
        "ex13-8",
        "steps of almost 2 / L once the proposals are used up",
        _safeguarded().replace(
            "lam, step)\n        if",
            "lam, step if steps < len(proposals) else 1.9 * step)\n        if",
        ),
    ),
    Mutant(
        "ex13-8",
        "samples that have their certificate stand still",
        _safeguarded().replace(
            "        x, steps = safe, steps + 1",
            """        done = (duality_gap(A, b, x, lam) <= 1e-3)[:, None]
        x, steps = torch.where(done, x, safe), steps + 1""",
        ),
    ),
    Mutant(
        "ex13-1",
        "subtracts from b in place",
        """def carry(A,W,b,x):
    b -= x@A.T
    return x+b@W
def error_matrix(A,W):
    return torch.eye(A.shape[1])-W.T@A""",
    ),
    Mutant(
        "ex13-1",
        "scales each column to meet its own atom's constraint",
        """def carry(A,W,b,x):
    return x+(b-x@A.T)@W/(W*A).sum(0)
def error_matrix(A,W):
    return torch.eye(A.shape[1])-(W/(W*A).sum(0)).T@A""",
    ),
    Mutant(
        "ex13-2",
        "whoever just reaches the threshold passes as well",
        """def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size >= theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "a row of thresholds is taken for a column",
        """def support_select(v, theta, keep):
    theta = torch.as_tensor(theta)
    theta = theta.reshape(-1, 1)
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "passes whoever exceeds the mean threshold",
        """def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > torch.as_tensor(theta).mean())
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "passes whoever exceeds the largest threshold",
        """def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > torch.as_tensor(theta).max())
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "ranks in single precision: near entries tie",
        """def support_select(v, theta, keep):
    size = v.detach().abs().float()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "the smallest entry never passes",
        """def support_select(v, theta, keep):
    size = v.detach().abs()
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < torch.as_tensor(keep).clamp(max=v.shape[1]-1)) & (size > theta)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-2",
        "ranks what the threshold leaves",
        """def support_select(v, theta, keep):
    size = (v.detach().abs() - theta).clamp(min=0) + 0*v
    larger = (size[:, None, :] > size[:, :, None]).sum(dim=2)
    passes = (larger < keep) & (size > 0)
    return torch.where(passes, v, unroll.soft_threshold(v, theta))""",
    ),
    Mutant(
        "ex13-3",
        "the second largest crosstalk",
        """def coherence(W, A):
    own = (W * A).sum(dim=0)
    c = (W / own).T @ A
    return c.fill_diagonal_(0).abs().flatten().kthvalue(c.numel()-1).values""",
    ),
    Mutant(
        "ex13-3",
        "the largest sum of crosstalk in a row",
        """def coherence(W, A):
    own = (W * A).sum(dim=0)
    c = (W / own).T @ A
    return c.fill_diagonal_(0).abs().sum(1).max()""",
    ),
    Mutant(
        "ex13-3",
        "divides by the length of the other atom, too",
        """def coherence(W, A):
    own = (W * A).sum(dim=0)
    c = (W / own).T @ A
    c = c / A.norm(dim=0); return c.fill_diagonal_(0).abs().max()""",
    ),
    Mutant(
        "ex13-4",
        "solves in single precision",
        """def analytic_weight(A):
    W=torch.linalg.solve((A@A.T).float(),A.float()).double()
    return W/(W*A).sum(0)""",
    ),
    Mutant(
        "ex13-4",
        "cuts off the weak directions of A",
        """def analytic_weight(A):
    W=torch.linalg.pinv(A,rtol=1e-2).T
    return W/(W*A).sum(0)""",
    ),
    Mutant(
        "ex13-5",
        "the step of the layer before",
        changed(
            ALISTA,
            (
                "x = support_select(x + gamma[k] * (b.sub_(x @ A.T) @ W), theta[k], keep[k])",
                "x = support_select(x + gamma[k - 1] * ((b - x @ A.T) @ W), theta[k], keep[k])",
            ),
        ),
    ),
    Mutant(
        "ex13-5",
        "the count of the next layer",
        changed(
            ALISTA,
            (
                "x = support_select(x + gamma[k] * (b.sub_(x @ A.T) @ W), theta[k], keep[k])",
                "x = support_select(x + gamma[k] * ((b - x @ A.T) @ W), theta[k], keep[min(k + 1, len(keep) - 1)])",
            ),
        ),
    ),
    Mutant(
        "ex13-5",
        "the state is cut, the residual is not",
        changed(
            ALISTA,
            (
                "x = support_select(x + gamma[k] * (b.sub_(x @ A.T) @ W), theta[k], keep[k])",
                "x = support_select(x.detach() + gamma[k] * ((b - x @ A.T) @ W), theta[k], keep[k])",
            ),
        ),
    ),
    Mutant(
        "ex13-5",
        "subtracts from b in place",
        ALISTA,
    ),
    Mutant(
        "ex13-6",
        "noise in the threshold is not multiplied by the step",
        """def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    theta, bounds = [], [float(first)]
    for _ in range(depth):
        B = bounds[-1]
        theta.append(gamma*mu*B+delta)
        bounds.append(abs(1-gamma)*B + gamma*mu*(s-1)*B + s*gamma*delta + s*theta[-1])
    return torch.tensor(theta), torch.tensor(bounds)""",
    ),
    Mutant(
        "ex13-6",
        "the first threshold is paid in all layers",
        """def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    theta, bounds = [], [float(first)]
    for _ in range(depth):
        B = bounds[-1]
        theta.append(gamma*(mu*B+delta))
        bounds.append(abs(1-gamma)*B + gamma*mu*(s-1)*B + s*gamma*delta + s*theta[0])
    return torch.tensor(theta), torch.tensor(bounds)""",
    ),
    Mutant(
        "ex13-6",
        "the square of what a step leaves of an entry's own error",
        """def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    theta, bounds = [], [float(first)]
    for _ in range(depth):
        B = bounds[-1]
        theta.append(gamma*(mu*B+delta))
        bounds.append((1-gamma)**2*B + gamma*mu*(s-1)*B + s*gamma*delta + s*theta[-1])
    return torch.tensor(theta), torch.tensor(bounds)""",
    ),
    slip(
        "ex13-7",
        "counts positive entries only",
        (
            "beta = c2 * (x != 0).sum(dim=1, keepdim=True)",
            "beta = c2 * (x > 0).sum(dim=1, keepdim=True)",
        ),
    ),
    slip(
        "ex13-7",
        "rounds keep up",
        (
            "keep = (c3 * gone).floor().nan_to_num(0.0).clamp(0, n).masked_fill(exact, n)",
            "keep = (c3 * gone).ceil().nan_to_num(0.0).clamp(0, n).masked_fill(exact, n)",
        ),
    ),
    slip(
        "ex13-7",
        "takes the logarithm to base two",
        (
            "gone = (whole / error.masked_fill(exact, 1.0)).log()",
            "gone = (whole / error.masked_fill(exact, 1.0)).log2()",
        ),
    ),
    slip(
        "ex13-7",
        "compares with the mean of the batch",
        (
            "gone = (whole / error.masked_fill(exact, 1.0)).log()",
            "gone = (whole.mean() / error.masked_fill(exact, 1.0)).log()",
        ),
    ),
    slip(
        "ex13-8",
        "takes a step from the proposal in place of the proposal",
        (
            "proposal = proposals[steps]",
            "proposal = ista_step(A, b, proposals[steps], lam, step)",
        ),
    ),
    slip(
        "ex13-8",
        "uses the proposals from the last to the first",
        (
            "proposal = proposals[steps]",
            "proposal = proposals[len(proposals) - 1 - steps]",
        ),
    ),
    slip(
        "ex13-8",
        "step from the Frobenius norm",
        (
            "step = 1 / torch.linalg.matrix_norm(A, 2) ** 2",
            "step = 1 / torch.linalg.matrix_norm(A) ** 2",
        ),
    ),
    slip(
        "ex13-8",
        "proposals do not count as steps",
        (
            "while steps < limit and (duality_gap(A, b, x, lam) > tol).any():",
            "while steps < limit + len(proposals) and (duality_gap(A, b, x, lam) > tol).any():",
        ),
    ),
    slip(
        "ex13-8",
        "writes zeros over NaN in the caller's proposals",
        (
            "proposal = proposals[steps]",
            "proposal = proposals[steps].nan_to_num_(0.0, 0.0, 0.0)",
        ),
    ),
    slip(
        "ex13-8",
        "the gap relative to the objective",
        (
            "while steps < limit and (duality_gap(A, b, x, lam) > tol).any():",
            "while steps < limit and (duality_gap(A, b, x, lam) > tol * lasso(A, b, x, lam)).any():",
        ),
    ),
    slip(
        "ex13-8",
        "goes on until the sum of the gaps is small",
        (
            "while steps < limit and (duality_gap(A, b, x, lam) > tol).any():",
            "while steps < limit and duality_gap(A, b, x, lam).sum() > tol:",
        ),
    ),
    Mutant(
        "ex13-1",
        "the error matrix in single precision",
        """def carry(A, W, b, x):
    return x + (b - x @ A.T) @ W
def error_matrix(A, W):
    return (torch.eye(A.shape[1]) - W.T @ A).float().double()""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex13-1",
        "einsum, and columns of the error matrix one by one",
        """
def carry(A, W, b, x):
    residual = b - torch.einsum("mn,bn->bm", A, x)
    return x + torch.einsum("mn,bm->bn", W, residual)


def error_matrix(A, W):
    units = torch.eye(A.shape[1])
    columns = [unit - W.T @ (A @ unit) for unit in units]
    return torch.stack(columns, dim=1)
""",
    ),
    Alternative(
        "ex13-1",
        "through LISTA's two matrices",
        """
def error_matrix(A, W):
    E = -(W.T @ A)
    E.diagonal().add_(1)
    return E


def carry(A, W, b, x):
    return b @ W + x @ error_matrix(A, W).T
""",
    ),
    Alternative(
        "ex13-2", "all pairs compared", _select("(larger < keep) & (size > theta)")
    ),
    Alternative(
        "ex13-2",
        "a cut taken from the sorted magnitudes",
        """
def support_select(v, theta, keep):
    size = v.detach().abs()
    n = v.shape[1]
    keep = torch.as_tensor(keep).expand(len(v), 1).clamp(max=n)
    ranked = size.sort(dim=1, descending=True).values
    cut = ranked.gather(1, (keep - 1).clamp(min=0))
    passes = (size >= cut) & (keep > 0) & (size > theta)
    return v * passes + unroll.soft_threshold(v, theta) * ~passes
""",
    ),
    Alternative(
        "ex13-3",
        "a plain Python number, pair by pair",
        """
def coherence(W, A):
    n = A.shape[1]
    C = (W / (W * A).sum(0)).T @ A
    return max(abs(C[i, j].item()) for i in range(n) for j in range(n) if i != j)
""",
    ),
    Alternative(
        "ex13-7",
        "counts in single precision, the commonest spelling",
        _hyper(beta="c2 * (x != 0).float().sum(dim=1, keepdim=True)"),
    ),
    Alternative(
        "ex13-3",
        "a loop over the atoms",
        """
def coherence(W, A):
    largest = torch.tensor(0.0)
    for i in range(A.shape[1]):
        picked = (W[:, i] @ A / (W[:, i] @ A[:, i])).abs()
        picked[i] = 0
        largest = torch.maximum(largest, picked.max())
    return largest
""",
    ),
    Alternative(
        "ex13-3",
        "rows divided by the diagonal, then masked",
        """
def coherence(W, A):
    products = W.T @ A
    products = products / products.diagonal()[:, None]
    return products[~torch.eye(len(products)).bool()].abs().max()
""",
    ),
    Alternative(
        "ex13-4",
        "the pseudo-inverse with its columns rescaled",
        _weight("P = torch.linalg.pinv(A); return P.T / (P * A.T).sum(dim=1)"),
    ),
    Alternative(
        "ex13-4",
        "the singular vectors",
        """
def analytic_weight(A):
    U, S, V = torch.linalg.svd(A, full_matrices=False)
    return (U / S) @ V / V.square().sum(dim=0)
""",
    ),
    Alternative(
        "ex13-4",
        "Lagrange's linear system for each column",
        """
def analytic_weight(A):
    m, n = A.shape
    W = torch.empty_like(A)
    for i in range(n):
        system = torch.zeros(m + 1, m + 1)
        system[:m, :m] = A @ A.T
        system[:m, m] = -A[:, i]
        system[m, :m] = A[:, i]
        right = torch.zeros(m + 1)
        right[m] = 1
        W[:, i] = torch.linalg.solve(system, right)[:m]
    return W
""",
    ),
    Alternative(
        "ex13-5",
        "with the error matrix in place of the residual",
        """
def alista(A, W, b, gamma, theta, keep):
    back, E = b @ W, W.T @ A
    codes = [torch.zeros_like(back)]
    for k, count in enumerate(keep):
        x = codes[-1]
        v = x - gamma[k] * (x @ E.T) + gamma[k] * back
        codes.append(support_select(v, theta[k], count))
    return torch.stack(codes)
""",
    ),
    Alternative(
        "ex13-5",
        "with carry, mixing old and new",
        _alista(
            "x = support_select("
            "(1 - gamma[k]) * x + gamma[k] * carry(A, W, b, x), theta[k], keep[k])"
        ),
    ),
    Alternative(
        "ex13-6",
        "one rate and one floor",
        """
def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    rate = abs(1 - gamma) + gamma * mu * (2 * s - 1)
    bounds = torch.empty(depth + 1)
    bounds[0] = first
    for k in range(depth):
        bounds[k + 1] = rate * bounds[k] + 2 * s * gamma * delta
    return gamma * (mu * bounds[:-1] + delta), bounds
""",
    ),
    Alternative(
        "ex13-6",
        "a geometric series",
        """
def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    rate = abs(1 - gamma) + gamma * mu * (2 * s - 1)
    powers = rate ** torch.arange(depth + 1, dtype=torch.float64)
    sums = torch.cat([torch.zeros(1), powers.cumsum(dim=0)[:-1]])
    bounds = first * powers + 2 * s * gamma * delta * sums
    return gamma * (mu * bounds[:-1] + delta), bounds
""",
    ),
    Alternative(
        "ex13-7",
        "with norms and a guarded quotient",
        """
def hyper_numbers(A, pinv, b, x, mu, c):
    def size(v):
        return torch.linalg.vector_norm(v @ pinv.T, 1, dim=1)[:, None]

    error, whole, n = size(b - x @ A.T), size(b), A.shape[1]
    quotient = whole / error.clamp(min=1e-300)
    gone = c[2] * torch.log(quotient.clamp(min=1.0, max=1e300))
    keep = torch.where(error == 0, n, gone.clamp(max=n).to(torch.int64))
    return c[0] * mu * error, c[1] * torch.count_nonzero(x, dim=1)[:, None], keep
""",
    ),
    Alternative(
        "ex13-7",
        "sample by sample",
        """
def hyper_numbers(A, pinv, b, x, mu, c):
    rows = []
    for b_i, x_i in zip(b, x):
        error = (pinv @ (b_i - A @ x_i)).abs().sum().item()
        whole = (pinv @ b_i).abs().sum().item()
        if error == 0:
            keep = A.shape[1]
        elif whole == 0:
            keep = 0
        else:
            keep = math.floor(c[2] * (math.log(whole) - math.log(error)))
        keep = min(max(keep, 0), A.shape[1])
        rows.append((c[0] * mu * error, c[1] * int((x_i != 0).sum()), keep))
    theta, beta, keep = zip(*rows)
    column = [torch.tensor(part)[:, None] for part in (theta, beta, keep)]
    return column[0], column[1], column[2].long()
""",
    ),
    Alternative(
        "ex13-8",
        "infinity in place of NaN, the smaller of two",
        """
def safeguarded(A, b, lam, proposals, tol, limit):
    step = 1 / torch.linalg.eigvalsh(A @ A.T)[-1]
    x = torch.zeros(b.shape[0], A.shape[1])
    for k in range(limit + 1):
        if k == limit or duality_gap(A, b, x, lam).max() <= tol:
            return x, k
        choices = [ista_step(A, b, x, lam, step)]
        if k < len(proposals):
            choices.append(proposals[k])
        choices = torch.stack(choices)
        F = torch.stack([lasso(A, b, choice, lam) for choice in choices])
        F = F.nan_to_num(nan=math.inf)
        x = choices[F.argmin(dim=0), torch.arange(len(b))]
""",
    ),
    Alternative(
        "ex13-8",
        "proposals first, then a second loop",
        """
def safeguarded(A, b, lam, proposals, tol, limit):
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x, steps = torch.zeros(b.shape[0], A.shape[1]), 0

    def certified():
        return bool((duality_gap(A, b, x, lam) <= tol).all())

    for proposal in proposals:
        if steps == limit or certified():
            return x, steps
        x = ista_step(A, b, x, lam, step)
        wins = lasso(A, b, proposal, lam) < lasso(A, b, x, lam)
        x[wins] = proposal[wins]
        steps += 1
    while steps < limit and not certified():
        x = ista_step(A, b, x, lam, step)
        steps += 1
    return x, steps
""",
    ),
    Alternative(
        "ex13-2",
        "a cut between sorted magnitudes, infinity in front",
        """def support_select(v, theta, keep):
    size=v.detach().abs()
    n=v.shape[1]
    k=torch.as_tensor(keep).clamp(0,n).reshape(-1,1).expand(len(v),1)
    s=size.sort(dim=1,descending=True).values
    s=torch.cat([torch.full((len(v),1),math.inf),s],dim=1)
    cut=s.gather(1,k)
    passes=(size>=cut)&(size>theta)
    return torch.where(passes,v,unroll.soft_threshold(v,theta))""",
    ),
    Alternative(
        "ex13-4",
        "by a Cholesky factor",
        """def analytic_weight(A):
    L=torch.linalg.cholesky(A@A.T)
    W=torch.cholesky_solve(A,L)
    return W/torch.einsum('mn,mn->n',W,A)""",
    ),
    Alternative(
        "ex13-6",
        "tensors all the way",
        """def guarantee(mu, s, first, depth, gamma=1.0, delta=0.0):
    theta, bounds = [], [torch.as_tensor(float(first))]
    for _ in range(depth):
        B = bounds[-1]
        theta.append(gamma*(mu*B+delta))
        bounds.append(abs(1-gamma)*B + gamma*mu*(s-1)*B + s*gamma*delta + s*theta[-1])
    return torch.stack([torch.as_tensor(t) for t in theta]), torch.stack([torch.as_tensor(t) for t in bounds])""",
    ),
    Alternative(
        "ex13-7",
        "the logarithm of one plus the relative gain",
        """def hyper_numbers(A, pinv, b, x, mu, c):
    c1, c2, c3 = c
    n = A.shape[1]
    error = ((b - x @ A.T) @ pinv.T).abs().sum(dim=1, keepdim=True)
    whole = (b @ pinv.T).abs().sum(dim=1, keepdim=True)
    beta = c2 * (x != 0).sum(dim=1, keepdim=True)
    exact = error == 0
    gone = (whole / error.masked_fill(exact, 1.0) - 1).log1p()
    keep = (c3 * gone).floor().nan_to_num(0.0).clamp(0, n).masked_fill(exact, n)
    return c1 * mu * error, beta, keep.long()""",
    ),
    Alternative(
        "ex13-7",
        "non-zeros counted in single precision",
        """def hyper_numbers(A, pinv, b, x, mu, c):
    c1, c2, c3 = c
    n = A.shape[1]
    error = ((b - x @ A.T) @ pinv.T).abs().sum(dim=1, keepdim=True)
    whole = (b @ pinv.T).abs().sum(dim=1, keepdim=True)
    beta = c2 * (x != 0).float().sum(dim=1, keepdim=True)
    exact = error == 0
    gone = (whole / error.masked_fill(exact, 1.0)).log()
    keep = (c3 * gone).floor().nan_to_num(0.0).clamp(0, n).masked_fill(exact, n)
    return c1 * mu * error, beta, keep.long()""",
    ),
]
