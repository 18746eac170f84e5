"""Every network, and its classical parent written out plainly: no code is shared."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import unroll as u

LAM = 0.15
KEEP = (0, 1, 2, 4, 5)
DEPTH = len(KEEP)


def problem(seed: int = 0, m: int = 10, n: int = 16, batch: int = 6):
    generator = torch.Generator().manual_seed(seed)
    sparse = u.SparseCoding.gaussian(m, n, generator, density=0.2, snr_db=30.0)
    b, x = sparse.sample(batch, generator)
    return sparse.A, b, x


def shrink(v: Tensor, theta: Tensor, keep: int) -> Tensor:
    """Soft threshold with selection, entry by entry, from its definition."""
    theta = torch.as_tensor(theta).expand_as(v)
    out = torch.zeros_like(v)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            size = v[i, j].abs()
            larger = int((v[i].abs() > size).sum())
            if size > theta[i, j]:
                passes = larger < keep
                out[i, j] = v[i, j] if passes else v[i, j].sign() * (size - theta[i, j])
    return out


def ista(A, b, keep=(0,) * DEPTH, lam=LAM) -> Tensor:
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x = [b.new_zeros(len(b), A.shape[1])]
    for k in keep:
        move = step * (A.T @ (b - x[-1] @ A.T).T).T
        x.append(shrink(x[-1] + move, step * lam, k))
    return torch.stack(x)


def whitened(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (A A^T)^(-1/2), the whitened unit atoms, and the norms they had."""
    values, vectors = torch.linalg.eigh(A @ A.T)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    norms = (root @ A).norm(dim=0)
    return root, (root @ A) / norms, norms


def whitened_ista(A, b, keep=KEEP, lam=LAM, weighted=False) -> Tensor:
    """ISTA on ``root b = (root A / norms) (norms x)``, weights of the l1 norm / norms.

    In its coordinates ``z = norms * x`` a threshold theta on x is ``norms * theta``.
    """
    root, atoms, norms = whitened(A)
    step = 1 / torch.linalg.matrix_norm(atoms, 2) ** 2
    z = [b.new_zeros(len(b), A.shape[1])]
    for k in keep:
        v = z[-1] + step * (b @ root - z[-1] @ atoms.T) @ atoms
        g = 1 / ((z[-1] / norms).abs() / 0.1 + 1) if weighted else 1.0
        z.append(norms * shrink(v / norms, step * lam * g, k))
    return torch.stack(z) / norms


def tista(A, b, density=0.2, snr_db=30.0) -> Tensor:
    m, n = A.shape
    W = torch.linalg.pinv(A)
    noise = b.square().mean(dim=1, keepdim=True) / (1 + 10 ** (snr_db / 10))

    def normal(y, variance):
        return (
            torch.exp(-y.square() / (2 * variance)) / (2 * torch.pi * variance) ** 0.5
        )

    x = [b.new_zeros(len(b), n)]
    for _ in range(DEPTH):
        r = b - x[-1] @ A.T
        v2 = (r.norm(dim=1, keepdim=True) ** 2 - m * noise).clamp(min=1e-9)
        v2 = v2 / torch.trace(A.T @ A)
        tau2 = v2 / n * (n - m) + noise * torch.trace(W @ W.T) / n
        y = x[-1] + r @ W.T
        on, off = density * normal(y, 1 + tau2), (1 - density) * normal(y, tau2)
        x.append(y / (1 + tau2) * on / (on + off))
    return torch.stack(x)


def hyper(A, b, c1=0.1, c2=0.01, c3=5.0) -> Tensor:
    W, pinv = u.analytic_weight(A), torch.linalg.pinv(A)
    C = (W.T @ A).abs()
    mu = (C - torch.diag(C.diag())).max()
    x = [b.new_zeros(len(b), A.shape[1])] * 2
    whole = (pinv @ b.T).T.abs().sum(dim=1)
    for _ in range(DEPTH):
        r = b - x[-1] @ A.T
        error = (pinv @ r.T).T.abs().sum(dim=1)
        v = x[-1] + (W.T @ r.T).T
        v = v + c2 * (x[-1] != 0).sum(dim=1, keepdim=True) * (x[-1] - x[-2])
        keep = (c3 * (whole / error).log()).floor().clamp(0, A.shape[1])
        rows = [
            shrink(v[i : i + 1], c1 * mu * error[i], int(keep[i]))
            for i in range(len(b))
        ]
        x.append(torch.cat(rows))
    return torch.stack(x[1:])


def amp(A, b) -> Tensor:
    return u.amp(A, b, iterations=DEPTH, keep_iterates=True).iterates


def vamp(A, b, density=0.2, snr_db=30.0) -> Tensor:
    noise = b.square().mean(dim=1) / (1 + 10 ** (snr_db / 10))
    prior = u.BernoulliGaussian(density, 1.0)
    return u.vamp(A, b, prior, noise, iterations=DEPTH, keep_iterates=True).iterates


def library_ista(A, b) -> Tensor:
    return u.ista(A, b, LAM, iterations=DEPTH, keep_iterates=True).iterates


@dataclass(frozen=True)
class Case:
    """One network: how to make it, and what it must equal before training."""

    name: str
    make: Callable[[Tensor], u.Unrolled]
    parent: Callable[[Tensor, Tensor], Tensor]

    def __str__(self) -> str:
        return self.name


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


NETWORKS = [
    Case("LISTA", lambda A: u.LISTA(A, DEPTH, lam=LAM), library_ista),
    Case("LISTA tied", lambda A: u.LISTA(A, DEPTH, lam=LAM, tied=True), library_ista),
    Case(
        "LISTASS",
        lambda A: u.LISTASS(A, DEPTH, lam=LAM, keep=KEEP),
        lambda A, b: ista(A, b, KEEP),
    ),
    Case("LISTACP", lambda A: u.LISTACP(A, DEPTH, lam=LAM), library_ista),
    Case(
        "LISTACPSS",
        lambda A: u.LISTACPSS(A, DEPTH, lam=LAM, keep=KEEP),
        lambda A, b: ista(A, b, KEEP),
    ),
    Case(
        "LISTACPSS tied",
        lambda A: u.LISTACPSS(A, DEPTH, lam=LAM, keep=KEEP, tied=True),
        lambda A, b: ista(A, b, KEEP),
    ),
    Case(
        "TiLISTA",
        lambda A: u.TiLISTA(A, DEPTH, lam=LAM, keep=KEEP),
        lambda A, b: ista(A, b, KEEP),
    ),
    Case("ALISTA", lambda A: u.ALISTA(A, DEPTH, lam=LAM, keep=KEEP), whitened_ista),
    Case(
        "ALISTA with weight A",
        lambda A: u.ALISTA(A, DEPTH, lam=LAM, keep=0, weight=A),
        library_ista,
    ),
    Case(
        "ALISTAAT",
        lambda A: u.ALISTAAT(A, DEPTH, lam=LAM, keep=KEEP),
        lambda A, b: whitened_ista(A, b, weighted=True),
    ),
    Case("AGLISTA", lambda A: u.AGLISTA(A, DEPTH, lam=LAM, keep=KEEP), whitened_ista),
    Case(
        "GLISTA",
        lambda A: u.GLISTA(A, DEPTH, lam=LAM, keep=KEEP),
        lambda A, b: ista(A, b, KEEP),
    ),
    Case(
        "RidgeALISTA",
        lambda A: u.RidgeALISTA(A, DEPTH, lam=LAM, keep=KEEP, ridge=1e-16),
        whitened_ista,
    ),
    Case(
        "NAALISTA",
        lambda A: u.NAALISTA(
            A, DEPTH, lam=LAM, keep=KEEP, hidden=4, generator=seeded()
        ),
        whitened_ista,
    ),
    Case("StepLISTA", lambda A: u.StepLISTA(A, DEPTH, lam=LAM), library_ista),
    Case("LAMP", lambda A: u.LAMP(A, DEPTH), amp),
    Case("LAMP tied", lambda A: u.LAMP(A, DEPTH, tied=True), amp),
    Case("LVAMP", lambda A: u.LVAMP(A, DEPTH, density=0.2, snr_db=30.0), vamp),
    Case("TISTA", lambda A: u.TISTA(A, DEPTH, density=0.2, snr_db=30.0), tista),
    Case("HyperLISTA", lambda A: u.HyperLISTA(A, DEPTH), hyper),
]


def disturbed(net: u.Unrolled, amount: float = 0.05) -> u.Unrolled:
    """Return the network with every parameter moved a little, as training does."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(
                parameter.shape, generator=generator, dtype=parameter.dtype
            )
            parameter += amount * noise
    return net
