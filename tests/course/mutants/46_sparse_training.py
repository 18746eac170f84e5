"""Wrong and other right answers to the exercises of chapter 46."""

from tests.course.mutants import Alternative, Mutant, slip

TOGETHER = """
def evolve(values, places, size, zeta, draw, generator):
    order = values.abs().argsort()
    gone = torch.zeros(len(values), dtype=torch.bool)
    gone[order[: int(zeta * len(values))]] = True
    count = int(gone.sum())
    free = torch.ones(size, dtype=torch.bool)
    free[places] = False
    free = free.nonzero()[:, 0]
    grown = free[torch.randperm(len(free), generator=generator)[:count]]
    places, order = torch.cat([places[~gone], grown]).sort()
    return torch.cat([values[~gone], draw(count)])[order], places
"""

NEIGHBOURS = """
def evolve(values, places, size, zeta, draw, generator):
    gone = torch.zeros(len(values), dtype=torch.bool)
    for sign in (1, -1):
        mine = (sign * values > 0).nonzero()[:, 0]
        order = mine[values[mine].abs().argsort()]
        gone[order[: int(zeta * len(mine))]] = True
    count = int(gone.sum())
    free = torch.ones(size, dtype=torch.bool)
    free[places] = False
    free = free.nonzero()[:, 0]
    first = int(torch.randint(len(free), (1,), generator=generator))
    grown = free[(first + torch.arange(count)) % len(free)]
    places, order = torch.cat([places[~gone], grown]).sort()
    return torch.cat([values[~gone], draw(count)])[order], places
"""

MUTANTS = [
    Mutant(
        "ex46-1",
        "counts rows up to the last one that has connections",
        """
def compressed(places, m, n):
    counts = torch.bincount(places // n)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), places % n
""",
    ),
    slip("ex46-1", "divides by the number of rows", ("places // n", "places // m")),
    slip("ex46-1", "returns rows for columns", ("places - n * rows", "rows")),
    Mutant(
        "ex46-1",
        "leaves out the end",
        """
def compressed(places, m, n):
    counts = torch.bincount(places // n, minlength=m)
    return counts.cumsum(0) - counts, places % n
""",
    ),
    Mutant(
        "ex46-1",
        "goes through a dense matrix",
        """
def compressed(places, m, n):
    W = torch.zeros(min(m * n, 10**8), dtype=torch.long)
    W[places.clamp(max=len(W) - 1)] = 1
    starts = torch.searchsorted(places, n * torch.arange(m + 1))
    return starts, places % n
""",
    ),
    Mutant(
        "ex46-1",
        "divides in single precision",
        """
def compressed(places, m, n):
    rows = (places.float() / n).floor().long().clamp(0, m - 1)
    counts = torch.bincount(rows, minlength=m)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return starts, places - n * rows
""",
    ),
    Mutant(
        "ex46-1",
        "returns numbers with a point",
        """
def compressed(places, m, n):
    counts = torch.bincount(places // n, minlength=m).double()
    return torch.cat([torch.zeros(1), counts.cumsum(0)]), places % n
""",
    ),
    Mutant(
        "ex46-1",
        "counts on in the caller's places",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places, n * torch.arange(m + 1))
    return starts, places.remainder_(n)
""",
    ),
    Mutant(
        "ex46-2",
        "forgets that layers become full",
        """
def epsilon_for(sizes, budget):
    return budget / sum(m + n for m, n in sizes)
""",
    ),
    slip(
        "ex46-2",
        "takes a full layer out of the budget and not out of the sum",
        ("(sides - m - n, left - m * n)", "(sides, left - m * n)"),
    ),
    slip(
        "ex46-2",
        "takes a full layer out of the sum and not out of the budget",
        ("(sides - m - n, left - m * n)", "(sides - m - n, left)"),
    ),
    slip(
        "ex46-2",
        "fills large layers first",
        ("s[0] * s[1] / (s[0] + s[1])", "-s[0] * s[1]"),
    ),
    Mutant(
        "ex46-2",
        "takes full layers out once, and does not look again",
        """
def epsilon_for(sizes, budget):
    epsilon = budget / sum(m + n for m, n in sizes)
    full = [m * n <= epsilon * (m + n) for m, n in sizes]
    left = budget - sum(m * n for f, (m, n) in zip(full, sizes) if f)
    sides = sum(m + n for f, (m, n) in zip(full, sizes) if not f)
    return left / sides if sides else max(m * n / (m + n) for m, n in sizes)
""",
    ),
    Mutant(
        "ex46-2",
        "rounds connections to whole numbers",
        """
def epsilon_for(sizes, budget):
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        spent = sum(min(round(middle * (m + n)), m * n) for m, n in sizes)
        low, high = (middle, high) if spent < budget else (low, middle)
    return high
""",
    ),
    Mutant(
        "ex46-2",
        "sorts the caller's list",
        """
def epsilon_for(sizes, budget):
    sizes.sort(key=lambda s: s[0] * s[1] / (s[0] + s[1]))
    sides, left = sum(m + n for m, n in sizes), budget
    for m, n in sizes:
        epsilon = left / sides
        if epsilon <= m * n / (m + n):
            return epsilon
        sides, left = sides - m - n, left - m * n
    return epsilon
""",
    ),
    Mutant(
        "ex46-2",
        "halves an interval that is too short",
        """
def epsilon_for(sizes, budget):
    low, high = 0.0, 4.0
    for _ in range(100):
        middle = (low + high) / 2
        spent = sum(min(middle * (m + n), m * n) for m, n in sizes)
        low, high = (middle, high) if spent < budget else (low, middle)
    return high
""",
    ),
    slip(
        "ex46-3",
        "reads inputs at rows and adds at columns",
        (
            "s.index_add(1, rows, a[:, columns] * values)",
            "s.index_add(1, columns % m, a[:, rows % a.shape[1]] * values)",
        ),
    ),
    Mutant(
        "ex46-3",
        "adds by an index, so that rows that come twice count once",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), m)
    s[:, rows] += a[:, columns] * values
    return s


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, (g[:, rows] * a[:, columns]).sum(dim=0)
""",
    ),
    slip(
        "ex46-3",
        "takes the mean over the batch",
        ("a[:, columns]).sum(dim=0)", "a[:, columns]).mean(dim=0)"),
    ),
    slip(
        "ex46-3",
        "computes the dense gradient and reads it",
        ("(g[:, rows] * a[:, columns]).sum(dim=0)", "(g.T @ a)[rows, columns]"),
    ),
    slip(
        "ex46-3",
        "cuts the graph to the values",
        ("a[:, columns] * values)", "a[:, columns] * values.detach())"),
    ),
    slip(
        "ex46-3",
        "forgets the values on the way back",
        ("g[:, rows] * values)", "g[:, rows])"),
    ),
    slip(
        "ex46-3",
        "sums over connections in place of samples",
        (".sum(dim=0)", ".sum(dim=1)"),
    ),
    slip(
        "ex46-3",
        "exchanges the two gradients",
        (
            "return (da, (g[:, rows] * a[:, columns]).sum(dim=0))",
            "return (g[:, rows] * a[:, columns]).sum(dim=0), da",
        ),
    ),
    slip(
        "ex46-3",
        "changes the inputs in place",
        (
            "return s.index_add(1, rows, a[:, columns] * values)",
            "out = s.index_add(1, rows, a[:, columns] * values)\n"
            "    a.data.mul_(1 + 1e-9)\n    return out",
        ),
    ),
    Mutant("ex46-4", "drops by size, of both signs together", TOGETHER),
    slip(
        "ex46-4",
        "drops the largest",
        ("values[mine].abs().argsort()", "(-values[mine].abs()).argsort()"),
    ),
    slip("ex46-4", "drops zeros, too", ("sign * values > 0", "sign * values >= 0")),
    slip(
        "ex46-4",
        "lets what has gone come back",
        ("free[places] = False", "free[places[~gone]] = False"),
    ),
    slip(
        "ex46-4",
        "may grow where a connection stands",
        ("    free[places] = False\n", ""),
    ),
    slip(
        "ex46-4",
        "grows the first free places",
        (
            "torch.randperm(len(free), generator=generator)",
            "torch.arange(len(free))",
        ),
    ),
    slip(
        "ex46-4",
        "draws from the global generator",
        ("len(free), generator=generator", "len(free)"),
    ),
    slip(
        "ex46-4",
        "leaves values in another order than places",
        (".sort()\n", ".sort()\n    order = order.sort().values\n"),
    ),
    slip(
        "ex46-4",
        "draws a value for every connection",
        ("draw(count)", "draw(len(gone))[:count]"),
    ),
    slip(
        "ex46-4", "starts new connections at zero", ("draw(count)", "0 * draw(count)")
    ),
    slip(
        "ex46-4",
        "sets what goes to zero in the caller's vector",
        ("    count =", "    values[gone] = 0.0\n    count ="),
    ),
    slip(
        "ex46-4",
        "takes the share of all values from each sign",
        ("zeta * len(mine)", "zeta * len(values)"),
    ),
    slip(
        "ex46-4",
        "rounds the share up",
        ("int(zeta * len(mine))", "math.ceil(zeta * len(mine))"),
    ),
    Mutant("ex46-4", "grows a row of neighbours", NEIGHBOURS),
    slip(
        "ex46-5",
        "gives a new connection its neighbour's number",
        ("torch.where(before[index] == after, state[index], 0.0)", "state[index]"),
    ),
    Mutant(
        "ex46-5",
        "keeps the list and fills it up",
        """
def follow(state, before, after):
    new = torch.zeros(len(after), dtype=state.dtype)
    count = min(len(after), len(before))
    new[:count] = state[:count]
    return new
""",
    ),
    Mutant(
        "ex46-5",
        "multiplies by a mask",
        """
def follow(state, before, after):
    index = torch.searchsorted(before, after).clamp(max=len(before) - 1)
    return state[index] * (before[index] == after)
""",
    ),
    Mutant(
        "ex46-5",
        "changes the precision of the state",
        """
def follow(state, before, after):
    new = torch.zeros(len(after))
    new[torch.isin(after, before)] = state[torch.isin(before, after)].double()
    return new
""",
    ),
    Mutant(
        "ex46-5",
        "forgets everything after a move",
        """
def follow(state, before, after):
    return torch.zeros(len(after), dtype=state.dtype)
""",
    ),
    Mutant(
        "ex46-5",
        "lists every place up to a largest one",
        """
def follow(state, before, after):
    if len(after) == 0:
        return state[:0]
    size = int(max(before.max(), after.max())) + 1
    dense = torch.zeros(min(size, 10**6), dtype=state.dtype)
    dense[before.clamp(max=len(dense) - 1)] = state
    return dense[after.clamp(max=len(dense) - 1)]
""",
    ),
    slip("ex46-6", "forgets the sign of a gradient", (".abs()", "")),
    slip("ex46-6", "gives taken places a gradient of 0", ("= -1.0", "= 0.0")),
    slip(
        "ex46-6",
        "forgets which are taken",
        ("        size[here - start] = -1.0\n", ""),
    ),
    slip(
        "ex46-6",
        "sums squares over the batch",
        ("(part.T @ a).abs()", "(part.square().T @ a.square())"),
    ),
    slip("ex46-6", "keeps the order of sizes", ("where.sort().values", "where")),
    Mutant(
        "ex46-6",
        "forms the whole gradient",
        """
def grow(a, g, places, count, height):
    size = (g.T @ a).abs().flatten()
    size[places] = -1.0
    return size.topk(count).indices.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "fills up from the first blocks",
        """
def grow(a, g, places, count, height):
    found, start = [], 0
    for part in g.split(height, dim=1):
        size = (part.T @ a).abs().flatten()
        here = places[(places >= start) & (places < start + len(size))]
        size[here - start] = -1.0
        take = min(len(size) - len(here), count - sum(map(len, found)))
        found.append(start + size.topk(take).indices)
        start += len(size)
    return torch.cat(found).sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "counts places by column",
        """
def grow(a, g, places, count, height):
    size = torch.cat([(p.T @ a).abs() for p in g.split(height, dim=1)])
    size = size.T.flatten().clone()
    size[places] = -1.0
    return size.topk(count).indices.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "keeps all blocks",
        """
def grow(a, g, places, count, height):
    size = torch.cat([(p.T @ a).abs() for p in g.split(height, dim=1)]).flatten()
    size[places] = -1.0
    return size.topk(count).indices.sort().values
""",
    ),
    slip("ex46-7", "sums in place of a mean", ("total / len(models)", "total")),
    slip(
        "ex46-7",
        "keeps the largest, not the largest in size",
        ("mean.abs().topk", "mean.topk"),
    ),
    slip(
        "ex46-7",
        "leaves places in the order of sizes",
        (".indices.sort().values", ".indices"),
    ),
    Mutant(
        "ex46-7",
        "takes the mean over those that have the connection",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models])
    union, index, counts = joined.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in models]))
    mean = total / counts
    kept = mean.abs().topk(k).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "keeps the first model's layout",
        """
def average(models, k):
    union = models[0][1]
    mean = torch.zeros(len(union))
    for values, places in models:
        index = torch.searchsorted(places, union).clamp(max=len(places) - 1)
        mean = mean + torch.where(places[index] == union, values[index], 0.0)
    kept = (mean / len(models)).abs().topk(min(k, len(mean))).indices.sort().values
    return (mean / len(models))[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "counts a connection once",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models])
    union, index = joined.unique(return_inverse=True)
    mean = torch.zeros(len(union))
    mean[index] = torch.cat([values for values, _ in models]) / len(models)
    kept = mean.abs().topk(k).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "prunes each model before the mean",
        """
def average(models, k):
    cut = []
    for values, places in models:
        top = values.abs().topk(min(k - 1, len(values))).indices
        cut.append((values[top], places[top]))
    joined = torch.cat([places for _, places in cut])
    union, index = joined.unique(return_inverse=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in cut]))
    mean = total / len(models)
    kept = mean.abs().topk(min(k, len(mean))).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "takes lists of equal length for granted",
        """
def average(models, k):
    shortest = min(len(values) for values, _ in models)
    joined = torch.cat([places[:shortest] for _, places in models])
    union, index = joined.unique(return_inverse=True)
    total = torch.zeros(len(union))
    values = torch.cat([values[:shortest] for values, _ in models])
    mean = total.index_add(0, index, values) / len(models)
    kept = mean.abs().topk(min(k, len(mean))).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex46-1",
        "by halving",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places, n * torch.arange(m + 1))
    return starts, places % n
""",
    ),
    Alternative(
        "ex46-1",
        "with whole numbers of four bytes",
        """
def compressed(places, m, n):
    rows = torch.div(places, n, rounding_mode="floor")
    starts = torch.zeros(m + 1, dtype=torch.int32)
    starts[1:] = torch.bincount(rows, minlength=m).cumsum(0)
    return starts, torch.remainder(places, n).int()
""",
    ),
    Alternative(
        "ex46-2",
        "by halving an interval",
        """
def epsilon_for(sizes, budget):
    low, high = 0.0, max(m * n / (m + n) for m, n in sizes)
    for _ in range(200):
        middle = (low + high) / 2
        spent = sum(min(middle * (m + n), m * n) for m, n in sizes)
        if spent < budget:
            low = middle
        else:
            high = middle
    return torch.tensor(high)
""",
    ),
    Alternative(
        "ex46-2",
        "takes full layers out until none is left",
        """
def epsilon_for(sizes, budget):
    open_ones, left = list(sizes), budget
    while True:
        epsilon = left / sum(m + n for m, n in open_ones)
        full = [(m, n) for m, n in open_ones if m * n < epsilon * (m + n)]
        if not full or len(full) == len(open_ones):
            return epsilon
        smallest = min(full, key=lambda s: s[0] * s[1] / (s[0] + s[1]))
        open_ones.remove(smallest)
        left -= smallest[0] * smallest[1]
""",
    ),
    Alternative(
        "ex46-3",
        "by scatter_add, and backward by autograd",
        """
def forward(a, values, rows, columns, m):
    parts = a.index_select(1, columns) * values
    return torch.zeros(len(a), m).scatter_add(1, rows.expand(len(a), -1), parts)


def backward(g, a, values, rows, columns):
    with torch.enable_grad():
        a, values = a.detach().requires_grad_(), values.detach().requires_grad_()
        s = forward(a, values, rows, columns, g.shape[1])
        return torch.autograd.grad(s, (a, values), g)
""",
    ),
    Alternative(
        "ex46-3",
        "sample by sample",
        """
def forward(a, values, rows, columns, m):
    parts = [torch.zeros(m).index_add(0, rows, one[columns] * values) for one in a]
    return torch.stack(parts)


def backward(g, a, values, rows, columns):
    da = [
        torch.zeros(a.shape[1]).index_add(0, columns, one[rows] * values) for one in g
    ]
    dv = torch.zeros(len(values))
    for one, x in zip(g, a):
        dv = dv + one[rows] * x[columns]
    return torch.stack(da), dv
""",
    ),
    Alternative(
        "ex46-4",
        "with Python's dictionaries and sorted lists",
        """
def evolve(values, places, size, zeta, draw, generator):
    known = dict(zip(places.tolist(), values.tolist()))
    for sign in (1, -1):
        mine = [p for p, v in known.items() if v is not None and sign * v > 0]
        mine.sort(key=lambda p: abs(known[p]))
        for p in mine[: int(zeta * len(mine))]:
            known[p] = None
    count = sum(v is None for v in known.values())
    free = [p for p in range(size) if p not in known]
    order = torch.randperm(len(free), generator=generator)[:count].tolist()
    new = draw(count).tolist()
    stays = {p: v for p, v in known.items() if v is not None}
    stays.update({free[o]: v for o, v in zip(order, new)})
    found = sorted(stays)
    return torch.tensor([stays[p] for p in found]), torch.tensor(found)
""",
    ),
    Alternative(
        "ex46-4",
        "by thresholds, and by noise for the free places",
        """
def evolve(values, places, size, zeta, draw, generator):
    gone = torch.zeros_like(values, dtype=torch.bool)
    for signed in (values, -values):
        mine = signed[signed > 0].sort().values
        count = math.floor(zeta * len(mine))
        if count:
            gone |= (signed > 0) & (signed <= mine[count - 1])
    chance = torch.rand(size, generator=generator)
    chance[places] = -1.0
    total = int(gone.sum())
    grown = chance.topk(total).indices
    new = torch.cat([places[~gone], grown])
    order = new.argsort()
    return torch.cat([values[~gone], draw(total)])[order], new[order]
""",
    ),
    Alternative(
        "ex46-5",
        "with a dictionary",
        """
def follow(state, before, after):
    where = {p: c for c, p in enumerate(before.tolist())}
    new = torch.zeros(len(after), dtype=state.dtype)
    for c, p in enumerate(after.tolist()):
        if p in where:
            new[c] = state[where[p]]
    return new
""",
    ),
    Alternative(
        "ex46-5",
        "by two masks",
        """
def follow(state, before, after):
    new = state.new_zeros(len(after))
    new[torch.isin(after, before)] = state[torch.isin(before, after)]
    return new
""",
    ),
    Alternative(
        "ex46-6",
        "with lists, the best so far",
        """
def grow(a, g, places, count, height):
    n, taken = a.shape[1], set(places.tolist())
    best = []
    for row in range(0, g.shape[1], height):
        flat = (g[:, row : row + height].T @ a).abs().flatten().tolist()
        free = [(v, row * n + c) for c, v in enumerate(flat)]
        free = [pair for pair in free if pair[1] not in taken]
        best = sorted(best + free, reverse=True)[:count]
    return torch.tensor(sorted(p for _, p in best))
""",
    ),
    Alternative(
        "ex46-6",
        "row by row",
        """
def grow(a, g, places, count, height):
    m, n = g.shape[1], a.shape[1]
    sizes, where = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    for i in range(m):
        row = torch.einsum("b,bj->j", g[:, i], a).abs()
        here = i * n + torch.arange(n)
        free = ~torch.isin(here, places)
        sizes, where = torch.cat([sizes, row[free]]), torch.cat([where, here[free]])
        if len(sizes) > count:
            order = sizes.argsort(descending=True)[:count]
            sizes, where = sizes[order], where[order]
    return where.sort()[0]
""",
    ),
    Alternative(
        "ex46-7",
        "with a dictionary",
        """
def average(models, k):
    total = {}
    for values, places in models:
        for p, v in zip(places.tolist(), values.tolist()):
            total[p] = total.get(p, 0.0) + v / len(models)
    kept = sorted(sorted(total, key=lambda p: abs(total[p]), reverse=True)[:k])
    return torch.tensor([total[p] for p in kept]), torch.tensor(kept)
""",
    ),
    Alternative(
        "ex46-7",
        "model by model over the union",
        """
def average(models, k):
    union = torch.cat([p for _, p in models]).unique()
    mean = torch.zeros(len(union))
    for values, places in models:
        mean[torch.searchsorted(union, places)] += values / len(models)
    order = mean.abs().argsort(descending=True)[:k].sort().values
    return mean[order], union[order]
""",
    ),
]
