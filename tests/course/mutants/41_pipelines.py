"""Chapter 41: what students get wrong about pipelines, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed, slip, solutions


def bubble(
    share: str = "Fraction(D - 1, N + D - 1)",
    search: str = "while Fraction(D - 1, N + D - 1) > share:",
    first: str = "1",
) -> str:
    """The two answers of exercise 41.1, one of them another."""
    return f"""def idle(D, N):
    return {share}


def enough(D, share):
    N = {first}
    {search}
        N += 1
    return N
"""


TURNS = """def loses_from(D):
    if D == 2:
        return None
    K = 1
    while {chimera} <= {other}:
        K += 1
    return K


def saved_by_doubling(D, N):
    before = 3 * (N + D - 1)
    return {saved}
"""


def turns(
    chimera: str = "5 * D - 4 + (K - 1) * (4 * D - 2)",
    other: str = "3 * (K * D + D - 1)",
    saved: str = "Fraction(before - 3 * N - 2 * (D - 2), before)",
) -> str:
    """The two answers of exercise 41.6, one of them another."""
    return TURNS.format(chimera=chimera, other=other, saved=saved)


REPLAY = """def replay(schedule, F, B):
    last = max(op.stage for ops in schedule.values() for op in ops)
    todo = {rank: list(ops) for rank, ops in schedule.items()}
    free, times = dict.fromkeys(schedule, 0), {}

    def needs(op):
        if op.kind == "forward":
            return [("forward", op.pipe, op.stage - 1, op.micro)] * (op.stage > 0)
        behind = [("backward", op.pipe, op.stage + 1, op.micro)] * (op.stage < last)
        return [("forward", op.pipe, op.stage, op.micro), *behind]

    while any(todo.values()):
        able = [
            rank
            for rank, ops in todo.items()
            if ops and all(Op(*need) in times for need in needs(ops[0]))
        ]
        if not able:
            raise ValueError("; ".join(str(ops[0]) for ops in todo.values() if ops))
        for rank in able:
            op = todo[rank].pop(0)
            ends = [times[Op(*need)][1] for need in needs(op)]
            start = max([free[rank], *ends])
            free[rank] = start + {"forward": F, "backward": B}[op.kind]
            times[op] = (start, free[rank])
    return times
"""

EXECUTE = """def execute(order, stages, loss, x, y):
    N = len({op.micro for op in order})
    rows, last, value = len(x) // N, len(stages) - 1, 0.0
    box = {}
    for op in order:
        s, m = op.stage, op.micro
        some = slice(m * rows, (m + 1) * rows)
        if op.kind == "forward":
            h = x[some].clone() if s == 0 else box.pop(("state", s, m))
            h = h.detach()
            if s > 0:
                h.requires_grad_(True)
            out = stages[s](h)
            if s == last:
                out = loss(out, y[some]) * (rows / len(x))
                value += float(out.detach())
            else:
                box["state", s + 1, m] = out.detach().clone()
            box["kept", s, m] = (h, out)
        else:
            h, out = box.pop(("kept", s, m))
            credit = box.pop(("credit", s, m)) if s < last else None
            torch.autograd.backward([out], [credit])
            if s > 0:
                box["credit", s - 1, m] = h.grad
            h = out = None
    return value
"""


def chained(late: bool) -> str:
    """An executor that does a micro-batch's backwards together, early or late."""
    return f"""def execute(order, stages, loss, x, y):
    N = 1 + max(op.micro for op in order)
    xs, ys = x.chunk(N), y.chunk(N)
    states, kept, value, last = {{}}, {{}}, 0.0, len(stages) - 1
    for op in order:
        s, m = op.stage, op.micro
        if op.kind == "forward":
            h = states.pop((s, m)).requires_grad_() if s else xs[m]
            out = stages[s](h)
            if s == last:
                out = loss(out, ys[m]) / N
                value += out.item()
            else:
                states[s + 1, m] = out.detach()
            kept[s, m] = h, out
        elif s == {"0" if late else "last"}:
            credit = None
            for t in reversed(range(len(stages))):
                h, out = kept.pop((t, m))
                out.backward(credit)
                credit = h.grad
            del h, out
    return value
"""


MUTANTS = [
    # 41.1 the bubble
    Mutant("ex41-1", "the bubble as a share of the work", bubble("Fraction(D - 1, N)")),
    Mutant(
        "ex41-1",
        "both ends of the step are counted, with one turn's time",
        bubble("Fraction(2 * (D - 1), N + 2 * (D - 1))"),
    ),
    Mutant(
        "ex41-1", "the share of work, not of waiting", bubble("Fraction(N, N + D - 1)")
    ),
    Mutant(
        "ex41-1",
        "ranks and micro-batches mixed up",
        bubble("Fraction(N - 1, N + D - 1)"),
    ),
    Mutant("ex41-1", "a float in place of a fraction", bubble("(D - 1) / (N + D - 1)")),
    Mutant("ex41-1", "one rank too many waits", bubble("Fraction(D, N + D)")),
    Mutant(
        "ex41-1",
        "less than the share is asked for, not at most",
        bubble(search="while Fraction(D - 1, N + D - 1) >= share:"),
    ),
    Mutant(
        "ex41-1",
        "micro-batches are counted from zero",
        bubble(search="while Fraction(D - 1, N + D) > share:", first="0"),
    ),
    Mutant(
        "ex41-1",
        "enough micro-batches only in steps of D",
        bubble(search="while Fraction(D - 1, N + D - 1) > share or N % D:"),
    ),
    # 41.2 what a rank holds
    Mutant(
        "ex41-2",
        "what is held at the end, not at the worst moment",
        """def held(ops):
    return sum(op.count if op.kind == "forward" else -op.count for op in ops)
""",
    ),
    Mutant(
        "ex41-2",
        "all forwards are held until the step ends",
        """def held(ops):
    return sum(op.count for op in ops if op.kind == "forward")
""",
    ),
    slip(
        "ex41-2",
        "a forward of two micro-batches holds one set",
        ("now += op.count", "now += 1"),
    ),
    Mutant(
        "ex41-2",
        "only the forwards before the first backward count",
        """def held(ops):
    most = 0
    for op in ops:
        if op.kind == "backward":
            break
        most += op.count
    return most
""",
    ),
    Mutant(
        "ex41-2",
        "stages of one rank are counted apart",
        """def held(ops):
    now, most = {}, 0
    for op in ops:
        change = op.count if op.kind == "forward" else -op.count
        now[op.stage] = now.get(op.stage, 0) + change
        most = max(most, now[op.stage])
    return most
""",
    ),
    Mutant(
        "ex41-2",
        "the list is emptied on the way",
        """def held(ops):
    now = most = 0
    while ops:
        op = ops.pop(0)
        now += op.count if op.kind == "forward" else -op.count
        most = max(most, now)
    return most
""",
    ),
    # 41.3 1F1B
    slip("ex41-3", "all forwards first, as GPipe does", ("min(N, D - s)", "N")),
    slip(
        "ex41-3", "every stage begins with D forwards", ("min(N, D - s)", "min(N, D)")
    ),
    slip(
        "ex41-3",
        "a start of one forward too few",
        ("min(N, D - s)", "min(N, max(1, D - s - 1))"),
    ),
    slip(
        "ex41-3",
        "late stages begin with more, early ones with less",
        ("min(N, D - s)", "min(N, s + 1)"),
    ),
    slip(
        "ex41-3",
        "more forwards than there are micro-batches",
        ("min(N, D - s)", "D - s"),
    ),
    slip(
        "ex41-3",
        "the last forwards are forgotten",
        ("if m + ahead < N:", "if m + ahead < N - 1:"),
    ),
    slip(
        "ex41-3",
        "the forward comes before the backward of its turn",
        (
            "ops.append(Op('backward', 0, s, m))\n            if m + ahead < N:\n                ops.append(Op('forward', 0, s, m + ahead))",
            "if m + ahead < N:\n                ops.append(Op('forward', 0, s, m + ahead))\n            ops.append(Op('backward', 0, s, m))",
        ),
    ),
    slip(
        "ex41-3",
        "backwards go through the micro-batches from the last",
        ("Op('backward', 0, s, m)", "Op('backward', 0, s, N - 1 - m)"),
    ),
    slip(
        "ex41-3",
        "stages from the end of the model first",
        ("schedule[s] = ops", "schedule[D - 1 - s] = ops"),
    ),
    # 41.4 the replay
    slip(
        "ex41-4",
        "backwards wait for nothing behind them",
        ("if op.stage < last:", "if False:"),
    ),
    slip(
        "ex41-4",
        "a backward does not ask for its own forward",
        ("needs = [Op('forward', op.pipe, op.stage, op.micro)]", "needs = []"),
    ),
    slip(
        "ex41-4",
        "pipes are mixed up: everything waits in pipe 0",
        (
            "Op('forward', op.pipe, op.stage - 1, op.micro)",
            "Op('forward', 0, op.stage - 1, op.micro)",
        ),
    ),
    slip(
        "ex41-4",
        "waits for the wrong end: the start of what is needed",
        ("times[need][1]", "times[need][0]"),
    ),
    slip(
        "ex41-4",
        "a rank does several things at a time",
        (
            "start = max([clock[rank], *(times[need][1] for need in needs)])",
            "start = max([0, *(times[need][1] for need in needs)])",
        ),
    ),
    slip(
        "ex41-4",
        "every operation takes the time of a forward",
        ("F if op.kind == 'forward' else B", "F"),
    ),
    slip(
        "ex41-4",
        "fractions become floats",
        (
            "times[op] = (start, clock[rank])",
            "times[op] = (float(start), float(clock[rank]))",
        ),
    ),
    slip(
        "ex41-4",
        "one round of the ranks is enough",
        ("while moved:\n        moved = False", "if moved:\n        moved = False"),
    ),
    slip(
        "ex41-4",
        "what waits for ever is left out in silence",
        ("raise ValueError(f'rank {rank} waits for ever: {ops[slot[rank]]}')", "pass"),
    ),
    slip(
        "ex41-4",
        "the message does not say what waits",
        (
            "raise ValueError(f'rank {rank} waits for ever: {ops[slot[rank]]}')",
            "raise ValueError('a circle')",
        ),
    ),
    slip(
        "ex41-4", "another kind of error", ("raise ValueError(", "raise RuntimeError(")
    ),
    slip(
        "ex41-4",
        "the message names the end of a list, not its front",
        ("{ops[slot[rank]]}", "{ops[-1]}"),
    ),
    # 41.5 Chimera
    slip("ex41-5", "both pipes go down", ("(1, D - 1 - r)", "(1, r)")),
    slip(
        "ex41-5",
        "the up pipe begins at rank 0, one stage late",
        ("(1, D - 1 - r)", "(1, (D - r) % D)"),
    ),
    slip(
        "ex41-5",
        "micro-batches in turns to the pipes",
        ("pipe * D // 2 + q", "2 * q + pipe"),
    ),
    slip(
        "ex41-5", "both pipes take the same micro-batches", ("pipe * D // 2 + q", "q")
    ),
    slip(
        "ex41-5",
        "each pipe takes all micro-batches",
        ("range(D // 2)", "range(D)"),
        ("pipe * D // 2 + q", "pipe * D + q"),
    ),
    slip(
        "ex41-5",
        "micro-batches follow each other in every slot",
        ("s + 2 * q", "s + q"),
    ),
    slip(
        "ex41-5",
        "backwards come down, too",
        ("2 * q + 2 * D - 1 - s", "2 * q + 2 * D - 1 + s"),
    ),
    slip(
        "ex41-5",
        "all in pipe 0",
        ("Op('forward', pipe, s, m)", "Op('forward', 0, s, m)"),
        ("Op('backward', pipe, s, m)", "Op('backward', 0, s, m)"),
    ),
    slip(
        "ex41-5",
        "first one pipe, then the other, unsorted",
        ("sorted(slots, key=lambda pair: pair[0])", "slots"),
    ),
    slip("ex41-5", "odd numbers of ranks are accepted", ("D < 2 or D % 2", "D < 2")),
    slip("ex41-5", "no ranks at all are accepted", ("D < 2 or D % 2", "D % 2")),
    # 41.6 where it turns
    Mutant(
        "ex41-6",
        "units fit into each other",
        turns(
            chimera="5 * D - 4 + (K - 1) * 3 * D - 1000 * (K > 50) + 2000 * (K > 60)"
        ),
    ),
    Mutant(
        "ex41-6",
        "counts with F = B",
        turns(chimera="3 * D - 2 + (K - 1) * (4 * D - 2)", other="2 * (K * D + D - 1)"),
    ),
    Mutant(
        "ex41-6",
        "the last unit in which Chimera is ahead",
        turns().replace("    return K\n", "    return K - 1\n"),
    ),
    Mutant(
        "ex41-6",
        "the first unit is as long as the others",
        turns(chimera="K * (4 * D - 2)"),
    ),
    Mutant(
        "ex41-6",
        "micro-batches of one unit against many of the other",
        turns(other="3 * (D + D - 1)"),
    ),
    Mutant(
        "ex41-6",
        "two ranks are nothing special",
        turns().replace("return None", "return 1"),
    ),
    Mutant(
        "ex41-6",
        "the saving as a share of the shorter time",
        turns(saved="Fraction(before - 3 * N - 2 * (D - 2), 3 * N + 2 * (D - 2))"),
    ),
    Mutant(
        "ex41-6",
        "the time that is left, not the one that is saved",
        turns(saved="Fraction(3 * N + 2 * (D - 2), before)"),
    ),
    Mutant(
        "ex41-6",
        "gaps of F and not of 2F",
        turns(saved="Fraction(before - 3 * N - (D - 2), before)"),
    ),
    Mutant(
        "ex41-6",
        "a float again",
        turns(saved="(before - 3 * N - 2 * (D - 2)) / before"),
    ),
    # 41.7 an executor
    slip(
        "ex41-7",
        "the sum over micro-batches, not the mean",
        ("loss(out, ys[op.micro]) / N", "loss(out, ys[op.micro])"),
    ),
    slip(
        "ex41-7",
        "the right gradient and the loss of the last micro-batch",
        ("value += out.item()", "value = out.item()"),
    ),
    slip(
        "ex41-7",
        "the state keeps its graph",
        (
            "states[op.stage + 1, op.micro] = out.detach()",
            "states[op.stage + 1, op.micro] = out",
        ),
        ("states.pop(at).requires_grad_()", "states.pop(at)"),
    ),
    slip(
        "ex41-7",
        "nothing is handed back: each stage stops at its input",
        (
            "if op.stage > 0:\n                credits[op.stage - 1, op.micro] = h.grad",
            "if op.stage > 0:\n                credits[op.stage - 1, op.micro] = torch.ones_like(h)",
        ),
    ),
    slip(
        "ex41-7",
        "the gradient of another micro-batch",
        (
            "credits.pop(at, None)",
            "credits.pop((op.stage, min([m for s, m in credits if s == op.stage] or [0])), None)",
        ),
        ("xs[op.micro]\n", "xs[op.micro]\n"),
        (
            "for op in order:",
            "for op in [*[o for o in order if o.kind == 'forward'], *sorted([o for o in order if o.kind == 'backward'], key=lambda o: (-o.stage, -o.micro if o.stage else o.micro))]:",
        ),
    ),
    slip(
        "ex41-7",
        "micro-batches in the order of arrival",
        ("ys[op.micro]", "ys[-1 - op.micro]"),
    ),
    slip(
        "ex41-7",
        "all backwards at the end of the step",
        (
            "for op in order:",
            "for op in sorted(order, key=lambda op: op.kind == 'backward'):",
        ),
    ),
    slip(
        "ex41-7",
        "what was held is not let go",
        ("kept.pop(at)", "kept[at]"),
        (
            "out.backward(credits.pop(at, None))",
            "out.backward(credits.pop(at, None), retain_graph=True)",
        ),
    ),
    slip(
        "ex41-7",
        "the gradient replaces what was in .grad",
        (
            "states, credits, kept = ({}, {}, {})",
            "states, credits, kept = ({}, {}, {})\n    for stage in stages:\n        stage.zero_grad()",
        ),
    ),
    slip(
        "ex41-7",
        "the loss is a tensor with a graph",
        ("value += out.item()", "value = value + out"),
    ),
    slip(
        "ex41-7",
        "computes in single precision",
        ("h = xs[op.micro]", "h = xs[op.micro].float().double()"),
    ),
    Mutant(
        "ex41-7",
        "the whole model in one piece, whatever the list says",
        """def execute(order, stages, loss, x, y):
    value = loss(nn.Sequential(*stages)(x), y)
    value.backward()
    return value.item()
""",
    ),
    Mutant(
        "ex41-7",
        "micro-batches one by one through the whole model",
        """def execute(order, stages, loss, x, y):
    N, value = 1 + max(op.micro for op in order), 0.0
    for xs, ys in zip(x.chunk(N), y.chunk(N), strict=True):
        some = loss(nn.Sequential(*stages)(xs), ys) / N
        some.backward()
        value += some.item()
    return value
""",
    ),
    # promises that are kept on small data only, and arguments that are changed
    Mutant(
        "ex41-1",
        "a float made into a fraction afterwards",
        bubble("Fraction((D - 1) / (N + D - 1)).limit_denominator()"),
    ),
    Mutant(
        "ex41-1",
        "a single rank gets a float",
        bubble("Fraction(D - 1, N + D - 1) if D > 1 else 0.0"),
    ),
    Mutant(
        "ex41-1",
        "shares are compared as floats",
        bubble(search="while (D - 1) / (N + D - 1) > share:"),
    ),
    Mutant(
        "ex41-1",
        "the search ends at ten thousand",
        bubble(search="while Fraction(D - 1, N + D - 1) > share and N < 10000:"),
    ),
    Mutant(
        "ex41-2",
        "a set of micro-batches, whatever the stage",
        """def held(ops):
    here, most = set(), 0
    for op in ops:
        some = {op.micro + i for i in range(op.count)}
        here = here | some if op.kind == "forward" else here - some
        most = max(most, len(here))
    return most
""",
    ),
    slip(
        "ex41-2",
        "every backward gives back one set",
        ("else -op.count", "else -1"),
    ),
    slip(
        "ex41-4",
        "gives up after twenty rounds",
        ("while moved:", "for _ in range(20):"),
    ),
    Mutant(
        "ex41-4",
        "a rank without work is not expected",
        REPLAY.replace(
            "while any(", "while any([ops[0] for ops in schedule.values()]) and any("
        ),
    ),
    slip(
        "ex41-4",
        "rounded back to small fractions",
        (
            "times[op] = (start, clock[rank])",
            "times[op] = (start, Fraction(clock[rank]).limit_denominator(1000))",
        ),
    ),
    slip(
        "ex41-5",
        "negative numbers of ranks are accepted",
        ("D < 2 or D % 2", "D == 0 or D % 2"),
    ),
    Mutant(
        "ex41-6",
        "a float made into a fraction afterwards",
        turns(saved="Fraction((D + 1) / before).limit_denominator(1000)"),
    ),
    Mutant(
        "ex41-6",
        "two ranks are said to save nothing",
        turns(saved="Fraction(D + 1, before) if D > 2 else 0"),
    ),
    slip(
        "ex41-7",
        "the data are given a gradient",
        ("x.chunk(N)", "x.requires_grad_().chunk(N)"),
    ),
    slip("ex41-7", "states are not let go", ("states.pop(at)", "states[at]")),
    slip(
        "ex41-7", "credits are not let go", ("credits.pop(at, None)", "credits.get(at)")
    ),
    slip(
        "ex41-7",
        "inputs are held to the end",
        ("kept.pop(at)", "kept[at]\n            kept[at] = (h, None)"),
    ),
    slip(
        "ex41-7",
        "stages are switched to evaluation",
        ("value = 0.0", "value = 0.0\n    for stage in stages:\n        stage.eval()"),
    ),
    Mutant("ex41-7", "the last stage's backward is that of all", chained(False)),
    Mutant("ex41-7", "stages wait for the backward of the first", chained(True)),
]

ALTERNATIVES = [
    Alternative(
        "ex41-1",
        "one minus work over time, and the inequality solved",
        """def idle(D, N):
    return 1 - Fraction(N, N + D - 1)


def enough(D, share):
    return max(1, math.ceil((D - 1) / Fraction(share)) - (D - 1))
""",
    ),
    Alternative(
        "ex41-1",
        "counts up, with the times",
        """from itertools import count


def idle(D, N):
    T = N + D - 1
    return Fraction(T - N) / T


def enough(D, share):
    return next(N for N in count(1) if idle(D, N) <= share)
""",
    ),
    Alternative(
        "ex41-2",
        "the largest of the running sums",
        """from itertools import accumulate


def held(ops):
    signs = {"forward": 1, "backward": -1}
    return max(accumulate((signs[op.kind] * op.count for op in ops), initial=0))
""",
    ),
    Alternative(
        "ex41-2",
        "keeps a set of what is held",
        """def held(ops):
    here, sizes = set(), []
    for op in ops:
        some = {(op.pipe, op.stage, op.micro + i) for i in range(op.count)}
        here = here | some if op.kind == "forward" else here - some
        sizes.append(len(here))
    return max(sizes, default=0)
""",
    ),
    Alternative(
        "ex41-3",
        "sorted by time slots",
        """def one_f_one_b(D, N):
    def rank(s):
        slots = [(2 * m + s, Op("forward", 0, s, m)) for m in range(N)]
        slots += [(2 * m + 2 * D - 1 - s, Op("backward", 0, s, m)) for m in range(N)]
        return [op for _, op in sorted(slots, key=lambda pair: pair[0])]

    return {s: rank(s) for s in range(D)}
""",
    ),
    Alternative(
        "ex41-3",
        "two counters and tuples of operations",
        """def one_f_one_b(D, N):
    schedule = {}
    for s in range(D):
        ops, f, b = [], 0, 0
        while b < N:
            if f < N and f - b < D - s:
                ops.append(Op("forward", 0, s, f))
                f += 1
            else:
                ops.append(Op("backward", 0, s, b))
                b += 1
        schedule[s] = tuple(ops)
    return schedule
""",
    ),
    Alternative(
        "ex41-3",
        "the last rank first",
        changed(
            solutions()["ex41-3"], ("for s in range(D)", "for s in reversed(range(D))")
        ),
    ),
    Alternative("ex41-4", "all ranks that can go on do one operation", REPLAY),
    Alternative(
        "ex41-4",
        "times as lists",
        REPLAY.replace(
            "times[op] = (start, free[rank])", "times[op] = [start, free[rank]]"
        ),
    ),
    Alternative(
        "ex41-5",
        "walks over the slots",
        """def chimera(D):
    if D % 2 or D <= 0:
        raise ValueError(f"{D} ranks do not go in two directions")
    lists = {r: [] for r in range(D)}
    for slot in range(4 * D):
        for r in range(D):
            for pipe in range(2):
                s = r if pipe == 0 else D - 1 - r
                for q in range(D // 2):
                    m = q + pipe * (D // 2)
                    if slot == s + 2 * q:
                        lists[r].append(Op("forward", pipe, s, m))
                    if slot == 2 * q + 2 * D - 1 - s:
                        lists[r].append(Op("backward", pipe, s, m))
    return lists
""",
    ),
    Alternative(
        "ex41-5",
        "a dictionary of slots, micro-batches outside",
        """def chimera(D):
    if D < 2 or D % 2 != 0:
        raise ValueError("D must be even and positive")
    slots = {r: {} for r in range(D)}
    for m in range(D):
        pipe, q = divmod(m, D // 2)
        for s in range(D):
            rank = [s, D - 1 - s][pipe]
            slots[rank][s + 2 * q] = Op("forward", pipe, s, m)
            slots[rank][2 * (q + D) - 1 - s] = Op("backward", pipe, s, m)
    return {r: [own[t] for t in sorted(own)] for r, own in slots.items()}
""",
    ),
    Alternative(
        "ex41-6",
        "the inequality solved",
        """def loses_from(D):
    return None if D == 2 else (2 * D - 1) // (D - 2) + 1


def saved_by_doubling(D, N):
    return Fraction(D + 1, 3 * (N + D - 1))
""",
    ),
    Alternative(
        "ex41-6",
        "asks the simulator",
        """def loses_from(D):
    if D < 3:
        return
    for K in range(1, 10):
        ours = simulate(Chimera().schedule(D, K * D), Cost(1, 2)).makespan
        if ours > simulate(OneFOneB().schedule(D, K * D), Cost(1, 2)).makespan:
            return K


def saved_by_doubling(D, N):
    before = simulate(OneFOneB().schedule(D, N), Cost(1, 2)).makespan
    after = simulate(Chimera(doubling=True).schedule(D, N), Cost(1, 2)).makespan
    return 1 - after / before
""",
    ),
    Alternative(
        "ex41-7", "one box for all messages, slices for micro-batches", EXECUTE
    ),
    Alternative(
        "ex41-7",
        "the gradient by autograd.grad, added by hand",
        """def execute(order, stages, loss, x, y):
    N = 1 + max(op.micro for op in order)
    xs, ys = torch.chunk(x, N), torch.chunk(y, N)
    kept, state, credit, losses = {}, {}, {}, []
    for op in order:
        at, stage = (op.stage, op.micro), stages[op.stage]
        if op.kind == "forward":
            h = xs[op.micro] if op.stage == 0 else state.pop(at)
            h = h.detach().clone().requires_grad_()
            out = stage(h)
            if op.stage + 1 == len(stages):
                out = loss(out, ys[op.micro]) / N
                losses.append(out.item())
            state[op.stage + 1, op.micro] = out.detach()
            kept[at] = [h, out]
        else:
            h, out = kept.pop(at)
            own = list(stage.parameters())
            g, *slopes = torch.autograd.grad(out, [h, *own], credit.pop(at, None))
            credit[op.stage - 1, op.micro] = g
            for p, slope in zip(own, slopes):
                p.grad = slope if p.grad is None else p.grad + slope
            del h, out
    return sum(losses)
""",
    ),
]
