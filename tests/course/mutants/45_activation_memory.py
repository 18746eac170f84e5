"""Wrong and other right answers to the exercises of chapter 45."""

from tests.course.mutants import Alternative, Mutant, slip


def _hooked(note: str, count: str, back: str = "lambda tensor: tensor") -> str:
    """An answer to 45.1 that notes and counts in another way."""
    return f"""
def held(forward, own):
    outside = {{t.untyped_storage().data_ptr() for t in own}}
    seen = []
    def pack(tensor):
        {note}
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(pack, {back}):
        out = forward()
    return {count}
"""


def _lengths(most: str) -> str:
    """An answer to 45.3 with another M."""
    return f"""
def best_length(a, b):
    found = []
    for length in range(1, len(a) + 1):
        starts = list(range(0, len(a), length))
        inputs = [b[s] for s in starts]
        layers = [sum(a[s : s + length]) for s in starts]
        found.append(({most}, length))
    most, length = min(found)
    return length, most
"""


STORAGE = "seen.append((tensor.untyped_storage().data_ptr(), {}))"

MUTANTS = [
    Mutant(
        "ex45-1",
        "counts tensors, so that what is saved twice counts twice",
        _hooked(
            STORAGE.format("tensor.untyped_storage().nbytes()"),
            "sum(size for place, size in seen if place not in outside)",
        ),
    ),
    Mutant(
        "ex45-1",
        "counts the numbers of a view, not its storage",
        _hooked(
            STORAGE.format("tensor.numel() * tensor.element_size()"),
            "sum(size for place, size in dict(seen).items() if place not in outside)",
        ),
    ),
    Mutant(
        "ex45-1",
        "takes every number for one of 8 bytes",
        _hooked(
            STORAGE.format("8 * tensor.numel()"),
            "sum(size for place, size in dict(seen).items() if place not in outside)",
        ),
    ),
    Mutant(
        "ex45-1",
        "counts the parameters, too",
        _hooked(
            STORAGE.format("tensor.untyped_storage().nbytes()"),
            "sum(dict(seen).values())",
        ),
    ),
    Mutant(
        "ex45-1",
        "gives zeros back, so that backward is wrong",
        _hooked(
            STORAGE.format("tensor.untyped_storage().nbytes()"),
            "sum(size for place, size in dict(seen).items() if place not in outside)",
            back="torch.zeros_like",
        ),
    ),
    slip(
        "ex45-1",
        "compares tensors with the list, not storages",
        (
            "sizes[storage.data_ptr()] = storage.nbytes()",
            "sizes[storage.data_ptr()] = 0 if any((tensor is t for t in own)) else storage.nbytes()",
        ),
        ("if place not in outside", "if True"),
    ),
    slip(
        "ex45-1",
        "compares where tensors of the list begin",
        ("t.untyped_storage().data_ptr() for t in own", "t.data_ptr() for t in own"),
    ),
    Mutant(
        "ex45-1",
        "tells storages apart by where a view begins",
        _hooked(
            "seen.append((tensor.data_ptr(), tensor.untyped_storage().nbytes()))",
            "sum(size for place, size in dict(seen).items() if place not in outside)",
        ),
    ),
    Mutant(
        "ex45-1",
        "calls forward once more than is asked",
        _hooked(
            STORAGE.format("tensor.untyped_storage().nbytes()"),
            "(forward(), sum(s for p, s in dict(seen).items() if p not in outside))[1]",
        ),
    ),
    slip(
        "ex45-2",
        "rounds pieces down",
        ("math.ceil(rows / machines)", "rows // machines"),
    ),
    slip(
        "ex45-2",
        "gives every machine a full piece",
        ("min(each, max(0, rows - machine * each))", "each"),
    ),
    slip(
        "ex45-2",
        "lets the rest become negative",
        ("max(0, rows - machine * each)", "rows - machine * each"),
    ),
    slip(
        "ex45-2",
        "shares the gradients out before the states",
        ("if stage >= 1", "if stage >= 9"),
        ("if stage >= 2", "if stage >= 1"),
        ("if stage >= 9", "if stage >= 2"),
    ),
    slip(
        "ex45-2", "forgets that there are two states", ("states *", "min(states, 1) *")
    ),
    slip("ex45-2", "takes numbers of 8 bytes", ("4 * mine", "8 * mine")),
    Mutant(
        "ex45-2",
        "cuts all numbers evenly, wherever rows end",
        """
def shared_bytes(shapes, machines, stage, states):
    whole = 4 * sum(math.prod(s) for s in shapes)
    part = math.ceil(whole / machines)
    sides = [part if stage >= k else whole for k in (3, 2, 1)]
    return [sides[0] + sides[1] + states * sides[2]] * machines
""",
    ),
    Mutant(
        "ex45-3",
        "adds all inputs to the largest segment",
        _lengths("sum(inputs) + max(layers)"),
    ),
    Mutant(
        "ex45-3",
        "forgets the inputs",
        _lengths("max(layers) + len(inputs)"),
    ),
    Mutant(
        "ex45-3",
        "counts the segment's own input only",
        _lengths("max(i + s for i, s in zip(inputs, layers, strict=True))"),
    ),
    Mutant(
        "ex45-3",
        "takes the square root of the number of layers",
        """
def best_length(a, b):
    length = round(len(a) ** 0.5)
    starts = range(0, len(a), length)
    held = [
        sum(b[i] for i in starts if i <= s) + sum(a[s : s + length]) for s in starts
    ]
    return length, max(held)
""",
    ),
    slip(
        "ex45-3",
        "returns the longest of equally good lengths",
        ("found.append((most, length))", "found.append((most, -length))"),
        ("min(found)", "min(found)\n    length = -length"),
    ),
    slip(
        "ex45-3",
        "does not try all layers in one segment",
        ("len(a) + 1", "max(2, len(a))"),
    ),
    slip("ex45-4", "rounds to the nearest", (".floor() + 1", ".round()")),
    slip(
        "ex45-4",
        "forgets the sign",
        ("cells * x.sign()", "cells * (x != 0)"),
    ),
    slip(
        "ex45-4",
        "gives zeros a cell, too",
        ("cells * x.sign()", "cells * torch.where(x < 0, -1.0, 1.0)"),
    ),
    slip("ex45-4", "has cells as wide as the bound", ("2 * bound", "bound")),
    slip("ex45-4", "keeps 16 bits, which large numbers overflow", ("int32", "int16")),
    slip("ex45-4", "keeps floats", (".to(torch.int32)", "")),
    slip(
        "ex45-4",
        "remembers the far edge of the cell",
        ("2 * codes.double() - codes.sign()", "2 * codes.double()"),
    ),
    slip(
        "ex45-4",
        "takes the smallest numbers for zeros",
        ("x.sign()", "torch.where(x.abs() > 1e-12, x.sign(), 0.0)"),
    ),
    slip("ex45-4", "answers in single precision", ("codes.double()", "codes.float()")),
    slip("ex45-5", "sums without sizes", ("rows.abs()", "rows")),
    slip("ex45-5", "forgets the zeros of x", ("share / 3", "1 / 3")),
    slip(
        "ex45-5",
        "takes a uniform error for one of variance bound squared",
        ("share / 3 *", "share *"),
    ),
    slip(
        "ex45-5",
        "takes the share squared, out of the root",
        ("bound * (share / 3 *", "share * bound * (1 / 3 *"),
    ),
    slip(
        "ex45-5",
        "takes means over samples",
        ("square().sum(dim=1)", "square().mean(dim=1)"),
    ),
    slip(
        "ex45-5",
        "adds up over samples only",
        (
            "delta.transpose(0, 1).flatten(1)",
            "delta.reshape(*delta.shape[:2], -1).mean(dim=2).T",
        ),
    ),
    slip(
        "ex45-5",
        "has a row for each sample",
        ("delta.transpose(0, 1).flatten(1)", "delta.flatten(1)"),
    ),
    slip(
        "ex45-5",
        "takes the positive entries for those that are not zero",
        ("(x != 0)", "(x > 0)"),
    ),
    slip("ex45-6", "lets the last reader decide", ("min(allowed, ", "(")),
    slip("ex45-6", "takes the quietest output", (".sqrt().max()", ".sqrt().min()")),
    slip(
        "ex45-6", "takes the mean of all outputs", (".sqrt().max()", ".sqrt().mean()")
    ),
    slip(
        "ex45-6",
        "takes the largest entry of the gradient for its mean size",
        ("gradient.abs().mean()", "gradient.abs().max()"),
    ),
    slip(
        "ex45-6",
        "takes the mean with signs",
        ("gradient.abs().mean()", "gradient.mean().abs()"),
    ),
    slip(
        "ex45-6",
        "gives up at a reader that asks for nothing",
        (
            "if noise > 0:",
            "if noise == 0:\n            return math.inf\n        if noise > 0:",
        ),
    ),
    slip(
        "ex45-6",
        "skips readers whose gradient is zero",
        ("if noise > 0", "if noise > 0 and gradient.abs().sum() > 0"),
    ),
    slip("ex45-6", "forgets the share of zeros", ("filled / 3", "1 / 3")),
    slip(
        "ex45-6",
        "takes the positive entries for those that are not zero",
        ("(x != 0)", "(x > 0)"),
    ),
    Mutant(
        "ex45-7",
        "is greedy: a step up for the most sensitive that fits",
        """
def spend(d, c, budget):
    steps, bits = (1, 2, 4, 8), [1] * len(d)
    if sum(d) > budget:
        raise ValueError("too little")
    for i in sorted(range(len(d)), key=lambda i: -c[i]):
        for k in steps[1:]:
            more = d[i] * (k - bits[i])
            if sum(n * b for n, b in zip(d, bits)) + more <= budget:
                bits[i] = k
    return bits
""",
    ),
    Mutant(
        "ex45-7",
        "gives all the same",
        """
def spend(d, c, budget):
    if sum(d) > budget:
        raise ValueError("too little")
    best = max(k for k in (1, 2, 4, 8) if k * sum(d) <= budget)
    return [best] * len(d)
""",
    ),
    slip(
        "ex45-7", "counts bits of numbers, not of activations", ("n * k for", "k for")
    ),
    slip("ex45-7", "takes two to the minus bits", ("4 ** k", "2 ** k")),
    slip(
        "ex45-7", "weighs by size, not by sensitivity", ("zip(c, bits", "zip(d, bits")
    ),
    slip("ex45-7", "does not spend the last bit", ("used <= budget", "used < budget")),
    slip("ex45-7", "allows three bits", ("(1, 2, 4, 8)", "(1, 2, 3, 4, 8)")),
    slip(
        "ex45-7",
        "returns one bit each where even that is too much",
        (
            "raise ValueError('the budget is less than one bit for each number')",
            "return [1] * len(d)",
        ),
    ),
    Mutant(
        "ex45-1",
        "counts only what needs a gradient, and forgets the data",
        _hooked(
            STORAGE.format("tensor.untyped_storage().nbytes() * tensor.requires_grad"),
            "sum(size for place, size in dict(seen).items() if place not in outside)",
        ),
    ),
    slip(
        "ex45-3",
        "returns the bytes first",
        ("return (length, most)", "return (most, length)"),
    ),
    slip(
        "ex45-3",
        "forgets the last, shorter segment",
        ("range(0, len(a), length)", "range(0, len(a) - length + 1, length)"),
    ),
    slip(
        "ex45-4",
        "takes the sign in single precision, where tiny numbers are zero",
        ("x.sign()", "x.float().sign()"),
    ),
    slip(
        "ex45-4",
        "cuts large numbers off at a byte's range",
        ("(cells * x.sign())", "(cells * x.sign()).clamp(-127, 127)"),
    ),
    slip(
        "ex45-5",
        "returns the typical error first",
        (
            "return (bound * rows.abs().sum(dim=1), sigma)",
            "return (sigma, bound * rows.abs().sum(dim=1))",
        ),
    ),
    slip(
        "ex45-6",
        "adds readers up in place of the most sensitive one",
        (
            "min(allowed, float(share * gradient.abs().mean() / noise))",
            "1 / (1 / allowed + 1 / max(1e-300, float(share * gradient.abs().mean() / noise)))",
        ),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex45-1",
        "keeps the storages themselves, and detached tensors",
        """
def held(forward, own):
    kept = {}
    def note(t):
        s = t.untyped_storage()
        kept[s._cdata] = s
        return t.detach()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        result = forward()
    skip = [t.untyped_storage().data_ptr() for t in own]
    found = [s.nbytes() for s in kept.values() if s.data_ptr() not in skip]
    return sum(found) + 0 * len(str(type(result)))
""",
    ),
    Alternative(
        "ex45-1",
        "keeps a set of pairs, and packs into a tuple",
        """
def held(forward, own):
    key = lambda t: (t.untyped_storage().data_ptr(), t.untyped_storage().nbytes())
    pairs, skip = set(), {key(t) for t in own}
    def pack(t):
        pairs.add(key(t))
        return (t,)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept[0]):
        keep = [forward()]
    return torch.tensor([size for _, size in pairs - skip], dtype=torch.long).sum().item()
""",
    ),
    Alternative(
        "ex45-2",
        "uses ranges of rows, and returns a tuple",
        """
def shared_bytes(shapes, machines, stage, states):
    def of(p):
        total = 0
        for shape in shapes:
            size = -(-shape[0] // machines)
            mine = len(range(shape[0])[p * size : (p + 1) * size])
            row = math.prod(shape) // shape[0]
            for first, times in ((1, states), (2, 1), (3, 1)):
                total += 4 * times * row * (mine if stage >= first else shape[0])
        return total
    return tuple(of(p) for p in range(machines))
""",
    ),
    Alternative(
        "ex45-2",
        "cuts real tensors with chunk",
        """
def shared_bytes(shapes, machines, stage, states):
    whole = sum(torch.ones(s).numel() for s in shapes)
    mine = [0] * machines
    for s in shapes:
        size = math.ceil(s[0] / machines)
        for p, piece in enumerate(torch.ones(s).split(size)):
            mine[p] += piece.numel()
    return [4 * ((m if stage > 2 else whole) + (m if stage > 1 else whole)
            + states * (m if stage > 0 else whole)) for m in mine]
""",
    ),
    Alternative(
        "ex45-3",
        "accumulates inputs, and takes the first index of the least",
        _lengths("max(sum(inputs[: j + 1]) + s for j, s in enumerate(layers))"),
    ),
    Alternative(
        "ex45-3",
        "works with tensors of one length",
        """
def best_length(a, b):
    best = None
    for ell in range(len(a), 0, -1):
        kept, most = 0, -math.inf
        for i in range(len(a)):
            if i % ell == 0:
                kept += b[i]
                here = 0
            here += a[i]
            most = max(most, kept + here)
        if best is None or most <= best[1]:
            best = [ell, most]
    return best[0], best[1]
""",
    ),
    Alternative(
        "ex45-4",
        "rounds up, in 64 bits",
        """
def encode(x, bound):
    up = torch.ceil(x.abs() / bound / 2).clamp(min=1)
    return torch.where(x == 0, 0, torch.copysign(up, x)).long()
def decode(codes, bound):
    c = codes.to(torch.float64)
    return bound * torch.sign(c) * (2 * c.abs() - 1)
""",
    ),
    Alternative(
        "ex45-4",
        "counts cells with floor division, sign by sign",
        """
def encode(x, bound):
    k = torch.div(x.abs(), 2 * bound, rounding_mode="floor").int() + 1
    return k * (x > 0).int() - k * (x < 0).int()
def decode(codes, bound):
    middle = (codes.abs() - 0.5) * 2 * bound
    return torch.where(codes == 0, 0.0, middle * codes.sign()).double()
""",
    ),
    Alternative(
        "ex45-5",
        "sums over all axes but the outputs",
        """
def limits(x, delta, bound):
    axes = [i for i in range(delta.dim()) if i != 1]
    r = torch.count_nonzero(x) / x.numel()
    return bound * delta.abs().sum(axes), bound * torch.sqrt(r.double() / 3 * (delta**2).sum(axes))
""",
    ),
    Alternative(
        "ex45-5",
        "uses norms",
        """
def limits(x, delta, bound):
    rows = torch.stack([delta[:, k].reshape(-1) for k in range(delta.shape[1])])
    r = x.ne(0).sum().item() / x.numel()
    sigma = bound * math.sqrt(r / 3) * torch.linalg.vector_norm(rows, dim=1)
    return torch.linalg.vector_norm(bound * rows, ord=1, dim=1), sigma
""",
    ),
    Alternative(
        "ex45-6",
        "collects all bounds and takes the least, as a tensor",
        """
def bound_for(x, readers, share):
    r = (x != 0).sum() / x.numel()
    asked = [torch.tensor(math.inf)]
    for slope, delta in readers:
        axes = [i for i in range(delta.dim()) if i != 1]
        worst = (delta**2).sum(axes).max()
        if r > 0 and worst > 0:
            asked.append(share * slope.abs().mean() / torch.sqrt(r / 3 * worst))
    return torch.stack(asked).min()
""",
    ),
    Alternative(
        "ex45-6",
        "uses Python numbers",
        """
def bound_for(x, readers, share):
    r = float((x != 0).double().mean())
    def one(slope, delta):
        rows = delta.movedim(1, 0).reshape(delta.shape[1], -1)
        sigma = max(math.sqrt(r / 3 * float(row @ row)) for row in rows)
        size = float(slope.abs().sum()) / slope.numel()
        return share * size / sigma if sigma else math.inf
    return min([one(*pair) for pair in readers], default=math.inf)
""",
    ),
    Alternative(
        "ex45-7",
        "keeps the best for each number of bits used",
        """
def spend(d, c, budget):
    best = {0: (0.0, ())}
    for n, s in zip(d, c):
        new = {}
        for used, (error, bits) in best.items():
            for k in (1, 2, 4, 8):
                u, e = used + n * k, error + s * 4.0 ** -k
                if u <= budget and e < new.get(u, (math.inf,))[0]:
                    new[u] = (e, (*bits, k))
        best = new
    if not best:
        raise ValueError("too little")
    return min(best.values())[1]
""",
    ),
    Alternative(
        "ex45-7",
        "goes through the activations one after the other",
        """
def spend(d, c, budget):
    def rest(i, left):
        if i == len(d):
            return 0.0, []
        found = []
        for k in (1, 2, 4, 8):
            if d[i] * k <= left:
                error, bits = rest(i + 1, left - d[i] * k)
                found.append((error + c[i] * 4.0 ** -k, [k, *bits]))
        return min(found, default=(math.inf, []))
    error, bits = rest(0, budget)
    if error == math.inf:
        raise ValueError("not a bit for each")
    return bits
""",
    ),
]
