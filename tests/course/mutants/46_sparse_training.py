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
    Mutant(
        "ex46-1",
        "counts only rows that have connections",
        """
def compressed(places, m, n):
    counts = (places // n).unique_consecutive(return_counts=True)[1]
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), places % n
""",
    ),
    Mutant(
        "ex46-1",
        "gives the first column to the row before",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places, n * torch.arange(m + 1), right=True)
    starts[0] = 0
    return starts, places % n
""",
    ),
    Mutant(
        "ex46-1",
        "ends with the number of rows",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places // n, torch.arange(m))
    return torch.cat([starts, torch.tensor([m])]), places % n
""",
    ),
    Mutant(
        "ex46-1",
        "takes whole numbers of four bytes for places",
        """
def compressed(places, m, n):
    places = places.int()
    starts = torch.searchsorted(places, (n * torch.arange(m + 1)).int())
    return starts, places % n
""",
    ),
    Mutant(
        "ex46-1",
        "puts the zero at the end",
        """
def compressed(places, m, n):
    counts = torch.bincount(places // n, minlength=m)
    return torch.cat([counts.cumsum(0), counts.new_zeros(1)]), places % n
""",
    ),
    Mutant(
        "ex46-1",
        "takes bytes for columns",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places, n * torch.arange(m + 1))
    return starts, (places % n).to(torch.uint8)
""",
    ),
    Mutant(
        "ex46-1",
        "returns counts",
        """
def compressed(places, m, n):
    counts = torch.bincount(places // n, minlength=m)
    return torch.cat([counts.new_zeros(1), counts]), places % n
""",
    ),
    slip(
        "ex46-2",
        "fills layers in the order of their entries",
        ("s[0] * s[1] / (s[0] + s[1])", "s[0] * s[1]"),
    ),
    slip(
        "ex46-2",
        "fills layers in the order of their neurons",
        ("s[0] * s[1] / (s[0] + s[1])", "s[0] + s[1]"),
    ),
    slip("ex46-2", "divides without a rest", ("left / sides", "left // sides")),
    Mutant(
        "ex46-2",
        "returns the density",
        """
def epsilon_for(sizes, budget):
    return budget / sum(m * n for m, n in sizes)
""",
    ),
    Mutant(
        "ex46-2",
        "gives each layer an equal part",
        """
def epsilon_for(sizes, budget):
    return max(min(budget / len(sizes), m * n) / (m + n) for m, n in sizes)
""",
    ),
    Mutant(
        "ex46-2",
        "takes the largest epsilon that spends all",
        """
def epsilon_for(sizes, budget):
    low, high = 0.0, 2.0 * max(m * n for m, n in sizes)
    for _ in range(200):
        middle = (low + high) / 2
        spent = sum(min(middle * (m + n), m * n) for m, n in sizes)
        low, high = (middle, high) if spent <= budget else (low, middle)
    return high
""",
    ),
    Mutant(
        "ex46-2",
        "stops halving too early",
        """
def epsilon_for(sizes, budget):
    low, high = 0.0, float(max(m * n for m, n in sizes))
    for _ in range(25):
        middle = (low + high) / 2
        spent = sum(min(middle * (m + n), m * n) for m, n in sizes)
        low, high = (middle, high) if spent < budget else (low, middle)
    return high
""",
    ),
    Mutant(
        "ex46-2",
        "returns the number of connections",
        """
def epsilon_for(sizes, budget):
    sides, left = sum(m + n for m, n in sizes), budget
    for m, n in sorted(sizes, key=lambda s: s[0] * s[1] / (s[0] + s[1])):
        if left / sides <= m * n / (m + n):
            return left / sides * (m + n)
        sides, left = sides - m - n, left - m * n
""",
    ),
    slip(
        "ex46-3",
        "multiplies the gradient by the values twice",
        ("g[:, rows] * a[:, columns]", "g[:, rows] * a[:, columns] * values"),
    ),
    slip(
        "ex46-3",
        "cuts the graph to the inputs",
        ("a[:, columns] * values)", "a.detach()[:, columns] * values)"),
    ),
    Mutant(
        "ex46-3",
        "writes the last connection of a row only",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), m)
    return s.index_copy(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, (g[:, rows] * a[:, columns]).sum(dim=0)
""",
    ),
    Mutant(
        "ex46-3",
        "makes only as many outputs as have connections",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), int(rows.max()) + 1)
    return s.index_add(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, (g[:, rows] * a[:, columns]).sum(dim=0)
""",
    ),
    Mutant(
        "ex46-3",
        "multiplies every pair of input and output",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), m)
    return s.index_add(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, torch.einsum("bi,bj->ij", g, a)[rows, columns]
""",
    ),
    Mutant(
        "ex46-3",
        "returns the gradient by the values as a row for each sample",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), m)
    return s.index_add(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, g[:, rows] * a[:, columns]
""",
    ),
    Mutant(
        "ex46-3",
        "divides the gradient by the inputs by the batch",
        """
def forward(a, values, rows, columns, m):
    s = torch.zeros(len(a), m)
    return s.index_add(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da / len(a), (g[:, rows] * a[:, columns]).sum(dim=0)
""",
    ),
    Mutant(
        "ex46-3",
        "computes without a graph",
        """
def forward(a, values, rows, columns, m):
    with torch.no_grad():
        return torch.zeros(len(a), m).index_add(1, rows, a[:, columns] * values)


def backward(g, a, values, rows, columns):
    da = torch.zeros(a.shape).index_add(1, columns, g[:, rows] * values)
    return da, (g[:, rows] * a[:, columns]).sum(dim=0)
""",
    ),
    slip(
        "ex46-4",
        "orders negative values by value",
        ("values[mine].abs().argsort()", "values[mine].argsort()"),
    ),
    slip(
        "ex46-4",
        "rounds to the nearest number",
        ("int(zeta * len(mine))", "round(zeta * len(mine))"),
    ),
    slip(
        "ex46-4",
        "lets at least one go",
        ("int(zeta * len(mine))", "max(1, int(zeta * len(mine)))"),
    ),
    slip(
        "ex46-4",
        "draws free places with repetition",
        (
            "torch.randperm(len(free), generator=generator)[:count]",
            "torch.randint(len(free), (count,), generator=generator)",
        ),
    ),
    slip(
        "ex46-4",
        "asks for values one by one",
        ("draw(count)", "torch.cat([draw(1) for _ in range(count)] or [values[:0]])"),
    ),
    slip(
        "ex46-4",
        "leaves the first place alone",
        ("free[places] = False", "free[places] = False\n    free[0] = False"),
    ),
    slip(
        "ex46-4",
        "leaves the last place alone",
        ("free[places] = False", "free[places] = False\n    free[-1] = False"),
    ),
    slip(
        "ex46-4",
        "returns places as numbers with a point",
        ("[order], places", "[order], places.double()"),
    ),
    slip(
        "ex46-4",
        "returns values in single precision",
        ("draw(count)])[order]", "draw(count)])[order].float()"),
    ),
    slip("ex46-4", "shrinks what stays", ("values[~gone]", "0.999999 * values[~gone]")),
    slip(
        "ex46-4",
        "takes half of the share from each sign",
        ("zeta * len(mine)", "zeta * len(mine) / 2"),
    ),
    Mutant(
        "ex46-4",
        "cuts at a quantile of the sizes of each sign",
        """
def evolve(values, places, size, zeta, draw, generator):
    gone = torch.zeros(len(values), dtype=torch.bool)
    for sign in (1, -1):
        mine = sign * values > 0
        if mine.any():
            gone |= mine & (values.abs() < values[mine].abs().quantile(zeta))
    count = int(gone.sum())
    free = torch.ones(size, dtype=torch.bool)
    free[places] = False
    free = free.nonzero()[:, 0]
    grown = free[torch.randperm(len(free), generator=generator)[:count]]
    places, order = torch.cat([places[~gone], grown]).sort()
    return torch.cat([values[~gone], draw(count)])[order], places
""",
    ),
    slip(
        "ex46-4",
        "grows in the order of places only half of the time",
        (
            "grown = free[torch.randperm(len(free), generator=generator)[:count]]",
            "grown = free[torch.randperm(len(free) - len(free) // 3, generator=generator)[:count]]",
        ),
    ),
    slip(
        "ex46-5",
        "looks for the next place",
        (
            "torch.searchsorted(before, after)",
            "torch.searchsorted(before, after, right=True)",
        ),
    ),
    slip(
        "ex46-5",
        "forgets places behind all others",
        (".clamp(max=len(before) - 1)", ""),
    ),
    Mutant(
        "ex46-5",
        "compares places by their number in the list",
        """
def follow(state, before, after):
    new = torch.zeros(len(after), dtype=state.dtype)
    for c in range(min(len(before), len(after))):
        if before[c] == after[c]:
            new[c] = state[c]
    return new
""",
    ),
    Mutant(
        "ex46-5",
        "gives new connections the mean",
        """
def follow(state, before, after):
    index = torch.searchsorted(before, after).clamp(max=len(before) - 1)
    return torch.where(before[index] == after, state[index], state.mean())
""",
    ),
    Mutant(
        "ex46-5",
        "multiplies by a matrix of hits",
        """
def follow(state, before, after):
    return (after[:, None] == before).to(state.dtype) @ state
""",
    ),
    Mutant(
        "ex46-5",
        "compares places in single precision",
        """
def follow(state, before, after):
    before, after = before.float(), after.float()
    index = torch.searchsorted(before, after).clamp(max=len(before) - 1)
    return torch.where(before[index] == after, state[index], 0.0)
""",
    ),
    Mutant(
        "ex46-5",
        "returns the kept numbers first, then zeros",
        """
def follow(state, before, after):
    kept = state[torch.isin(before, after)]
    return torch.cat([kept, kept.new_zeros(len(after) - len(kept))])
""",
    ),
    Mutant(
        "ex46-5",
        "sets what has gone to zero in the caller's state",
        """
def follow(state, before, after):
    state[~torch.isin(before, after)] = 0.0
    index = torch.searchsorted(before, after).clamp(max=len(before) - 1)
    return torch.where(before[index] == after, state[index], 0.0)
""",
    ),
    Mutant(
        "ex46-5",
        "rounds the state to double and back",
        """
def follow(state, before, after):
    index = torch.searchsorted(before, after).clamp(max=len(before) - 1)
    return torch.where(before[index] == after, state[index].float(), 0.0).to(state.dtype)
""",
    ),
    slip(
        "ex46-6",
        "sums sizes over the batch",
        ("(part.T @ a).abs()", "(part.abs().T @ a.abs())"),
    ),
    slip(
        "ex46-6",
        "forgets where a block begins",
        ("start + torch.arange(len(size))", "torch.arange(len(size))"),
    ),
    slip(
        "ex46-6",
        "takes the number of blocks for their height",
        ("g.split(height, dim=1)", "g.chunk(height, dim=1)"),
    ),
    Mutant(
        "ex46-6",
        "leaves out the last rows",
        """
def grow(a, g, places, count, height):
    best, where, n = torch.zeros(0), places.new_zeros(0), a.shape[1]
    for row in range(0, max(1, g.shape[1] - height + 1), height):
        size = (g[:, row : row + height].T @ a).abs().flatten()
        here = row * n + torch.arange(len(size))
        size[torch.isin(here, places)] = -1.0
        best, where = torch.cat([best, size]), torch.cat([where, here])
        best, order = best.topk(min(count, len(best)))
        where = where[order]
    return where.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "holds a list of all blocks",
        """
def grow(a, g, places, count, height):
    blocks = [(part.T @ a).abs().flatten() for part in g.split(height, dim=1)]
    start, best, where = 0, torch.zeros(0), places.new_zeros(0)
    for size in blocks:
        here = start + torch.arange(len(size))
        size = torch.where(torch.isin(here, places), -1.0, size)
        best, where = torch.cat([best, size]), torch.cat([where, here])
        best, order = best.topk(min(count, len(best)))
        where, start = where[order], start + len(size)
    return where.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "takes count of each block",
        """
def grow(a, g, places, count, height):
    start, found = 0, []
    for part in g.split(height, dim=1):
        size = (part.T @ a).abs().flatten()
        here = start + torch.arange(len(size))
        size[torch.isin(here, places)] = -1.0
        top = size.topk(min(count, int((size >= 0).sum()))).indices
        found.append(here[top])
        start += len(size)
    return torch.cat(found).sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "splits the batch",
        """
def grow(a, g, places, count, height):
    size = 0
    for x, y in zip(a.split(height), g.split(height)):
        size = size + (y.T @ x)
    size = size.abs().flatten()
    size[places] = -1.0
    return size.topk(count).indices.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "takes the smallest",
        """
def grow(a, g, places, count, height):
    start, best, where = 0, torch.zeros(0), places.new_zeros(0)
    for part in g.split(height, dim=1):
        size = (part.T @ a).abs().flatten()
        here = start + torch.arange(len(size))
        size[torch.isin(here, places)] = math.inf
        best, where = torch.cat([best, size]), torch.cat([where, here])
        best, order = best.topk(min(count, len(best)), largest=False)
        where, start = where[order], start + len(size)
    return where.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "drops free places whose gradient is zero",
        """
def grow(a, g, places, count, height):
    start, best, where = 0, torch.zeros(0), places.new_zeros(0)
    for part in g.split(height, dim=1):
        size = (part.T @ a).abs().flatten()
        here = start + torch.arange(len(size))
        free = ~torch.isin(here, places) & (size > 0)
        best, where = torch.cat([best, size[free]]), torch.cat([where, here[free]])
        best, order = best.topk(min(count, len(best)))
        where, start = where[order], start + len(part.T) * a.shape[1]
    return where.sort().values
""",
    ),
    Mutant(
        "ex46-6",
        "returns places as numbers with a point",
        """
def grow(a, g, places, count, height):
    start, best, where = 0, torch.zeros(0), torch.zeros(0)
    for part in g.split(height, dim=1):
        size = (part.T @ a).abs().flatten()
        here = start + torch.arange(len(size))
        size[torch.isin(here, places)] = -1.0
        best, where = torch.cat([best, size]), torch.cat([where, here.double()])
        best, order = best.topk(min(count, len(best)))
        where, start = where[order], start + len(size)
    return where.sort().values
""",
    ),
    slip(
        "ex46-7",
        "takes the mean of sizes",
        (
            "torch.cat([values for values, _ in models])",
            "torch.cat([values.abs() for values, _ in models])",
        ),
    ),
    slip(
        "ex46-7",
        "returns places as numbers with a point",
        ("union[kept]", "union[kept].double()"),
    ),
    slip(
        "ex46-7", "keeps one too few", ("mean.abs().topk(k)", "mean.abs().topk(k - 1)")
    ),
    slip(
        "ex46-7",
        "divides by the number that are kept",
        ("total / len(models)", "total / k"),
    ),
    Mutant(
        "ex46-7",
        "keeps only what all models have",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models])
    union, index, counts = joined.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in models]))
    mean = total / len(models) * (counts == len(models))
    kept = mean.abs().topk(k).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "weighs models by their connections",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models])
    union, index = joined.unique(return_inverse=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values * len(values) for values, _ in models]))
    mean = total / len(joined)
    kept = mean.abs().topk(k).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "keeps the connections that most models have",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models])
    union, index, counts = joined.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in models]))
    mean = total / len(models)
    kept = (counts + mean.abs() / 1e6).topk(k).indices.sort().values
    return mean[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "takes places in single precision",
        """
def average(models, k):
    joined = torch.cat([places for _, places in models]).float()
    union, index = joined.unique(return_inverse=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in models]))
    mean = total / len(models)
    kept = mean.abs().topk(min(k, len(mean))).indices.sort().values
    return mean[kept], union[kept].long()
""",
    ),
    Mutant(
        "ex46-7",
        "divides the models' own values",
        """
def average(models, k):
    for values, _ in models:
        values.div_(len(models))
    joined = torch.cat([places for _, places in models])
    union, index = joined.unique(return_inverse=True)
    total = torch.zeros(len(union))
    total = total.index_add(0, index, torch.cat([values for values, _ in models]))
    kept = total.abs().topk(k).indices.sort().values
    return total[kept], union[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "averages two at a time",
        """
def average(models, k):
    values, places = models[0]
    for v, p in models[1:]:
        union = torch.cat([places, p]).unique()
        mean = torch.zeros(len(union))
        mean[torch.searchsorted(union, places)] += values / 2
        mean[torch.searchsorted(union, p)] += v / 2
        values, places = mean, union
    kept = values.abs().topk(k).indices.sort().values
    return values[kept], places[kept]
""",
    ),
    Mutant(
        "ex46-7",
        "takes all models from the caller's list",
        """
def average(models, k):
    count, total = len(models), {}
    while models:
        values, places = models.pop()
        for p, v in zip(places.tolist(), values.tolist()):
            total[p] = total.get(p, 0.0) + v / count
    kept = sorted(sorted(total, key=lambda p: -abs(total[p]))[:k])
    return torch.tensor([total[p] for p in kept]), torch.tensor(kept)
""",
    ),
    Mutant(
        "ex46-1",
        "returns lists",
        """
def compressed(places, m, n):
    starts = torch.searchsorted(places, n * torch.arange(m + 1))
    return starts.tolist(), (places % n).tolist()
""",
    ),
    Mutant(
        "ex46-2",
        "computes in single precision",
        """
def epsilon_for(sizes, budget):
    t = torch.tensor([list(pair) for pair in sizes]).float()
    full, sides = t.prod(1), t.sum(1)
    low, high = torch.tensor(0.0).float(), (full / sides).max()
    for _ in range(60):
        middle = (low + high) / 2
        if torch.minimum(middle * sides, full).sum() < budget:
            low = middle
        else:
            high = middle
    return high
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
    Alternative(
        "ex46-1",
        "rows and columns by unravel_index, counts by scatter",
        """
def compressed(places, m, n):
    rows, columns = torch.unravel_index(places, (m, n))
    starts = torch.zeros(m + 1, dtype=torch.long)
    starts.scatter_add_(0, rows + 1, torch.ones_like(rows))
    starts.cumsum_(0)
    return starts, columns
""",
    ),
    Alternative(
        "ex46-1",
        "Python's lists and divmod",
        """
def compressed(places, m, n):
    starts, columns = [0] * (m + 1), []
    for p in places.tolist():
        i, j = divmod(p, n)
        starts[i + 1] += 1
        columns.append(j)
    for i in range(m):
        starts[i + 1] += starts[i]
    return torch.tensor(starts), torch.tensor(columns, dtype=torch.int64)
""",
    ),
    Alternative(
        "ex46-1",
        "divides in double precision, and rounds down",
        """
def compressed(places, m, n):
    rows = (places.double() / n).floor().long()
    starts = (rows.new_tensor(range(m + 1)) if m < 100 else torch.arange(m + 1))
    return torch.searchsorted(rows, starts), (places - rows * n).to(torch.int32)
""",
    ),
    Alternative(
        "ex46-2",
        "with tensors, over all numbers of full layers",
        """
def epsilon_for(sizes, budget):
    t = torch.tensor([list(pair) for pair in sizes], dtype=torch.float64)
    full, sides = t.prod(1), t.sum(1)
    order = (full / sides).argsort()
    full, sides = full[order], sides[order]
    taken = torch.cat([full.new_zeros(1), full.cumsum(0)[:-1]])
    left = sides.flip(0).cumsum(0).flip(0)
    found = (budget - taken) / left
    ok = found <= (full / sides) * (1 + 1e-12)
    return found[ok.nonzero()[0, 0]]
""",
    ),
    Alternative(
        "ex46-2",
        "in fractions",
        """
def epsilon_for(sizes, budget):
    from fractions import Fraction
    left, sides = Fraction(budget), sum(m + n for m, n in sizes)
    todo = sorted(sizes, key=lambda s: Fraction(s[0] * s[1], s[0] + s[1]))
    while len(todo) > 1 and left / sides > Fraction(todo[0][0] * todo[0][1], sum(todo[0])):
        m, n = todo.pop(0)
        left, sides = left - m * n, sides - m - n
    return left / sides
""",
    ),
    Alternative(
        "ex46-3",
        "a loop over connections, in place",
        """
def forward(a, values, rows, columns, m):
    s = a.new_zeros(a.shape[0], m)
    for c in range(len(values)):
        s[:, rows[c]] += values[c] * a[:, columns[c]]
    return s


def backward(g, a, values, rows, columns):
    da, dv = torch.zeros_like(a), torch.zeros_like(values)
    for c, (i, j) in enumerate(zip(rows.tolist(), columns.tolist())):
        da[:, j] += values[c] * g[:, i]
        dv[c] = g[:, i] @ a[:, j]
    return da, dv
""",
    ),
    Alternative(
        "ex46-3",
        "a sparse matrix of PyTorch, and einsum",
        """
def forward(a, values, rows, columns, m):
    W = torch.sparse_coo_tensor(torch.stack([rows, columns]), values, (m, a.shape[1]))
    return torch.sparse.mm(W, a.T).T


def backward(g, a, values, rows, columns):
    W = torch.sparse_coo_tensor(torch.stack([columns, rows]), values, (a.shape[1], g.shape[1]))
    return torch.sparse.mm(W, g.T).T, torch.einsum("bk,bk->k", g[:, rows], a[:, columns])
""",
    ),
    Alternative(
        "ex46-3",
        "index_put that adds up",
        """
def forward(a, values, rows, columns, m):
    batch = torch.arange(len(a))[:, None].expand(-1, len(values))
    s = torch.zeros(len(a), m)
    return s.index_put((batch, rows.expand(len(a), -1)), torch.take_along_dim(a, columns[None], 1) * values, accumulate=True)


def backward(g, a, values, rows, columns):
    da = torch.zeros(len(g), a.shape[1])
    da.index_add_(1, columns, torch.mul(g.index_select(1, rows), values))
    return da, (g.index_select(1, rows).mT.unsqueeze(1) @ a.index_select(1, columns).mT.unsqueeze(2)).flatten()
""",
    ),
    Alternative(
        "ex46-4",
        "Python's random, seeded by the generator, in place",
        """
def evolve(values, places, size, zeta, draw, generator):
    import random
    chance = random.Random(int(torch.randint(2**31, (), generator=generator)))
    v = values.clone()
    gone = []
    for mine in ((v > 0).nonzero().flatten().tolist(), (v < 0).nonzero().flatten().tolist()):
        mine.sort(key=lambda c: abs(float(v[c])))
        gone += mine[: int(zeta * len(mine))]
    taken = set(places.tolist())
    new = chance.sample([p for p in range(size) if p not in taken], len(gone))
    p = places.clone()
    for c, q in zip(gone, new):
        p[c] = q
    v[gone] = draw(len(gone)).to(v.dtype)
    order = torch.argsort(p)
    return v[order], p[order]
""",
    ),
    Alternative(
        "ex46-4",
        "topk on each sign, multinomial for the places",
        """
def evolve(values, places, size, zeta, draw, generator):
    goes = torch.zeros(values.shape)
    for part in (values > 0, values < 0):
        index = torch.where(part)[0]
        c = int(part.sum().item() * zeta)
        goes[index[torch.topk(values[index].abs(), c, largest=False)[1]]] = 1
    keep = goes == 0
    weight = torch.ones(size)
    weight[places] = 0.0
    c = int(goes.sum())
    new = torch.multinomial(weight, c, generator=generator) if c else places[:0]
    p = torch.cat((places[keep], new))
    v = torch.cat((values[keep], draw(c)))
    order = p.argsort()
    return v[order], p[order].int()
""",
    ),
    Alternative(
        "ex46-5",
        "a matrix of hits and argmax",
        """
def follow(state, before, after):
    hits = after.unsqueeze(1) == before.unsqueeze(0)
    return torch.where(hits.any(dim=1), state[hits.int().argmax(dim=1)], torch.zeros((), dtype=state.dtype))
""",
    ),
    Alternative(
        "ex46-5",
        "a remainder in place of a clamp",
        """
def follow(state, before, after):
    index = torch.bucketize(after, before) % len(before)
    new = state[index]
    new[before[index] != after] = 0
    return new
""",
    ),
    Alternative(
        "ex46-5",
        "two pointers",
        """
def follow(state, before, after):
    new, c = [], 0
    for p in after.tolist():
        while c < len(before) and before[c] < p:
            c += 1
        new.append(state[c].item() if c < len(before) and before[c] == p else 0)
    return torch.tensor(new, dtype=state.dtype)
""",
    ),
    Alternative(
        "ex46-6",
        "a heap of Python numbers",
        """
def grow(a, g, places, count, height):
    import heapq
    taken, best, n = set(places.tolist()), [], a.shape[1]
    for i in range(g.shape[1]):
        row = (g[:, i] @ a).abs_()
        for j in range(n):
            p = i * n + j
            if p in taken:
                continue
            if len(best) < count:
                heapq.heappush(best, (float(row[j]), p))
            else:
                heapq.heappushpop(best, (float(row[j]), p))
    return torch.tensor(sorted(p for _, p in best))
""",
    ),
    Alternative(
        "ex46-6",
        "squares of the mean, minus infinity, int32",
        """
def grow(a, g, places, count, height):
    n = a.shape[1]
    best = torch.full((count,), -math.inf)
    where = torch.full((count,), -1)
    for row in range(0, g.shape[1], height):
        part = torch.einsum("bi,bj->ij", g[:, row : row + height], a) / len(a)
        size = part.pow_(2).reshape(-1)
        inside = places[torch.div(places, n, rounding_mode="floor").sub(row).clamp(0, len(part) - 1) == torch.div(places, n, rounding_mode="floor") - row]
        size[inside - row * n] = -math.inf
        size = torch.cat((size, best))
        here = torch.cat((torch.arange(row * n, row * n + part.numel()), where))
        best, order = torch.sort(size, descending=True)
        best, where = best[:count], here[order[:count]]
    return where.sort()[0].to(torch.int32)
""",
    ),
    Alternative(
        "ex46-6",
        "in single precision",
        """
def grow(a, g, places, count, height):
    start, best, where = 0, torch.zeros(0).float(), places.new_zeros(0)
    for part in g.float().split(height, dim=1):
        size = (part.T @ a.float()).abs().flatten()
        here = places[(places >= start) & (places < start + len(size))]
        size[here - start] = -1.0
        best = torch.cat([best, size])
        where = torch.cat([where, start + torch.arange(len(size))])
        best, order = best.topk(min(count, len(best)))
        where, start = where[order], start + len(size)
    return where.sort().values
""",
    ),
    Alternative(
        "ex46-7",
        "a sparse vector that is coalesced",
        """
def average(models, k):
    index = torch.cat([p for _, p in models])[None]
    both = torch.sparse_coo_tensor(index, torch.cat([v for v, _ in models]), (int(index.max()) + 1,))
    both = both.coalesce()
    v, p = both.values() / len(models), both.indices()[0]
    stay = v.abs() >= v.abs().sort(descending=True)[0][k - 1]
    return v[stay], p[stay]
""",
    ),
    Alternative(
        "ex46-7",
        "sorted places and sums of runs",
        """
def average(models, k):
    p, order = torch.cat([places for _, places in models]).sort()
    v = torch.cat([values for values, _ in models])[order].cumsum(0)
    last = torch.ones(len(p), dtype=torch.bool)
    last[:-1] = p[1:] != p[:-1]
    sums = v[last]
    sums = torch.cat([sums[:1], sums[1:] - sums[:-1]]) / len(models)
    keep = set(sums.abs().argsort().tolist()[len(sums) - k:])
    rows = torch.tensor([i for i in range(len(sums)) if i in keep])
    return sums[rows], p[last][rows]
""",
    ),
]
