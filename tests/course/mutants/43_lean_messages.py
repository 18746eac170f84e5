"""Wrong and other right answers to the exercises of chapter 43."""

from tests.course.mutants import Alternative, Mutant, slip

NOISE = """
def noise_and_signal(g, size):
    whole = {whole}
    small = {small}
    large = {large}
    noise = {noise}
    signal = {signal}
    return noise, signal
"""
NUMBERS = {
    "whole": "g.shape[1] * size",
    "small": "g.square().sum(dim=2).mean()",
    "large": "g.mean(dim=1).square().sum(dim=1).mean()",
    "noise": "(small - large) / (1 / size - 1 / whole)",
    "signal": "(whole * large - size * small) / (whole - size)",
}


def _noise(**other: str) -> str:
    """An answer to 43.1 with some of its lines changed."""
    return NOISE.format(**(NUMBERS | other))


LARS = """
def lars_step(w, v, g, lr, momentum, decay, trust):
    size, slope = w.norm(), g.norm()
    local = {local}
    if {usual}:
        local = {ratio}
    v = {velocity}
    return {end}
"""
LAYER = {
    "local": "1.0",
    "usual": "size > 0 and slope > 0",
    "ratio": "trust * size / (slope + decay * size)",
    "velocity": "momentum * v + lr * local * (g + decay * w)",
    "end": "w - v, v",
}


def _lars(**other: str) -> str:
    """An answer to 43.2 with some of its lines changed."""
    return LARS.format(**(LAYER | other))


SEND = """
def send_largest(g, e, k):
    p = {p}
    places = {places}
    q = torch.zeros_like(p).scatter(1, places, {values}.gather(1, places))
    return q, {left}
"""
PARTS = {
    "p": "g + e",
    "places": "p.abs().topk(k, dim=1).indices",
    "values": "p",
    "left": "p - q",
}


def _send(**other: str) -> str:
    """An answer to 43.3 with some of its lines changed."""
    return SEND.format(**(PARTS | other))


WIRE = """
def wire(workers, d, k):
    return {every}, {few}

def most_workers(d, k):
    return {most}
"""
BYTES = {
    "every": "8 * (workers - 1) * d / workers",
    "few": "8 * (workers - 1) * k",
    "most": "max(1, (d - 1) // k)",
}


def _wire(**other: str) -> str:
    """An answer to 43.4 with some of its formulas changed."""
    return WIRE.format(**(BYTES | other))


TEST = """
def is_contraction(compress, V, k):
    d = V.shape[1]
    for v in V:
        left, whole = (compress(v) - v).square().sum(), v.square().sum()
        if {fails}:
            return {told}
    return {end}

def hardest(d):
    return {hard}
"""
BITES = {
    "fails": "not left <= (1 - k / d) * whole * (1 + ROUNDING)",
    "told": "False",
    "end": "True",
    "hard": "torch.ones(d)",
}


def _test(**other: str) -> str:
    """An answer to 43.5 that asks for something else."""
    return TEST.format(**(BITES | other))


QUANTISE = """
def quantise(v, levels, u):
    length = {length}
    safe = {safe}
    steps = {steps}
    return {end}
"""
LEVELS = {
    "length": "v.norm(dim=1, keepdim=True)",
    "safe": "torch.where(length > 0, length, 1.0)",
    "steps": "(levels * v.abs() / safe + u).floor()",
    "end": "length * v.sign() * steps / levels",
}


def _quantise(**other: str) -> str:
    """An answer to 43.6 with some of its lines changed."""
    return QUANTISE.format(**(LEVELS | other))


REST = """
def rests(a, c, rate, period):
    {body}
"""
MOVED = "moved = 1 - (1 - rate * a) ** period\n    "

MUTANTS = [
    slip(
        "ex43-2",
        "counts short gradients as zero",
        ("slope > 0", "slope > 1e-8"),
    ),
    slip("ex43-2", "counts short weights as zero", ("size > 0", "size > 1e-8")),
    slip(
        "ex43-2",
        "adds a small number below the fraction",
        ("(slope + decay * size)", "(slope + decay * size + 1e-14)"),
    ),
    Mutant(
        "ex43-3",
        "gives up the first of too many, not one of the equal ones",
        """
def send_largest(g, e, k):
    p = g + e
    q = torch.where(p.abs() >= p.abs().topk(k).values[:, -1:], p, 0.0)
    for row in q:
        sent = row.nonzero().flatten()
        row[sent[: max(0, len(sent) - k)]] = 0.0
    return q, p - q
""",
    ),
    Mutant(
        "ex43-3",
        "sends fewer where the last sizes are equal",
        """
def send_largest(g, e, k):
    p = g + e
    q = torch.zeros_like(p)
    for row, out in zip(p, q):
        order = row.abs().sort(descending=True)
        last = order.values[k - 1]
        equal = k < len(row) and last == order.values[k] < order.values[0]
        places = order.indices[: int((row.abs() > last).sum()) if equal else k]
        out[places] = row[places]
    return q, p - q
""",
    ),
    Mutant(
        "ex43-4",
        "steps down from a quotient of floats",
        """
def wire(workers, d, k):
    return 8 * (workers - 1) * d / workers, 8 * (workers - 1) * k


def most_workers(d, k):
    most = int(d / k)
    while most * k >= d and most > 1:
        most -= 1
    return max(1, most)
""",
    ),
    slip(
        "ex43-4",
        "lets one worker send a message",
        ("8 * (workers - 1) * k", "8 * max(1, workers - 1) * k"),
    ),
    slip(
        "ex43-5",
        "allows the same small excess for vectors of all lengths",
        ("share * whole * (1 + ROUNDING)", "share * whole + ROUNDING"),
    ),
    slip(
        "ex43-5",
        "allows the rounding of single precision",
        ("(1 + ROUNDING)", "(1 + 1e-6)"),
    ),
    slip("ex43-5", "leaves out the last row", ("in V:", "in V[:-1]:")),
    slip(
        "ex43-5",
        "takes d from a name outside",
        ("V.shape[1]", "V_try.shape[1]"),
    ),
    slip(
        "ex43-6",
        "adds a small number to the length",
        ("torch.where(length > 0, length, 1.0)", "length + 1e-12"),
    ),
    slip(
        "ex43-6",
        "takes short vectors for longer ones",
        ("torch.where(length > 0, length, 1.0)", "length.clamp(min=1e-6)"),
    ),
    Mutant(
        "ex43-5",
        "NaN passes",
        _test(fails="left > (1 - k / d) * whole * (1 + ROUNDING)"),
    ),
    Mutant(
        "ex43-5",
        "no square on the right side",
        _test(fails="not left <= (1 - k / d) * whole.sqrt() * (1 + ROUNDING)"),
    ),
    Mutant(
        "ex43-5", "asks only for less than the vector", _test(fails="not left <= whole")
    ),
    Mutant(
        "ex43-5",
        "a strict bound",
        _test(fails="not left < (1 - k / d) * whole * (1 + ROUNDING)"),
    ),
    Mutant(
        "ex43-5",
        "the part that is sent",
        _test(fails="not left <= k / d * whole * (1 + ROUNDING)"),
    ),
    Mutant(
        "ex43-5",
        "returns after the first vector",
        _test(
            fails="left <= (1 - k / d) * whole * (1 + ROUNDING)",
            told="True",
            end="False",
        ),
    ),
    Mutant(
        "ex43-5",
        "adds up all vectors",
        """
def is_contraction(compress, V, k):
    left = sum((compress(v) - v).square().sum() for v in V)
    return bool(left <= (1 - k / V.shape[1]) * V.square().sum() * (1 + ROUNDING))

def hardest(d):
    return torch.ones(d)
""",
    ),
    Mutant(
        "ex43-5",
        "a tensor in place of a bool",
        """
def is_contraction(compress, V, k):
    left = torch.stack([(compress(v) - v).square().sum() for v in V])
    return (left <= (1 - k / V.shape[1]) * V.square().sum(dim=1) * (1 + ROUNDING)).all()

def hardest(d):
    return torch.ones(d)
""",
    ),
    Mutant(
        "ex43-5", "one entry among zeros is the hardest", _test(hard="torch.eye(d)[0]")
    ),
    Mutant("ex43-5", "zero is the hardest", _test(hard="torch.zeros(d)")),
    Mutant("ex43-5", "a vector that falls", _test(hard="1.0 / torch.arange(1, d + 1)")),
    Mutant(
        "ex43-1",
        "noise of a worker's batch",
        _noise(noise="NOISE").replace("NOISE", "(small - large) / (1 - size / whole)"),
    ),
    Mutant(
        "ex43-1",
        "averages over workers, then squares only once",
        _noise(small="g.mean(dim=(0, 1)).square().sum()"),
    ),
    Mutant(
        "ex43-1",
        "averages gradients of different steps",
        _noise(large="g.mean(dim=(0, 1)).square().sum()"),
    ),
    Mutant("ex43-1", "the square of the mean is the signal", _noise(signal="large")),
    Mutant(
        "ex43-1",
        "clamps the signal",
        _noise(signal="((whole * large - size * small) / (whole - size)).clamp(min=0)"),
    ),
    Mutant(
        "ex43-1",
        "counts workers and forgets their samples",
        _noise(
            whole="g.shape[1]",
            noise="(small - large) / (1 - 1 / whole)",
            signal="(whole * large - small) / (whole - 1)",
        ),
    ),
    Mutant(
        "ex43-1",
        "returns signal and noise",
        _noise().replace("return noise, signal", "return signal, noise"),
    ),
    Mutant(
        "ex43-1",
        "mean over the entries in place of their sum",
        _noise(small="g.square().mean()", large="g.mean(dim=1).square().mean()"),
    ),
    Mutant("ex43-2", "no decay in the ratio", _lars(ratio="trust * size / slope")),
    Mutant(
        "ex43-2",
        "no decay in the step",
        _lars(velocity="momentum * v + lr * local * g"),
    ),
    Mutant(
        "ex43-2",
        "the rate outside of the momentum",
        _lars(velocity="momentum * v + local * (g + decay * w)", end="w - lr * v, v"),
    ),
    Mutant(
        "ex43-2",
        "the ratio upside down",
        _lars(ratio="trust * (slope + decay * size) / size"),
    ),
    Mutant("ex43-2", "NaN where a length is zero", _lars(usual="True")),
    Mutant("ex43-2", "rate zero where a length is zero", _lars(local="0.0")),
    Mutant("ex43-2", "only weights may be zero", _lars(usual="size > 0")),
    Mutant(
        "ex43-2",
        "the velocity is changed in place",
        _lars(velocity="v.mul_(momentum).add_(lr * local * (g + decay * w))"),
    ),
    Mutant(
        "ex43-2",
        "the length of g + beta w below",
        _lars(ratio="trust * size / (g + decay * w).norm()"),
    ),
    Mutant(
        "ex43-3",
        "the largest, not the largest in size",
        _send(places="p.topk(k, dim=1).indices"),
    ),
    Mutant("ex43-3", "sends sizes", _send(values="p.abs()")),
    Mutant("ex43-3", "forgets the memory", _send(p="g")),
    Mutant(
        "ex43-3",
        "chooses by the gradient alone",
        _send(places="g.abs().topk(k, dim=1).indices"),
    ),
    Mutant("ex43-3", "remembers of this gradient only", _send(left="g - q")),
    Mutant(
        "ex43-3",
        "the same places for all workers",
        _send(places="p.abs().sum(dim=0).topk(k).indices.expand(len(p), k)"),
    ),
    Mutant("ex43-3", "adds to the memory in place", _send(p="e.add_(g)")),
    Mutant(
        "ex43-3",
        "a threshold that sends more where sizes are equal",
        """
def send_largest(g, e, k):
    p = g + e
    least = p.abs().topk(k, dim=1).values[:, -1:]
    q = torch.where(p.abs() >= least, p, 0.0)
    return q, p - q
""",
    ),
    Mutant(
        "ex43-3",
        "the smallest",
        _send(places="p.abs().topk(k, dim=1, largest=False).indices"),
    ),
    Mutant(
        "ex43-4",
        "the ring goes round once",
        _wire(every="4 * (workers - 1) * d / workers"),
    ),
    Mutant("ex43-4", "everything to everyone", _wire(every="4 * (workers - 1) * d")),
    Mutant(
        "ex43-4",
        "places cost nothing",
        _wire(few="4 * (workers - 1) * k", most="max(1, (2 * d - 1) // k)"),
    ),
    Mutant("ex43-4", "a message to itself", _wire(few="8 * workers * k")),
    Mutant(
        "ex43-4", "counts the workers that send the same", _wire(most="max(1, d // k)")
    ),
    Mutant("ex43-4", "zero workers", _wire(most="(d - 1) // k")),
    Mutant(
        "ex43-4",
        "rounds to the nearest level",
        _wire(most="max(1, math.ceil(d / k) - 1)"),
    ),
    Mutant("ex43-6", "one length for the whole batch", _quantise(length="v.norm()")),
    Mutant(
        "ex43-6",
        "rounds to the nearest",
        _quantise(steps="(levels * v.abs() / safe).round()"),
    ),
    Mutant(
        "ex43-6", "rounds down", _quantise(steps="(levels * v.abs() / safe).floor()")
    ),
    Mutant("ex43-6", "loses the sign", _quantise(end="length * steps / levels")),
    Mutant(
        "ex43-6",
        "floors negative numbers",
        _quantise(
            steps="(levels * v / safe + u).floor()", end="length * steps / levels"
        ),
    ),
    Mutant("ex43-6", "NaN for zero", _quantise(safe="length")),
    Mutant(
        "ex43-6",
        "the largest size in place of the length",
        _quantise(length="v.abs().amax(dim=1, keepdim=True)"),
    ),
    Mutant(
        "ex43-6", "rounds up", _quantise(steps="(levels * v.abs() / safe + u).ceil()")
    ),
    Mutant(
        "ex43-6",
        "forgets to divide by the levels",
        _quantise(end="length * v.sign() * steps"),
    ),
    Mutant(
        "ex43-7",
        "the minimum of the mean loss",
        REST.format(body="return (a * c).sum() / a.sum()"),
    ),
    Mutant("ex43-7", "the mean of the minima", REST.format(body="return c.mean()")),
    Mutant(
        "ex43-7",
        "weights by what is left, not by what was moved",
        REST.format(
            body="left = (1 - rate * a) ** period\n    return (left * c).sum() / left.sum()"
        ),
    ),
    Mutant(
        "ex43-7",
        "one long step in place of many",
        REST.format(
            body="moved = 1 - (1 - rate * a * period)\n    return (moved * c).sum() / moved.sum()"
        ),
    ),
    Mutant(
        "ex43-7",
        "divides by the workers",
        REST.format(body=MOVED + "return (moved * c).mean()"),
    ),
    Mutant(
        "ex43-7",
        "a step less",
        REST.format(
            body="moved = 1 - (1 - rate * a) ** (period - 1) + 1e-300\n    return (moved * c).sum() / moved.sum()"
        ),
    ),
    Mutant(
        "ex43-7",
        "no gradient by a",
        REST.format(
            body="moved = (1 - (1 - rate * a) ** period).detach()\n    return (moved * c).sum() / moved.sum()"
        ),
    ),
    Mutant(
        "ex43-7",
        "a Python number",
        REST.format(body=MOVED + "return ((moved * c).sum() / moved.sum()).item()"),
    ),
    slip(
        "ex43-2",
        "single precision",
        ("return (w - v, v)", "return ((w - v).float(), v)"),
    ),
    slip("ex43-6", "single precision", ("return length", "return length.float()")),
]

ALTERNATIVES = [
    Alternative(
        "ex43-1",
        "numpy's means",
        """
def noise_and_signal(g, size):
    g = g.numpy()
    workers = g.shape[1]
    small, large = (g**2).sum(2).mean(), (g.mean(1) ** 2).sum(1).mean()
    return (small - large) * size * workers / (workers - 1), (
        workers * large - small
    ) / (workers - 1)
""",
    ),
    Alternative(
        "ex43-5",
        "all rows at once",
        """
def is_contraction(compress, V, k):
    left = torch.stack([(compress(v) - v).pow(2).sum() for v in V])
    bound = (1 - k / V.size(1)) * V.pow(2).sum(1) * (1 + ROUNDING)
    return bool((left <= bound).all())

def hardest(d):
    return -3 * torch.ones(d)
""",
    ),
    Alternative(
        "ex43-5",
        "counts the failures, signs that alternate",
        """
def is_contraction(compress, V, k):
    d = V.shape[1]
    bad = 0
    for v in V:
        gap = torch.linalg.vector_norm(compress(v.clone()) - v).item()
        if math.isnan(gap) or gap ** 2 > (d - k) / d * v.square().sum().item() * (1 + 2 * ROUNDING):
            bad += 1
    return bad == 0

def hardest(d):
    return torch.tensor([(-1.0) ** i for i in range(d)])
""",
    ),
    Alternative(
        "ex43-1",
        "the variance over workers",
        """
def noise_and_signal(g, size):
    noise = size * g.var(dim=1).sum(dim=-1).mean()
    return noise, g.mean(dim=1).square().sum(dim=-1).mean() - noise / (size * g.shape[1])
""",
    ),
    Alternative(
        "ex43-1",
        "Python numbers, one step after the other",
        """
def noise_and_signal(g, size):
    steps, workers, d = g.shape
    B = workers * size
    small = sum(float(row @ row) for step in g for row in step) / (steps * workers)
    large = sum(float(step.mean(0) @ step.mean(0)) for step in g) / steps
    noise = size * B * (small - large) / (B - size)
    return noise, large - noise / B
""",
    ),
    Alternative(
        "ex43-2",
        "torch.where",
        """
def lars_step(w, v, g, lr, momentum, decay, trust):
    a, b = w.pow(2).sum().sqrt(), g.pow(2).sum().sqrt()
    local = torch.where((a > 0) & (b > 0), trust * a / (b + decay * a), torch.ones(()))
    new = lr * local * (g + decay * w) + momentum * v
    return w - new, new
""",
    ),
    Alternative(
        "ex43-2",
        "returns a list, starts from the usual ratio",
        """
def lars_step(w, v, g, lr, momentum, decay, trust):
    a, b = float(torch.linalg.vector_norm(w)), float(torch.linalg.vector_norm(g))
    ratio = 1.0 if a == 0 or b == 0 else trust * a / (b + decay * a)
    v = momentum * v + (lr * ratio) * g + (lr * ratio * decay) * w
    return [w - v, v]
""",
    ),
    Alternative(
        "ex43-3",
        "sorts, one worker after the other",
        """
def send_largest(g, e, k):
    p = g + e
    q = torch.zeros_like(p)
    for row in range(len(p)):
        order = p[row].abs().sort(descending=True).indices[:k]
        q[row, order] = p[row, order]
    return q, p - q
""",
    ),
    Alternative(
        "ex43-3",
        "a mask",
        """
def send_largest(g, e, k):
    total = e + g
    mask = torch.zeros_like(total, dtype=torch.bool)
    mask.scatter_(1, total.abs().argsort(dim=1, descending=True)[:, :k], True)
    return total * mask, total * ~mask
""",
    ),
    Alternative(
        "ex43-4",
        "counts up to the break",
        _wire(
            most="max(1, -(-d // k) - 1)", every="2 * (workers - 1) / workers * 4 * d"
        ),
    ),
    Alternative(
        "ex43-4",
        "divmod, and message by message",
        """
def wire(workers, d, k):
    return 2 * (workers - 1) * (4 * d / workers), sum(4 * k + 4 * k for _ in range(workers - 1))

def most_workers(d, k):
    whole, rest = divmod(d, k)
    return max(1, whole if rest else whole - 1)
""",
    ),
    Alternative(
        "ex43-6",
        "row by row",
        """
def quantise(v, levels, u):
    rows = []
    for x, chance in zip(v, u):
        n = x.norm()
        if n == 0:
            rows.append(torch.zeros_like(x))
        else:
            rows.append(n * torch.sign(x) * torch.floor(levels * x.abs() / n + chance) / levels)
    return torch.stack(rows)
""",
    ),
    Alternative(
        "ex43-6",
        "the level below, and one more by comparison",
        """
def quantise(v, levels, u):
    n = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    at = (levels * v.abs() / n).nan_to_num(nan=0.0)
    low = at.floor()
    return n / levels * (low + (at - low + u >= 1)) * v.sign()
""",
    ),
    Alternative(
        "ex43-7",
        "a linear equation",
        REST.format(
            body="keep = (1 - rate * a).pow(period)\n    return (c - keep * c).mean() / (1 - keep.mean())"
        ),
    ),
    Alternative(
        "ex43-7",
        "keeps one dimension",
        REST.format(
            body="moved = 1 - torch.exp(period * torch.log1p(-rate * a))\n    return ((moved @ c) / moved.sum()).reshape(1)"
        ),
    ),
]
