"""Wrong and other right answers to the exercises of chapter 42."""

from tests.course.mutants import Alternative, Mutant, changed, slip, solutions

MUTANTS = [
    slip("ex42-1", "N times the slowest stage", ("(micros - 1)", "micros")),
    slip(
        "ex42-1", "the mean stage decides", ("max(stages)", "sum(stages) / len(stages)")
    ),
    slip("ex42-1", "the first stage decides", ("max(stages)", "stages[0]")),
    slip("ex42-1", "only the slowest stage counts", ("sum(stages) + ", "")),
    slip(
        "ex42-1",
        "the last stage is forgotten",
        ("[0, *cuts, len(times)]", "[0, *cuts]"),
    ),
    slip("ex42-1", "the slowest layer decides", ("max(stages)", "max(times)")),
    Mutant(
        "ex42-1",
        "the given list of cuts is extended",
        """
def step_time(times, cuts, micros):
    cuts.append(len(times))
    starts = [0, *cuts[:-1]]
    stages = [sum(times[a:b]) for a, b in zip(starts, cuts)]
    return sum(stages) + (micros - 1) * max(stages)
""",
    ),
    slip(
        "ex42-2",
        "only states are sent, no gradients",
        ("price += alpha + beta * sizes[a - 1]", "price += 0"),
    ),
    slip("ex42-2", "the last stage sends its output", ("if b < len(times)", "if True")),
    slip("ex42-2", "the first stage sends a gradient", ("if a > 0", "if True")),
    slip("ex42-2", "size of the layer after the cut", ("sizes[b - 1]", "sizes[b]")),
    slip(
        "ex42-2",
        "the gradient has the size of the stage's own output",
        ("sizes[a - 1]", "sizes[b - 1]"),
    ),
    slip(
        "ex42-2",
        "one latency for both messages",
        ("price += alpha + beta * sizes[a - 1]", "price += beta * sizes[a - 1]"),
    ),
    slip(
        "ex42-2",
        "all layers of a stage send",
        ("alpha + beta * sizes[b - 1]", "alpha + beta * sum(sizes[a:b])"),
    ),
    Mutant(
        "ex42-3",
        "equal numbers of layers",
        """
def best_cuts(price, n, stages):
    return [n * s // stages for s in range(1, stages)]
""",
    ),
    Mutant(
        "ex42-3",
        "all ways are tried",
        """
def best_cuts(price, n, stages):
    def worst(cuts):
        ends = enumerate(pairwise([0, *cuts, n]))
        return max(price(s, a, b) for s, (a, b) in ends)
    return list(min(combinations(range(1, n), stages - 1), key=worst))
""",
    ),
    slip(
        "ex42-3",
        "the sum in place of the maximum",
        ("max(value, price(s, start, end))", "value + price(s, start, end)"),
    ),
    slip(
        "ex42-3",
        "the dearest way is kept",
        ("worst < after[end][0]", "worst > after[end][0]"),
    ),
    slip("ex42-3", "the first way is kept", (" or worst < after[end][0]", "")),
    slip("ex42-3", "the start of the first stage is a cut", ("[1][1:]", "[1]")),
    slip(
        "ex42-3",
        "empty stages",
        ("if start < end", "if start <= end"),
        ("range(s + 1, n + 1)", "range(1, n + 1)"),
    ),
    slip(
        "ex42-3",
        "every stage is the first",
        ("price(s, start, end)", "price(0, start, end)"),
    ),
    slip(
        "ex42-3",
        "only the last stage is looked at",
        ("max(value, price(s, start, end))", "price(s, start, end)"),
    ),
    Mutant(
        "ex42-3",
        "greedy: each stage as near to the mean as can be",
        """
def best_cuts(price, n, stages):
    mean, cuts, start = price(0, 0, n) / stages, [], 0
    for s in range(stages - 1):
        ends = range(start + 1, n - (stages - s - 1) + 1)
        start = min(ends, key=lambda end: abs(price(s, start, end) - mean))
        cuts.append(start)
    return cuts
""",
    ),
    slip("ex42-4", "stops at an equal span", ("min(spans) > now", "min(spans) >= now")),
    slip(
        "ex42-4",
        "one merger only",
        ("cuts = tries[spans.index(now)]", "return tries[spans.index(now)]"),
    ),
    slip(
        "ex42-4",
        "compared with the start",
        ("now = min(spans)\n", "low = min(spans)\n"),
        ("spans.index(now)", "spans.index(low)"),
    ),
    slip(
        "ex42-4",
        "of equal spans the last",
        (
            "cuts = tries[spans.index(now)]",
            "cuts = tries[len(spans) - 1 - spans[::-1].index(now)]",
        ),
    ),
    slip("ex42-4", "merges on and on", ("min(spans) > now", "False")),
    Mutant(
        "ex42-4",
        "the first merger that helps, not the best",
        """
def merged(parts, span):
    cuts = list(range(1, parts))
    i = 0
    while i < len(cuts):
        fewer = cuts[:i] + cuts[i + 1:]
        if span(fewer) <= span(cuts):
            cuts, i = fewer, 0
        else:
            i += 1
    return cuts
""",
    ),
    Mutant(
        "ex42-4",
        "the list given to span is changed",
        """
def merged(parts, span):
    cuts = list(range(1, parts))
    now = span(cuts)
    while cuts:
        spans = [span(cuts[:i] + cuts[i + 1:]) for i in range(len(cuts))]
        if min(spans) > now:
            break
        now = min(spans)
        del cuts[spans.index(now)]
    return cuts
""",
    ),
    slip(
        "ex42-5",
        "no room for the layer that is done again",
        ("held * each + room", "held * each"),
    ),
    slip(
        "ex42-5",
        "room for every micro-batch",
        ("held * each + room", "held * (each + room)"),
    ),
    slip("ex42-5", "inputs are forgotten", ("x if redo else a", "0 if redo else a")),
    slip("ex42-5", "one micro-batch at a time", ("held * each", "each")),
    slip(
        "ex42-5",
        "fewest layers, not fewest seconds",
        ("sum((seconds[i] for i in redone))", "len(redone)"),
    ),
    slip("ex42-5", "strictly below the budget", ("<= budget", "< budget")),
    slip(
        "ex42-5",
        "nothing fits: an empty list",
        ("None if best is None", "[] if best is None"),
    ),
    slip(
        "ex42-5",
        "the first set that fits",
        (" and (best is None or price < best[0])", " and best is None"),
    ),
    slip(
        "ex42-5",
        "room for all of them at once",
        ("max((saved[i] for i in redone), default=0)", "sum(saved[i] for i in redone)"),
    ),
    Mutant(
        "ex42-5",
        "greedy, by bytes saved for a second",
        """
def layers_again(seconds, saved, inputs, held, budget):
    def bytes_of(redone):
        each = sum(x if i in redone else a for i, (a, x) in enumerate(zip(saved, inputs)))
        return held * each + max((saved[i] for i in redone), default=0)
    order = sorted(range(len(saved)), key=lambda i: seconds[i] / max(saved[i] - inputs[i], 1e-9))
    redone = []
    for i in order:
        if bytes_of(redone) <= budget:
            break
        redone.append(i)
    return sorted(redone) if bytes_of(redone) <= budget else None
""",
    ),
    slip(
        "ex42-6",
        "all columns of the second matrix",
        (
            "down.chunk(machines, dim=1)",
            "[down[:, :up.shape[0] // machines]] * machines",
        ),
    ),
    slip(
        "ex42-6",
        "the sum is shared out",
        ("gelu(x @ u.T) @ v.T for", "gelu(x @ up.T) @ down.T / machines for"),
    ),
    slip("ex42-6", "no activation", ("gelu(x @ u.T)", "(x @ u.T)")),
    slip(
        "ex42-6",
        "the second matrix is backwards",
        ("down.chunk(machines, dim=1)", "down.chunk(machines, dim=1)[::-1]"),
    ),
    slip(
        "ex42-6",
        "an approximate activation",
        ("gelu(x @ u.T)", "gelu(x @ u.T, approximate='tanh')"),
    ),
    slip("ex42-6", "the state is cut off", ("gelu(x @ u.T)", "gelu(x @ u.T).detach()")),
    slip(
        "ex42-6",
        "in single precision",
        ("gelu(x @ u.T) @ v.T", "(gelu(x @ u.T) @ v.T).float()"),
    ),
    Mutant(
        "ex42-6",
        "hidden units dealt out like cards",
        """
def partial_outputs(x, up, down, machines):
    return [gelu(x @ up[p::machines].T) @ down[:, p::machines].T for p in range(machines)]
""",
    ),
    Mutant(
        "ex42-1",
        "times become running sums in place",
        """
def step_time(times, cuts, micros):
    for i in range(1, len(times)):
        times[i] += times[i - 1]
    at = [0, *(times[c - 1] for c in cuts), times[-1]]
    return at[-1] + (micros - 1) * max(b - a for a, b in pairwise(at))
""",
    ),
    slip("ex42-1", "whole seconds only", ("sum(times[a:b])", "int(sum(times[a:b]))")),
    Mutant(
        "ex42-2",
        "messages are added to the times in place",
        """
def stage_prices(times, sizes, cuts, alpha, beta):
    for c in cuts:
        hop = alpha + beta * sizes[c - 1]
        times[c - 1] += hop
        times[c] += hop
    return [sum(times[a:b]) for a, b in pairwise([0, *cuts, len(times)])]
""",
    ),
    Mutant(
        "ex42-3",
        "a million stands for infinity",
        """
def best_cuts(price, n, stages):
    V = {(0, 0): (0.0, [])}
    for d in range(1, stages + 1):
        for i in range(d, n + 1):
            best = (1e6, [])
            for j in range(d - 1, i):
                if (d - 1, j) in V:
                    value = max(V[d - 1, j][0], price(d - 1, j, i))
                    if value < best[0]:
                        best = value, [*V[d - 1, j][1], j]
            V[d, i] = best
    return V[stages, n][1][1:]
""",
    ),
    slip(
        "ex42-4",
        "a little longer is equal",
        ("min(spans) > now", "min(spans) > now + 1e-3"),
    ),
    slip("ex42-4", "whole spans only", ("[span(fewer) for", "[int(span(fewer)) for")),
    Mutant(
        "ex42-4",
        "equal spans end it after two rounds",
        """
def merged(parts, span):
    cuts, same = list(range(1, parts)), 0
    now = span(cuts)
    while cuts:
        tries = [cuts[:i] + cuts[i + 1:] for i in range(len(cuts))]
        spans = [span(fewer) for fewer in tries]
        low = min(spans)
        same = same + 1 if low == now else 0
        if low > now or same > 2:
            break
        now, cuts = low, tries[spans.index(low)]
    return cuts
""",
    ),
    Mutant(
        "ex42-5",
        "never all layers of a longer stage",
        """
def layers_again(seconds, saved, inputs, held, budget):
    n, fits = len(seconds), []
    for k in range(max(n, 3)):
        for chosen in combinations(range(n), k):
            each = sum(saved) - sum(saved[i] - inputs[i] for i in chosen)
            if held * each + max([0, *(saved[i] for i in chosen)]) <= budget:
                fits.append((sum(seconds[i] for i in chosen), list(chosen)))
    return min(fits)[1] if fits else None
""",
    ),
    slip(
        "ex42-5",
        "whole seconds only",
        ("sum((seconds[i] for i in redone))", "int(sum(seconds[i] for i in redone))"),
    ),
    slip(
        "ex42-6",
        "a batch of one row loses its shape",
        ("gelu(x @ u.T) @ v.T", "(gelu(x @ u.T) @ v.T).squeeze()"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex42-5",
        "a tuple",
        changed(solutions()["ex42-5"], ("best[1]", "tuple(best[1])")),
    ),
    Alternative(
        "ex42-6",
        "a generator",
        """
def partial_outputs(x, up, down, machines):
    for u, v in zip(up.chunk(machines), down.chunk(machines, dim=1)):
        yield gelu(x @ u.T) @ v.T
""",
    ),
    Alternative(
        "ex42-1",
        "tensors",
        """
def step_time(times, cuts, micros):
    stages = torch.tensor(times).tensor_split(cuts)
    sums = torch.stack([s.sum() for s in stages])
    return sums.sum() + (micros - 1) * sums.max()
""",
    ),
    Alternative(
        "ex42-1",
        "running sums",
        """
def step_time(times, cuts, micros):
    total, slowest, now = 0, 0, 0
    for i, t in enumerate(times):
        now = t if i in cuts else now + t
        slowest = max(slowest, now)
        total += t
    return total + (micros - 1) * slowest
""",
    ),
    Alternative(
        "ex42-2",
        "the messages first",
        """
def stage_prices(times, sizes, cuts, alpha, beta):
    hops = [0, *(alpha + beta * sizes[c - 1] for c in cuts), 0]
    ends = [0, *cuts, len(times)]
    return [hops[s] + hops[s + 1] + sum(times[ends[s]:ends[s + 1]]) for s in range(len(cuts) + 1)]
""",
    ),
    Alternative(
        "ex42-2",
        "a tensor",
        """
def stage_prices(times, sizes, cuts, alpha, beta):
    prices = torch.stack([part.sum() for part in torch.tensor(times).tensor_split(cuts)])
    for s, c in enumerate(cuts):
        prices[s:s + 2] += alpha + beta * sizes[c - 1]
    return prices
""",
    ),
    Alternative(
        "ex42-3",
        "from the end, with memory",
        """
def best_cuts(price, n, stages):
    known = {}
    def rest(s, start):
        if (s, start) not in known:
            if s == stages - 1:
                known[s, start] = price(s, start, n), ()
            else:
                ways = []
                for end in range(start + 1, n - (stages - 1 - s) + 1):
                    value, cuts = rest(s + 1, end)
                    ways.append((max(price(s, start, end), value), (end, *cuts)))
                known[s, start] = min(ways)
        return known[s, start]
    return rest(0, 0)[1]
""",
    ),
    Alternative(
        "ex42-3",
        "tables and the way back",
        """
def best_cuts(price, n, stages):
    inf = math.inf
    V = [[inf] * (n + 1) for _ in range(stages + 1)]
    W = [[0] * (n + 1) for _ in range(stages + 1)]
    V[0][0] = 0.0
    for d in range(1, stages + 1):
        for i in range(d, n + 1):
            ways = [(max(V[d - 1][j], price(d - 1, j, i)), j) for j in range(d - 1, i)]
            V[d][i], W[d][i] = min(ways)
    cuts, i = [], n
    for d in range(stages, 1, -1):
        i = W[d][i]
        cuts.append(i)
    return torch.tensor(cuts[::-1], dtype=torch.long)
""",
    ),
    Alternative(
        "ex42-4",
        "recursion",
        """
def merged(parts, span):
    def go(cuts):
        ways = [[c for c in cuts if c != left] for left in cuts]
        if not ways:
            return cuts
        best = min(ways, key=span)
        return go(best) if span(best) <= span(cuts) else cuts
    return go(list(range(1, parts)))
""",
    ),
    Alternative(
        "ex42-4",
        "tuples",
        """
def merged(parts, span):
    cuts = tuple(range(1, parts))
    now = span(list(cuts))
    while cuts:
        low, i = min((span(list(cuts[:i] + cuts[i + 1:])), i) for i in range(len(cuts)))
        if low > now:
            return cuts
        cuts, now = cuts[:i] + cuts[i + 1:], low
    return cuts
""",
    ),
    Alternative(
        "ex42-5",
        "sets by their size",
        """
def layers_again(seconds, saved, inputs, held, budget):
    n, fits = len(seconds), []
    for k in range(n + 1):
        for chosen in combinations(range(n), k):
            each = sum(saved) - sum(saved[i] - inputs[i] for i in chosen)
            if held * each + max([0, *(saved[i] for i in chosen)]) <= budget:
                fits.append((sum(seconds[i] for i in chosen), list(chosen)))
    return min(fits)[1] if fits else None
""",
    ),
    Alternative(
        "ex42-5",
        "numbers as sets",
        """
def layers_again(seconds, saved, inputs, held, budget):
    best, answer = math.inf, None
    for code in range(2 ** len(seconds)):
        again = [i for i in range(len(seconds)) if code >> i & 1]
        kept = [i for i in range(len(seconds)) if not code >> i & 1]
        need = held * (sum(saved[i] for i in kept) + sum(inputs[i] for i in again))
        if again:
            need += max(saved[i] for i in again)
        price = sum(seconds[i] for i in again)
        if need <= budget and price < best:
            best, answer = price, again
    return answer
""",
    ),
    Alternative(
        "ex42-6",
        "slices",
        """
def partial_outputs(x, up, down, machines):
    h, outs = len(up) // machines, []
    for p in range(machines):
        own = range(p * h, (p + 1) * h)
        outs.append(nn.functional.linear(gelu(nn.functional.linear(x, up[own])), down[:, own]))
    return outs
""",
    ),
    Alternative(
        "ex42-6",
        "all at once",
        """
def partial_outputs(x, up, down, machines):
    hidden = gelu(x @ up.T).unflatten(1, (machines, -1))
    return list(torch.einsum("bph,mph->pbm", hidden, down.unflatten(1, (machines, -1))))
""",
    ),
]
