"""Wrong and other right answers to the exercises of chapter 15."""

from tests.course.mutants import Alternative, Mutant, slip

SVT = """
def svt(X, theta):
    {body}
"""

PCP = """
def pcp_step(Y, S, Z, mu, lam):
    L = lowrank.singular_value_threshold({low}, {first})
    S_new = unroll.soft_threshold({sparse}, {second})
    return L, S_new, {dual}
"""
LINES = {
    "low": "Y - S + Z / mu",
    "first": "1 / mu",
    "sparse": "Y - L + Z / mu",
    "second": "lam / mu",
    "dual": "Z + mu * (Y - L - S_new)",
}


def _pcp(**other: str) -> str:
    """An answer to 15.2 with some of its lines changed."""
    return PCP.format(**(LINES | other))


STEP = """
def scaled_step(Y, L, R, zeta, step):
    rest = Y - L @ R.mT
    S = unroll.soft_threshold(rest, zeta)
    E = {error}
    A = {left}
    B = {right}
    return A, B, S
"""
STEPS = {
    "error": "L @ R.mT + S - Y",
    "left": "L - step * E @ R @ torch.linalg.inv(R.mT @ R)",
    "right": "R - step * E.mT @ L @ torch.linalg.inv(L.mT @ L)",
}


def _step(**other: str) -> str:
    """An answer to 15.3 with some of its lines changed."""
    return STEP.format(**(STEPS | other))


NETWORK = """
def lrpca(Y, rank, zeta, step):
    unit = {unit}
    L, R = balanced_factors({first}, rank)
    found = {start}
    for k in range(len(step)):
        (L, R), S = library_step(Y, (L, R), {threshold}, {length})
        found.append(L @ R.mT)
    return torch.stack(found)
"""
NUMBERS = {
    "unit": "Y.abs().mean(dim=(1, 2), keepdim=True)",
    "first": "Y - unroll.soft_threshold(Y, zeta[0] * unit)",
    "start": "[L @ R.mT]",
    "threshold": "zeta[k + 1] * unit",
    "length": "step[k]",
}


def _network(**other: str) -> str:
    """An answer to 15.4 with some of its lines changed."""
    return NETWORK.format(**(NUMBERS | other))


NMF = """
def nmf_step(B, H, W):
    new = H * {ratio}
    parts = W * {other}
    return new, parts
"""
RATIO = "(B @ W / (H @ W.T @ W)).nan_to_num(nan=0.0, posinf=0.0)"
OTHER = "(B.T @ new / (W @ new.T @ new)).nan_to_num(nan=0.0, posinf=0.0)"


def _nmf(ratio: str = RATIO, other: str = OTHER) -> str:
    """An answer to 15.5 with another quotient."""
    return NMF.format(ratio=ratio, other=other)


KERNEL = """
def kernel_step(y, z, k, zeta, bias):
    size = y.shape[-2:]
    fy, fz = torch.fft.fft2(y), torch.fft.fft2(z)
    top = {top}
    new = off_grid(torch.fft.ifft2(top / ({bottom})).real, {box})
    new = {less}
    return {end}
"""
PLACES = {
    "top": "zeta * (fz.conj() * fy).sum(0) + torch.fft.fft2(on_grid(k, size))",
    "bottom": "zeta * fz.abs().square().sum(0) + 1",
    "box": "k.shape",
    "less": "(new - bias * new.max()).clamp(min=0)",
    "end": "new / new.sum()",
}


def _kernel(**other: str) -> str:
    """An answer to 15.6 with some of its lines changed."""
    return KERNEL.format(**(PLACES | other))


MUTANTS = [
    Mutant(
        "ex15-1",
        "shrinks the entries in place of the singular values",
        SVT.format(body="return unroll.soft_threshold(X, theta)"),
    ),
    slip(
        "ex15-1",
        "keeps large singular values as they are (hard threshold)",
        ("(sigma - theta).clamp(min=0)", "(sigma * (sigma > theta))"),
    ),
    slip(
        "ex15-1",
        "lets small singular values become negative",
        ("(sigma - theta).clamp(min=0)", "(sigma - theta)"),
    ),
    slip("ex15-1", "decomposes without gradient", ("svd(X,", "svd(X.detach(),")),
    Mutant(
        "ex15-2",
        "computes S from the old S, not from the new L",
        _pcp(sparse="Y - S + Z / mu"),
    ),
    Mutant("ex15-2", "thresholds by mu, not by 1 / mu", _pcp(first="mu")),
    Mutant("ex15-2", "forgets to divide lam by mu", _pcp(second="lam")),
    Mutant("ex15-2", "moves the price away", _pcp(dual="Z - mu * (Y - L - S_new)")),
    Mutant("ex15-2", "uses the old S in the price", _pcp(dual="Z + mu * (Y - L - S)")),
    Mutant(
        "ex15-3",
        "forgets the scaling",
        _step(left="L - step * E @ R", right="R - step * E.mT @ L"),
    ),
    Mutant(
        "ex15-3",
        "uses the new left factor for the right one",
        _step(right="R - step * E.mT @ A @ torch.linalg.inv(A.mT @ A)"),
    ),
    Mutant(
        "ex15-3", "leaves the sparse part out of the error", _step(error="L @ R.mT - Y")
    ),
    Mutant("ex15-3", "goes uphill", _step(error="Y - S - L @ R.mT")),
    Mutant(
        "ex15-3",
        "scales a factor by itself",
        _step(left="L - step * E @ R @ torch.linalg.inv(L.mT @ L)"),
    ),
    Mutant("ex15-4", "uses absolute thresholds", _network(unit="torch.ones(1, 1, 1)")),
    Mutant("ex15-4", "takes one mean for the batch", _network(unit="Y.abs().mean()")),
    Mutant("ex15-4", "is one threshold late", _network(threshold="zeta[k] * unit")),
    Mutant("ex15-4", "starts from Y itself", _network(first="Y")),
    Mutant("ex15-4", "leaves the start out", _network(start="[]")),
    Mutant("ex15-4", "cuts the gradient of steps", _network(length="step[k].item()")),
    Mutant("ex15-5", "inverts the quotient", _nmf(ratio="(H @ W.T @ W) / (B @ W)")),
    Mutant("ex15-5", "divides by zero", _nmf(ratio="(B @ W) / (H @ W.T @ W)")),
    Mutant("ex15-5", "uses the old H for W", _nmf(other=OTHER.replace("new", "H"))),
    slip(
        "ex15-5",
        "changes H itself",
        (
            "H = H * torch.where(bottom > 0, top / bottom, 0.0)",
            "H.mul_(torch.where(bottom > 0, top / bottom, 0.0))",
        ),
    ),
    Mutant(
        "ex15-6",
        "forgets the old kernel in the denominator",
        _kernel(bottom="zeta * fz.abs().square().sum(0) + 1e-9"),
    ),
    Mutant(
        "ex15-6",
        "conjugates the wrong one",
        _kernel(top=PLACES["top"].replace("fz.conj() * fy", "fz * fy.conj()")),
    ),
    Mutant(
        "ex15-6",
        "does not put the kernel on the grid",
        _kernel(top=PLACES["top"].replace("on_grid(k, size)", "k, s=size")),
    ),
    Mutant(
        "ex15-6", "lets entries be negative", _kernel(less="new - bias * new.max()")
    ),
    Mutant("ex15-6", "does not normalise", _kernel(end="new")),
    Mutant(
        "ex15-6", "subtracts bias itself", _kernel(less="(new - bias).clamp(min=0)")
    ),
    Mutant(
        "ex15-6",
        "takes the mean over channels",
        _kernel(top=PLACES["top"].replace(".sum(0)", ".mean(0)")),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex15-1",
        "one matrix after the other, with diag",
        SVT.format(
            body="""found = []
    for x in X:
        U, s, V = torch.svd(x)
        found.append(U @ torch.diag(torch.relu(s - theta)) @ V.T)
    return torch.stack(found)"""
        ),
    ),
    Alternative(
        "ex15-1",
        "subtracts the part below the threshold",
        SVT.format(
            body="""U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    return X - U @ torch.diag_embed(s.clamp(max=theta)) @ Vh"""
        ),
    ),
    Alternative(
        "ex15-2",
        "scaled prices",
        """
def pcp_step(Y, S, Z, mu, lam):
    u = Z / mu
    L = lowrank.singular_value_threshold(Y + u - S, 1 / mu)
    v = Y + u - L
    S = unroll.soft_threshold(v, lam / mu)
    return L, S, mu * (v - S)
""",
    ),
    Alternative(
        "ex15-2",
        "the dual by a clip",
        """
def pcp_step(Y, S, Z, mu, lam):
    L = lowrank.singular_value_threshold(Y - S + Z / mu, 1 / mu)
    v = mu * (Y - L) + Z
    new = v.clamp(-lam, lam)
    return L, (v - new) / mu, new
""",
    ),
    Alternative(
        "ex15-3",
        "solves in place of inverting",
        _step(
            left="L - step * torch.linalg.solve(R.mT @ R, (E @ R).mT).mT",
            right="R - step * torch.linalg.solve(L.mT @ L, L.mT @ E).mT",
        ),
    ),
    Alternative(
        "ex15-3",
        "the pseudo-inverse of the other factor",
        _step(
            left="L - step * E @ torch.linalg.pinv(R).mT",
            right="R - step * E.mT @ torch.linalg.pinv(L).mT",
        ),
    ),
    Alternative(
        "ex15-4",
        "divides by the unit first, and multiplies at the end",
        """
def lrpca(Y, rank, zeta, step):
    unit = Y.abs().mean(dim=(1, 2), keepdim=True)
    Y = Y / unit
    factors = balanced_factors(Y.clamp(-zeta[0], zeta[0]), rank)
    found = [factors[0] @ factors[1].mT]
    for z, s in zip(zeta[1:], step):
        factors, _ = library_step(Y, factors, z, s)
        found.append(factors[0] @ factors[1].mT)
    return unit * torch.stack(found)
""",
    ),
    Alternative(
        "ex15-4",
        "with inverses of its own",
        """
def lrpca(Y, rank, zeta, step):
    t = zeta[:, None, None, None] * Y.abs().mean(dim=(1, 2), keepdim=True)
    L, R = balanced_factors(Y - unroll.soft_threshold(Y, t[0]), rank)
    found = [L @ R.mT]
    for k in range(1, len(zeta)):
        rest = Y - L @ R.mT
        E = unroll.soft_threshold(rest, t[k]) - rest
        new = L - step[k - 1] * E @ torch.linalg.pinv(R).mT
        R = R - step[k - 1] * E.mT @ torch.linalg.pinv(L).mT
        L = new
        found.append(L @ R.mT)
    return torch.stack(found)
""",
    ),
    Alternative("ex15-5", "replaces what is not a number", _nmf()),
    Alternative(
        "ex15-5",
        "computes the products from the left",
        """
def nmf_step(B, H, W):
    def ratio(top, bottom):
        safe = bottom.clone()
        safe[bottom == 0] = 1
        return torch.where(bottom == 0, torch.zeros_like(top), top / safe)
    H = H * ratio(torch.einsum("bm,mk->bk", B, W), (H @ W.T) @ W)
    return H, W * ratio((H.T @ B).T, ((H @ W.T).T @ H))
""",
    ),
    Alternative("ex15-6", "the same in other words", _kernel(box="tuple(k.shape)")),
    Alternative(
        "ex15-6",
        "half of the frequencies",
        """
def kernel_step(y, z, k, zeta, bias):
    size = tuple(y.shape[-2:])
    fy, fz = torch.fft.rfft2(y), torch.fft.rfft2(z)
    top = torch.fft.rfft2(on_grid(k, size)) / zeta + torch.einsum("crs,crs->rs", fz.conj(), fy)
    bottom = 1 / zeta + (fz * fz.conj()).real.sum(0)
    new = off_grid(torch.fft.irfft2(top / bottom, s=size), k.shape)
    new = torch.relu(new - bias * new.amax())
    return new / new.sum()
""",
    ),
]
