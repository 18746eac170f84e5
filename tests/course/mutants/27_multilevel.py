"""Wrong and other right answers to the exercises of chapter 27."""

from tests.course.mutants import Alternative, Mutant, slip

MUTANTS = [
    slip("ex27-1", "forgets the time step", ("h + step * torch", "h + torch")),
    slip("ex27-1", "takes T as the step", ("T / len(blocks)", "T")),
    slip("ex27-1", "counts samples, not blocks", ("T / len(blocks)", "T / len(x)")),
    slip("ex27-1", "forgets the bias of a block", (" + block[:, -1]", "")),
    slip("ex27-1", "forgets the opening bias", (" + opening[1]", "")),
    slip("ex27-1", "forgets the closing bias", (" + closing[1]", "")),
    slip("ex27-1", "does not add to the state", ("h = h + step *", "h = step *")),
    slip("ex27-1", "transposes the matrix", ("block[:, :-1].T", "block[:, :-1]")),
    slip("ex27-1", "runs the blocks backwards", ("in blocks:", "in blocks.flip(0):")),
    slip("ex27-1", "cuts the history", ("torch.tanh(h @", "torch.tanh(h.detach() @")),
    slip("ex27-1", "scales inside", ("step * torch.tanh(h @", "torch.tanh(step * h @")),
    slip(
        "ex27-2",
        "puts the copies one behind the other",
        ("t.repeat_interleave(2, dim=0)", "torch.cat([t, t])"),
    ),
    slip(
        "ex27-2", "averages gradients", ("g[::2] + g[1::2]", "(g[::2] + g[1::2]) / 2")
    ),
    slip(
        "ex27-2",
        "adds up weights",
        ("(blocks[::2] + blocks[1::2]) / 2", "blocks[::2] + blocks[1::2]"),
    ),
    slip(
        "ex27-2",
        "takes every second weight",
        ("(blocks[::2] + blocks[1::2]) / 2", "blocks[::2]"),
    ),
    slip("ex27-2", "takes every second gradient", ("g[::2] + g[1::2]", "2 * g[::2]")),
    slip(
        "ex27-2",
        "pairs the two halves",
        ("g[::2] + g[1::2]", "g[:len(g) // 2] + g[len(g) // 2:]"),
    ),
    slip(
        "ex27-2",
        "halves the step",
        ("t.repeat_interleave(2, dim=0)", "t.repeat_interleave(2, dim=0) / 2"),
    ),
    slip("ex27-2", "repeats another axis", ("dim=0", "dim=-1")),
    slip(
        "ex27-2",
        "cuts the history",
        ("g[::2] + g[1::2]", "(g[::2] + g[1::2]).detach()"),
    ),
    slip(
        "ex27-2",
        "prolongs without history",
        ("t.repeat_interleave(2, dim=0)", "t.detach().repeat_interleave(2, dim=0)"),
    ),
    slip(
        "ex27-3",
        "adds the gradient without the coarse one",
        ("gradient - own", "gradient"),
    ),
    slip(
        "ex27-3",
        "has the wrong sign",
        ("gradient - own", "own - gradient"),
    ),
    slip(
        "ex27-3",
        "multiplies by t, not by the way",
        ("shift * (t - start)", "shift * t"),
    ),
    slip("ex27-3", "drops the coarse loss", ("coarse(t) + (", "(")),
    slip(
        "ex27-3",
        "takes the coarse slope at t in each call",
        (
            "return lambda t: coarse(t) + (shift * (t - start)).sum()",
            "return lambda t: coarse(t) + ((gradient - torch.autograd.grad(coarse(t), t)[0]) * (t - start)).sum()",
        ),
    ),
    slip("ex27-3", "keeps t0 itself", ("(t - start)", "(t - t0)")),
    slip(
        "ex27-3",
        "computes H without history",
        ("coarse(t) + (", "coarse(t).detach() + ("),
    ),
    slip(
        "ex27-3",
        "gives one number for each entry",
        ("(t - start)).sum()", "(t - start))"),
    ),
    slip(
        "ex27-3",
        "lets the result carry a history",
        ("start.detach())", "start)"),
    ),
    slip(
        "ex27-4",
        "is BFGS: leaves out negative curvature",
        ("if below.abs() <=", "if y @ s <= 0 or below.abs() <="),
    ),
    slip(
        "ex27-4",
        "has the wrong sign",
        ("B + torch.outer(r, r) / below", "B - torch.outer(r, r) / below"),
    ),
    slip("ex27-4", "divides by s with itself", ("/ below", "/ (s @ s)")),
    slip("ex27-4", "takes y for r", ("torch.outer(r, r)", "torch.outer(y, y)")),
    slip(
        "ex27-4",
        "is not symmetric",
        ("torch.outer(r, r)", "torch.outer(r, s)"),
        ("/ below", "/ (s @ s)"),
    ),
    slip(
        "ex27-4",
        "leaves nothing out",
        ("if below.abs() <= 1e-08 * s.norm() * r.norm():", "if False:"),
    ),
    slip(
        "ex27-4", "leaves out by size alone", ("1e-08 * s.norm() * r.norm()", "1e-08")
    ),
    slip("ex27-4", "leaves out negative quotients", ("below.abs() <=", "below <=")),
    Mutant(
        "ex27-4",
        "changes B in place",
        """
def sr1(B, s, y):
    r = y - B @ s
    below = r @ s
    if below.abs() > 1e-8 * s.norm() * r.norm():
        B += torch.outer(r, r) / below
    return B
""",
    ),
    slip("ex27-5", "takes Newton's step on a saddle", ("lams[0] > 0 and ", "")),
    slip(
        "ex27-5",
        "never ends inside",
        ("lams[0] > 0 and (a / lams).norm() <= radius", "False"),
    ),
    slip(
        "ex27-5",
        "forgets the hard case",
        ("return p + max(missing, 0.0) ** 0.5 * Q[:, 0]", "return p"),
    ),
    slip(
        "ex27-5",
        "goes uphill",
        ("p = -Q @ (a / (gaps + high))", "p = Q @ (a / (gaps + high))"),
    ),
    slip("ex27-5", "completes along the highest eigenvector", ("Q[:, 0]", "Q[:, -1]")),
    Mutant(
        "ex27-5",
        "cuts Newton's step to the radius",
        """
def best_step(B, g, radius):
    p = -torch.linalg.lstsq(B, g[:, None]).solution[:, 0]
    return p * min(1.0, radius / max(p.norm().item(), 1e-30))
""",
    ),
    Mutant(
        "ex27-5",
        "goes down the slope to the border",
        """
def best_step(B, g, radius):
    return -radius * g / g.norm().clamp(min=1e-30)
""",
    ),
    Mutant(
        "ex27-5",
        "takes absolute values of the curvatures",
        """
def best_step(B, g, radius):
    lams, Q = torch.linalg.eigh(B)
    a, lams = Q.T @ g, lams.abs()
    if (a / lams).norm() <= radius:
        return -Q @ (a / lams)
    low, high = 0.0, g.norm().item() / radius
    for _ in range(100):
        middle = (low + high) / 2
        if (a / (lams + middle)).norm() > radius:
            low = middle
        else:
            high = middle
    return -Q @ (a / (lams + high))
""",
    ),
    slip(
        "ex27-6",
        "turns the ratio round",
        ("(before - after) / predicted", "predicted / (before - after)"),
    ),
    slip("ex27-6", "has the wrong sign", ("(before - after)", "(after - before)")),
    slip(
        "ex27-6",
        "lets the radius grow without being held back",
        (" and length >= 0.9 * radius", ""),
    ),
    slip("ex27-6", "asks for all of the radius", ("0.9 * radius", "radius")),
    slip("ex27-6", "grows above a half", ("rho > 0.75", "rho > 0.5")),
    slip("ex27-6", "halves the radius only", ("min(radius, length) / 2", "radius / 2")),
    slip("ex27-6", "takes nan for middling", ("not rho >= 0.1", "rho < 0.1")),
    slip(
        "ex27-6",
        "refuses whatever is poor",
        ("rho > 0.0001", "rho >= 0.1"),
    ),
    slip("ex27-6", "accepts any decrease", ("rho > 0.0001", "rho > 0")),
    slip(
        "ex27-6",
        "shrinks after a middling step",
        (
            "elif rho > 0.75 and length >= 0.9 * radius:\n        radius = 2 * radius",
            "elif rho > 0.75 and length >= 0.9 * radius:\n        radius = 2 * radius\n    else:\n        radius = radius / 2",
        ),
    ),
    slip("ex27-7", "prolongs the vector, not the change", ("P @ (t - t0)", "P @ t")),
    slip("ex27-7", "has no coherence", ("shift = P.T @ g - own", "shift = 0 * own")),
    slip("ex27-7", "restricts the gradient by R", ("P.T @ g", "R @ g")),
    slip(
        "ex27-7",
        "restricts the weights by the transpose",
        ("R @ theta)", "P.T @ theta)"),
    ),
    slip(
        "ex27-7",
        "forgets the norm",
        ("radius / torch.linalg.matrix_norm(P, 2).item()", "radius"),
    ),
    slip("ex27-7", "takes another norm", ("matrix_norm(P, 2)", "matrix_norm(P)")),
    slip(
        "ex27-7",
        "predicts by the coarse loss",
        ("(H(t0) - H(t)).item()", "(coarse(t0) - coarse(t)).item()"),
    ),
    slip(
        "ex27-7", "turns the ratio round", ("actual / predicted", "predicted / actual")
    ),
    slip(
        "ex27-7",
        "judges by the model",
        ("(fine(theta) - fine(theta + p)).item()", "predicted"),
    ),
    slip("ex27-7", "goes the other way", ("fine(theta + p)", "fine(theta - p)")),
    slip(
        "ex27-7",
        "predicts the wrong sign",
        ("(H(t0) - H(t)).item()", "(H(t) - H(t0)).item()"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex27-1",
        "with linear and by number",
        """
def scores(x, opening, blocks, closing, T):
    linear = torch.nn.functional.linear
    h, K = linear(x, *opening), blocks.shape[0]
    for k in range(K):
        W, b = blocks[k, :, :-1], blocks[k, :, -1]
        h = h + linear(h, W, b).tanh() * T / K
    return linear(h, *closing)
""",
    ),
    Alternative(
        "ex27-1",
        "with a column of ones",
        """
def scores(x, opening, blocks, closing, T):
    h = opening[1] + x.matmul(opening[0].t())
    one = torch.ones(len(x), 1)
    for block in blocks.unbind(0):
        h = torch.add(h, torch.tanh(torch.cat([h, one], dim=1) @ block.mT), alpha=T / len(blocks))
    return closing[1] + h.matmul(closing[0].t())
""",
    ),
    Alternative(
        "ex27-2",
        "with stack and unflatten",
        """
def prolong(t):
    return torch.stack([t, t], dim=1).flatten(0, 1)


def restrict_gradient(g):
    return g.unflatten(0, (-1, 2)).sum(dim=1)


def restrict_weights(blocks):
    return blocks.unflatten(0, (-1, 2)).mean(dim=1)
""",
    ),
    Alternative(
        "ex27-2",
        "with a matrix",
        """
def prolong(t):
    P = torch.eye(len(t)).repeat_interleave(2, dim=0)
    return torch.tensordot(P, t, dims=1)


def restrict_gradient(g):
    P = torch.eye(len(g) // 2).repeat_interleave(2, dim=0)
    return torch.tensordot(P.T, g, dims=1)


def restrict_weights(blocks):
    return 0.5 * restrict_gradient(blocks)
""",
    ),
    Alternative(
        "ex27-3",
        "as a function inside",
        """
def coherent(coarse, t0, gradient):
    origin = t0.detach().clone()
    leaf = origin.clone().requires_grad_(True)
    coarse(leaf).backward()
    shift = gradient.clone() - leaf.grad

    def H(t):
        way = t - origin
        return coarse(t) + torch.sum(way * shift)

    return H
""",
    ),
    Alternative(
        "ex27-3",
        "with functional gradients",
        """
def coherent(coarse, t0, gradient):
    start = t0.detach().clone()
    shift = gradient - torch.func.grad(coarse)(start)
    constant = (shift * start).sum()
    return lambda t: coarse(t) + (shift * t).sum() - constant
""",
    ),
    Alternative(
        "ex27-4",
        "by columns and rows",
        """
def sr1(B, s, y):
    r = (y - B.mv(s))[:, None]
    below = float(r[:, 0].dot(s))
    if abs(below) > 1e-8 * float(s.norm()) * float(r.norm()):
        return B + r @ r.T / below
    return B
""",
    ),
    Alternative(
        "ex27-4",
        "with addr",
        """
def sr1(B, s, y):
    r = y - torch.einsum("ij,j->i", B, s)
    below = torch.dot(r, s).item()
    small = abs(below) <= 1e-8 * (torch.linalg.norm(s) * torch.linalg.norm(r)).item()
    return B if small else torch.addr(B, r, r, alpha=1 / below)
""",
    ),
    Alternative(
        "ex27-5",
        "by bisection of sigma from a shift",
        """
def best_step(B, g, radius):
    values, vectors = torch.linalg.eigh(B)
    parts = vectors.T @ g
    bottom = values[0].item()
    base = max(0.0, -bottom)
    if bottom > 0 and (parts / values).norm() <= radius:
        return -(vectors @ (parts / values))
    gaps = values - bottom
    floor = max(bottom, 0.0)
    low, high = 1e-25, g.norm().item() / radius + 1e-20
    for _ in range(300):
        middle = (low * high) ** 0.5
        if (parts / (gaps + floor + middle)).norm() > radius:
            low = middle
        else:
            high = middle
    p = -(vectors @ (parts / (gaps + floor + high)))
    lacking = max(0.0, radius**2 - float(p @ p))
    return p - lacking**0.5 * vectors[:, 0]
""",
    ),
    Alternative(
        "ex27-5",
        "with the hard case by itself",
        """
def best_step(B, g, radius):
    lam, Q = torch.linalg.eigh(B)
    a = (g @ Q).clone()
    if lam[0] > 0:
        p = a / lam
        if p.norm() <= radius:
            return -(Q @ p)
    gap = lam - lam[0]
    a[a.abs() < 1e-13 * (1 + g.norm())] = 0.0
    lowest = gap < 1e-12
    if lam[0] <= 0 and not a[lowest].any():
        p = torch.where(lowest, 0 * a, a / gap.clamp(min=1e-12))
        if p.norm() <= radius:
            p[0] = (radius**2 - p.square().sum()).clamp(min=0).sqrt()
            return -(Q @ p)
    low = max(0.0, lam[0].item())
    high = low + (g.norm() / radius).item()
    for _ in range(150):
        tau = 0.5 * (low + high)
        low, high = (tau, high) if (a / (gap + tau)).norm() > radius else (low, tau)
    return -(Q @ (a / (gap + high)))
""",
    ),
    Alternative(
        "ex27-6",
        "step by step",
        """
def judge(before, after, predicted, length, radius):
    actual = before - after
    ratio = actual / predicted
    if math.isnan(ratio) or ratio < 0.1:
        new = 0.5 * min(length, radius)
    elif ratio > 0.75 and length / radius >= 0.9:
        new = radius + radius
    else:
        new = radius
    return (ratio, bool(ratio > 1e-4), new)
""",
    ),
    Alternative(
        "ex27-6",
        "a factor",
        """
def judge(before, after, predicted, length, radius):
    rho = before / predicted - after / predicted
    good = rho >= 0.1
    held = length >= 0.9 * radius
    radius = radius if good else min(radius, length)
    factor = 0.5 if not good else 2.0 if rho > 0.75 and held else 1.0
    return rho, rho > 0.0001, factor * radius
""",
    ),
    Alternative(
        "ex27-7",
        "with functional gradients",
        """
def propose(fine, coarse, theta, P, R, lower, radius):
    theta = theta.detach()
    start = R @ theta
    correction = torch.func.grad(fine)(theta) @ P - torch.func.grad(coarse)(start)
    H = lambda t: coarse(t) + (correction * (t - start)).sum()
    end = lower(H, start, radius / float(torch.linalg.svdvals(P).max()))
    with torch.no_grad():
        step = P @ (end - start)
        predicted = float(H(start) - H(end))
        rho = float(fine(theta) - fine(theta + step)) / predicted
    return step, predicted, rho
""",
    ),
    Alternative(
        "ex27-7",
        "with backward",
        """
def propose(fine, coarse, theta, P, R, lower, radius):
    x = theta.detach().clone().requires_grad_()
    before = fine(x)
    before.backward()
    t0 = torch.mv(R, theta.detach())
    t = t0.clone().requires_grad_()
    coarse(t).backward()
    shift = (P.T @ x.grad - t.grad).detach()
    model = lambda t: coarse(t) + torch.dot(shift, t - t0)
    limit = radius / torch.linalg.norm(P, ord=2).item()
    change = (lower(model, t0, limit) - t0).detach()
    p = P.mv(change)
    fall = model(t0).item() - model(t0 + change).item()
    return p, fall, (before.item() - fine(theta.detach() + p).item()) / fall
""",
    ),
]
