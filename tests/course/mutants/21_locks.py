"""Chapter 21: what students get wrong about locks and memory, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed, slip

UTILISATION = "def utilisation(spans, workers):\n    "

CLOCK = """def clock(tasks):
    times, free = {}, {}
    for task in tasks:
        ready = [times[name][1] for name in task.after]
        start = max([free.get(task.worker, 0.0), *ready])
        times[task.name] = start, start + task.cost
        free[task.worker] = start + task.cost
    return times
"""


def paths(
    locked: str = "S * (K * f + (K - 1) * b + b / 2)",
    pairwise: str = "S * (2 * f + b) + (K - 2) * f",
    local: str = "S * (f + b / 2) + (K - 1) * f",
) -> str:
    """The three formulas of exercise 21.3, one of them another."""
    bodies = {"locked": locked, "pairwise": pairwise, "local": local}
    return "\n\n".join(
        f"def {name}(K, S, f, b):\n    return {body}" for name, body in bodies.items()
    )


BYTES = """def saved_bytes(run, parameters):
    own = {p.untyped_storage().data_ptr() for p in parameters}
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(sizes.values())
"""

REACHES = """def reaches(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if not (own and loss.requires_grad):
                continue
            found = torch.autograd.grad(
                loss, own, retain_graph=True, allow_unused=True
            )
            matrix[j, i] = any(g is not None and bool(g.any()) for g in found)
    return matrix
"""

STEP = """def local_step(modules, heads, x, y):
    h, losses = x, []
    for module, head in zip(modules, heads, strict=True):
        h = module(h.detach())
        loss = cross_entropy(head(h), y)
        loss.backward()
        losses.append(loss.item())
    return losses
"""

RECOMPUTE = """class Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, segment, h):
        ctx.segment, ctx.state = segment, torch.get_rng_state()
        ctx.save_for_backward(h)
        return segment(h)

    @staticmethod
    def backward(ctx, gradient):
        (h,) = ctx.saved_tensors
        h, now = h.detach().requires_grad_(), torch.get_rng_state()
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            out = ctx.segment(h)
        torch.set_rng_state(now)
        out.backward(gradient)
        return None, h.grad


def checkpointed(segments, x):
    h = x.clone().requires_grad_()
    for segment in segments:
        h = Recompute.apply(segment, h)
    return h
"""

CUTS = """def best_cuts(inside, edge):
    n, total = len(inside), [0, *accumulate(inside)]

    def within(budget):
        kept, origin = [0] + [math.inf] * n, [0] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                held = kept[i] + edge[i]
                if held + total[j] - total[i] <= budget and held < kept[j]:
                    kept[j], origin[j] = held, i
        if kept[n] == math.inf:
            return None
        starts, j = [], n
        while j > 0:
            j = origin[j]
            starts.insert(0, j)
        return starts

    low, high = 0, peak_of([0], inside, edge)
    while low < high:
        middle = (low + high) // 2
        if within(middle) is None:
            low = middle + 1
        else:
            high = middle
    return within(low)
"""

MUTANTS = [
    # 21.1 utilisation
    Mutant(
        "ex21-1",
        "the clock starts at zero, whenever work begins",
        UTILISATION
        + "return sum(e - s for _, s, e in spans) / (workers * max(e for _, _, e in spans))",
    ),
    Mutant(
        "ex21-1",
        "only workers that have something to do are counted",
        UTILISATION
        + """span = max(e for _, _, e in spans) - min(s for _, s, _ in spans)
    return sum(e - s for _, s, e in spans) / (len({w for w, _, _ in spans}) * span)""",
    ),
    Mutant(
        "ex21-1",
        "takes the span listed last for the one that ends last",
        UTILISATION
        + """span = spans[-1][2] - spans[0][1]
    return sum(e - s for _, s, e in spans) / (workers * span)""",
    ),
    Mutant(
        "ex21-1",
        "forgets to divide by the number of machines",
        UTILISATION
        + """span = max(e for _, _, e in spans) - min(s for _, s, _ in spans)
    return sum(e - s for _, s, e in spans) / span""",
    ),
    Mutant(
        "ex21-1",
        "mean over the machines of work per own presence",
        UTILISATION
        + """shares = []
    for w in {w for w, _, _ in spans}:
        mine = [(s, e) for v, s, e in spans if v == w]
        there = max(e for _, e in mine) - min(s for s, _ in mine)
        shares.append(sum(e - s for s, e in mine) / there)
    return sum(shares) / workers""",
    ),
    Mutant(
        "ex21-1",
        "sorts the caller's list of spans to find first and last",
        UTILISATION
        + """spans.sort(key=lambda span: span[1])
    span = max(e for _, _, e in spans) - spans[0][1]
    return sum(e - s for _, s, e in spans) / (workers * span)""",
    ),
    # 21.2 the clock
    Mutant(
        "ex21-2",
        "workers can do several things at once",
        changed(CLOCK, ("free.get(task.worker, 0.0)", "0.0")),
    ),
    Mutant(
        "ex21-2",
        "waits for the first of its requirements only",
        changed(CLOCK, ("in task.after]", "in task.after[:1]]")),
    ),
    Mutant(
        "ex21-2",
        "waits for the start of what it needs, not for its end",
        changed(CLOCK, ("times[name][1]", "times[name][0]")),
    ),
    Mutant(
        "ex21-2",
        "everything in single file, as in one process",
        """def clock(tasks):
    times, now = {}, 0.0
    for task in tasks:
        times[task.name] = now, now + task.cost
        now += task.cost
    return times
""",
    ),
    Mutant(
        "ex21-2",
        "the waiting times are added up instead of taking the last",
        changed(
            CLOCK,
            (
                "max([free.get(task.worker, 0.0), *ready])",
                "max(free.get(task.worker, 0.0), sum(ready))",
            ),
        ),
    ),
    Mutant(
        "ex21-2",
        "a worker is free again at once: its clock is not advanced by the waiting",
        changed(
            CLOCK,
            (
                "free[task.worker] = start + task.cost",
                "free[task.worker] = free.get(task.worker, 0.0) + task.cost",
            ),
        ),
    ),
    Mutant(
        "ex21-2",
        "the earliest requirement decides",
        changed(
            CLOCK,
            (
                "max([free.get(task.worker, 0.0), *ready])",
                "max(free.get(task.worker, 0.0), min(ready, default=0.0))",
            ),
        ),
    ),
    # 21.3 three critical paths
    Mutant(
        "ex21-3",
        "module 0 pays for the gradient of the data, too",
        paths(locked="S * K * (f + b)"),
    ),
    Mutant(
        "ex21-3",
        "the staircase is paid for every batch",
        paths(local="S * (f + b / 2 + (K - 1) * f)"),
    ),
    Mutant(
        "ex21-3",
        "no staircase at all: K times as fast from the first batch",
        paths(local="S * (f + b / 2)"),
    ),
    Mutant(
        "ex21-3",
        "a local module computes its whole backward pass",
        paths(local="S * (f + b) + (K - 1) * f"),
    ),
    Mutant(
        "ex21-3",
        "ideal speed-up: the locked time divided by K",
        paths(local="S * (K * f + (K - 1) * b + b / 2) / K"),
    ),
    Mutant(
        "ex21-3",
        "pairwise starts as late as local does",
        paths(pairwise="S * (2 * f + b) + (K - 1) * f"),
    ),
    Mutant(
        "ex21-3",
        "pairwise waits for the whole backward pass of the next module",
        paths(pairwise="S * (2 * f + 3 * b / 2) + (K - 2) * f"),
    ),
    Mutant(
        "ex21-3",
        "batches overlap in the locked schedule",
        paths(locked="K * f + S * ((K - 1) * b + b / 2)"),
    ),
    Mutant(
        "ex21-3",
        "no closed form: plays the schedule with the clock",
        """def ends(make, *case):
    return max(end for _, end in clock(make(*case)).values())


def locked(K, S, f, b):
    return ends(locked_tasks, K, S, f, b)


def pairwise(K, S, f, b):
    return ends(pairwise_tasks, K, S, f, b)


def local(K, S, f, b):
    return ends(local_tasks, K, S, f, b)
""",
    ),
    Mutant(
        "ex21-3",
        "no closed form: adds up batch by batch",
        paths(
            locked="sum(K * f + (K - 1) * b + b / 2 for _ in range(S))",
            local="(K - 1) * f + sum(f + b / 2 for _ in range(S))",
        ),
    ),
    # 21.4 saved bytes
    Mutant(
        "ex21-4",
        "every saved tensor counts, however often its storage is saved",
        """def saved_bytes(run, parameters):
    own = {p.untyped_storage().data_ptr() for p in parameters}
    sizes = []

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            sizes.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(sizes)
""",
    ),
    Mutant(
        "ex21-4",
        "parameters are recognised as objects: the transposed weight counts",
        changed(
            BYTES,
            (
                "own = {p.untyped_storage().data_ptr() for p in parameters}",
                "own = [id(p) for p in parameters]",
            ),
            ("storage.data_ptr() not in own", "id(tensor) not in own"),
        ),
    ),
    Mutant(
        "ex21-4",
        "parameters count as well",
        changed(BYTES, ("if storage.data_ptr() not in own:", "if True:")),
    ),
    Mutant(
        "ex21-4",
        "the size of the view instead of that of its storage",
        changed(
            BYTES, ("= storage.nbytes()", "= tensor.numel() * tensor.element_size()")
        ),
    ),
    Mutant(
        "ex21-4",
        "counts numbers, not bytes",
        changed(
            BYTES, ("= storage.nbytes()", "= storage.nbytes() // tensor.element_size()")
        ),
    ),
    Mutant(
        "ex21-4",
        "eight bytes for every number, whatever its precision",
        changed(
            BYTES,
            (
                "= storage.nbytes()",
                "= 8 * storage.nbytes() // tensor.element_size()",
            ),
        ),
    ),
    Mutant(
        "ex21-4",
        "unpack returns a zero tensor: backward is wrong",
        changed(BYTES, ("lambda tensor: tensor)", "lambda tensor: 0 * tensor)")),
    ),
    Mutant(
        "ex21-4",
        "two storages of one size are taken for one",
        changed(
            BYTES,
            (
                "sizes[storage.data_ptr()] = storage.nbytes()",
                "sizes[storage.nbytes()] = storage.nbytes()",
            ),
        ),
    ),
    Mutant(
        "ex21-4",
        "parameters are recognised by their shape",
        changed(
            BYTES,
            (
                "own = {p.untyped_storage().data_ptr() for p in parameters}",
                "own = {p.shape for p in parameters}",
            ),
            (
                "storage.data_ptr() not in own",
                "tensor.shape not in own and tensor.T.shape not in own",
            ),
        ),
    ),
    Mutant(
        "ex21-4",
        "parameters are recognised by their values",
        changed(
            BYTES,
            (
                "own = {p.untyped_storage().data_ptr() for p in parameters}",
                "own = [p.detach() for p in parameters]\n    own += [p.T for p in own]",
            ),
            (
                "storage.data_ptr() not in own",
                "not any(torch.equal(tensor, p) for p in own)",
            ),
        ),
    ),
    # 21.5 isolation
    Mutant(
        "ex21-5",
        "a gradient of zeros is taken for a gradient",
        changed(REACHES, (" and bool(g.any())", "")),
    ),
    Mutant(
        "ex21-5",
        "asks the graph for a path, which may carry nothing but zeros",
        """def reaches(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        todo, seen, leaves = [loss.grad_fn], set(), set()
        while todo:
            node = todo.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if hasattr(node, "variable"):
                leaves.add(id(node.variable))
            todo += [parent for parent, _ in node.next_functions]
        for i, module in enumerate(modules):
            matrix[j, i] = any(id(p) in leaves for p in module.parameters())
    return matrix
""",
    ),
    Mutant(
        "ex21-5",
        "unfreezes frozen parameters to ask about them",
        changed(
            REACHES,
            (
                "            own = [p for p in module.parameters() if p.requires_grad]\n",
                "            own = [p.requires_grad_() for p in module.parameters()]\n",
            ),
        ),
    ),
    Mutant(
        "ex21-5",
        "a shared weight belongs to the first module that has it",
        changed(
            REACHES,
            (
                "if p.requires_grad]",
                "if p.requires_grad and not any(\n"
                "                p is q for m in modules[:i] for q in m.parameters())]",
            ),
        ),
    ),
    Mutant(
        "ex21-5",
        "clears gradients that lay there before the measurement",
        changed(
            REACHES,
            (
                "    return matrix",
                "    for module in modules:\n        module.zero_grad()\n    return matrix",
            ),
        ),
    ),
    Mutant(
        "ex21-5",
        "every parameter of the module must be reached",
        changed(REACHES, ("any(g is", "all(g is")),
    ),
    Mutant(
        "ex21-5",
        "rows and columns exchanged",
        changed(
            REACHES,
            (
                "torch.zeros(len(losses), len(modules),",
                "torch.zeros(len(modules), len(losses),",
            ),
            ("matrix[j, i]", "matrix[i, j]"),
        ),
    ),
    Mutant(
        "ex21-5",
        "calls backward and leaves gradients behind",
        """def reaches(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for module in modules:
            module.zero_grad()
        if loss.requires_grad:
            loss.backward(retain_graph=True)
        for i, module in enumerate(modules):
            matrix[j, i] = any(p.grad is not None for p in module.parameters())
    return matrix
""",
    ),
    Mutant(
        "ex21-5",
        "the graph is used up by the first question",
        changed(REACHES, ("retain_graph=True, ", "")),
    ),
    Mutant(
        "ex21-5",
        "a loss without a graph is not foreseen",
        changed(REACHES, ("if not (own and loss.requires_grad):", "if not own:")),
    ),
    Mutant(
        "ex21-5",
        "frozen and missing parameters are not foreseen",
        changed(REACHES, (" if p.requires_grad]", "]")),
    ),
    Mutant(
        "ex21-5",
        "only a module's last parameter is looked at",
        changed(REACHES, ("if p.requires_grad]", "if p.requires_grad][-1:]")),
    ),
    # 21.6 one module at a time
    Mutant(
        "ex21-6",
        "detaches, but adds the losses up and calls backward once",
        """def local_step(modules, heads, x, y):
    h, losses = x, []
    for module, head in zip(modules, heads, strict=True):
        h = module(h.detach())
        losses.append(cross_entropy(head(h), y))
    sum(losses).backward()
    return [loss.item() for loss in losses]
""",
    ),
    Mutant(
        "ex21-6",
        "one backward call per loss, but all of them at the end",
        """def local_step(modules, heads, x, y):
    h, losses = x, []
    for module, head in zip(modules, heads, strict=True):
        h = module(h.detach())
        losses.append(cross_entropy(head(h), y))
    for loss in losses:
        loss.backward()
    return [loss.item() for loss in losses]
""",
    ),
    Mutant(
        "ex21-6",
        "the graph is retained",
        changed(STEP, ("loss.backward()", "loss.backward(retain_graph=True)")),
    ),
    Mutant(
        "ex21-6",
        "detaches on the wrong side: the head no longer reaches its module",
        changed(STEP, ("head(h), y", "head(h.detach()), y")),
    ),
    Mutant(
        "ex21-6",
        "forgets the cut",
        changed(
            STEP,
            ("module(h.detach())", "module(h)"),
            ("loss.backward()", "loss.backward(retain_graph=True)"),
        ),
    ),
    Mutant(
        "ex21-6",
        "returns losses as tensors with their graphs",
        changed(STEP, ("losses.append(loss.item())", "losses.append(loss)")),
    ),
    Mutant(
        "ex21-6",
        "zeroes gradients that others have collected",
        changed(
            STEP,
            (
                "        h = module(h.detach())",
                "        module.zero_grad()\n        head.zero_grad()\n"
                "        h = module(h.detach())",
            ),
        ),
    ),
    Mutant(
        "ex21-6",
        "every module is reached by running the network again from the data",
        """def local_step(modules, heads, x, y):
    losses = []
    for k in range(len(modules)):
        with torch.no_grad():
            h = nn.Sequential(*modules[:k])(x)
        loss = cross_entropy(heads[k](modules[k](h)), y)
        loss.backward()
        losses.append(loss.item())
    return losses
""",
    ),
    Mutant(
        "ex21-6",
        "only the last loss is told",
        changed(STEP, ("return losses", "return losses[-1:]")),
    ),
    Mutant(
        "ex21-6",
        "the first entrance is not cut: gradients flow into the data",
        changed(STEP, ("module(h.detach())", "module(h if h is x else h.detach())")),
    ),
    Mutant(
        "ex21-6",
        "the head runs twice, once for the loss that is told",
        changed(STEP, ("loss.item()", "float(cross_entropy(head(h), y))")),
    ),
    Mutant(
        "ex21-6",
        "the mean of the local losses goes back: gradients K times too small",
        changed(STEP, ("loss.backward()", "(loss / len(modules)).backward()")),
    ),
    Mutant(
        "ex21-6",
        "torch.func on the sum of all losses: every graph is alive at once",
        """from torch.func import functional_call, grad_and_value


def local_step(modules, heads, x, y):
    given = [dict(part.named_parameters()) for part in (*modules, *heads)]

    def total(values):
        h, losses = x.detach(), []
        for k, (module, head) in enumerate(zip(modules, heads, strict=True)):
            h = functional_call(module, values[k], (h.detach(),))
            out = functional_call(head, values[len(modules) + k], (h,))
            losses.append(cross_entropy(out, y))
        return sum(losses), losses

    found, (_, losses) = grad_and_value(total, has_aux=True)(given)
    for own, gradients in zip(given, found, strict=True):
        for name, p in own.items():
            g = gradients[name].detach()
            p.grad = g if p.grad is None else p.grad + g
    return [float(loss) for loss in losses]
""",
    ),
    # 21.7 checkpointing by hand
    Mutant(
        "ex21-7",
        "keeps the input as an attribute, which no meter sees",
        changed(
            RECOMPUTE,
            ("        ctx.save_for_backward(h)\n", "        ctx.h = h\n"),
            ("        (h,) = ctx.saved_tensors\n", "        h = ctx.h\n"),
        ),
    ),
    Mutant(
        "ex21-7",
        "keeps all activations as attributes and runs again nevertheless",
        changed(
            RECOMPUTE,
            (
                "        return segment(h)\n",
                "        ctx.kept = []\n"
                "        hooks = [\n"
                "            m.register_forward_hook(lambda m, i, o: ctx.kept.append(o))\n"
                "            for m in segment.modules()\n"
                "        ]\n"
                "        out = segment(h)\n"
                "        for hook in hooks:\n"
                "            hook.remove()\n"
                "        return out\n",
            ),
        ),
    ),
    Mutant(
        "ex21-7",
        "half of the gradient of h: the mean of it and of what arrived",
        changed(RECOMPUTE, ("return None, h.grad", "return None, h.grad / 2")),
    ),
    Mutant(
        "ex21-7",
        "dropout draws another mask in the second run",
        changed(RECOMPUTE, ("        torch.set_rng_state(ctx.state)\n", "")),
    ),
    Mutant(
        "ex21-7",
        "the second run sets the random numbers back for whoever comes next",
        changed(RECOMPUTE, ("        torch.set_rng_state(now)\n", "")),
    ),
    Mutant(
        "ex21-7",
        "seeds both runs alike instead of keeping the state",
        changed(
            RECOMPUTE,
            (
                "        ctx.segment, ctx.state",
                "        torch.manual_seed(0)\n        ctx.segment, ctx.state",
            ),
        ),
    ),
    Mutant(
        "ex21-7",
        "keeps the graph of the first run: nothing is saved",
        """class Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, segment, h):
        ctx.h = h.detach().requires_grad_()
        with torch.enable_grad():
            ctx.out = segment(ctx.h)
        return ctx.out.detach()

    @staticmethod
    def backward(ctx, gradient):
        ctx.out.backward(gradient)
        return None, ctx.h.grad


"""
        + RECOMPUTE[RECOMPUTE.index("def checkpointed") :],
    ),
    Mutant(
        "ex21-7",
        "no gradient for the segment's parameters",
        changed(
            RECOMPUTE,
            (
                "out.backward(gradient)\n        return None, h.grad",
                "return None, torch.autograd.grad(out, h, gradient)[0]",
            ),
        ),
    ),
    Mutant(
        "ex21-7",
        "passes the gradient on as it came: segments after the first are skipped",
        changed(RECOMPUTE, ("return None, h.grad", "return None, gradient")),
    ),
    Mutant(
        "ex21-7",
        "starts the segment's backward pass with ones",
        changed(RECOMPUTE, ("out.backward(gradient)", "out.sum().backward()")),
    ),
    Mutant(
        "ex21-7",
        "the second run builds no graph",
        changed(RECOMPUTE, ("with torch.enable_grad():", "with torch.no_grad():")),
    ),
    Mutant(
        "ex21-7",
        "plain backpropagation without any checkpoint",
        RECOMPUTE[: RECOMPUTE.index("def checkpointed")]
        + """def checkpointed(segments, x):
    return nn.Sequential(*segments)(x)
""",
    ),
    # 21.8 the best places
    Mutant(
        "ex21-8",
        "tries all ways for ten layers, and beyond cuts as for equal layers",
        """def best_cuts(inside, edge):
    n = len(inside)
    if n <= 10:
        ways = ([0, *r] for k in range(n) for r in combinations(range(1, n), k))
        return min(ways, key=lambda way: peak_of(way, inside, edge))
    size = math.ceil((1 + math.sqrt(1 + 8 * n)) / 2) - 1
    starts, at = [], 0
    while at < n:
        starts.append(at)
        at, size = at + max(size, 1), size - 1
    return starts
""",
    ),
    Mutant(
        "ex21-8",
        "segments of equal length, about the square root of the depth",
        """def best_cuts(inside, edge):
    size = max(1, round(math.sqrt(len(inside))))
    return list(range(0, len(inside), size))
""",
    ),
    Mutant(
        "ex21-8",
        "the best of all equal lengths",
        """def best_cuts(inside, edge):
    n = len(inside)
    ways = [list(range(0, n, size)) for size in range(1, n + 1)]
    return min(ways, key=lambda way: peak_of(way, inside, edge))
""",
    ),
    Mutant(
        "ex21-8",
        "a checkpoint at every layer",
        """def best_cuts(inside, edge):
    return list(range(len(inside)))
""",
    ),
    Mutant(
        "ex21-8",
        "greedy: each segment as long as the budget allows, wherever it ends",
        """def best_cuts(inside, edge):
    n = len(inside)
    best = [0]
    for budget in range(peak_of([0], inside, edge), 0, -1):
        starts, kept, load = [0], edge[0], 0
        for i in range(n):
            if kept + load + inside[i] > budget:
                starts.append(i)
                kept, load = kept + edge[i], 0
            load += inside[i]
        if len(set(starts)) == len(starts):
            if peak_of(starts, inside, edge) < peak_of(best, inside, edge):
                best = starts
    return best
""",
    ),
    Mutant(
        "ex21-8",
        "all checkpoints are counted, also those already freed",
        """def best_cuts(inside, edge):
    n, best = len(inside), None
    for cap in sorted({sum(inside[i:j]) for i in range(n) for j in range(i + 1, n + 1)}):
        kept, way = [0] + [math.inf] * n, [[]] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                if sum(inside[i:j]) <= cap and kept[i] + edge[i] < kept[j]:
                    kept[j], way[j] = kept[i] + edge[i], [*way[i], i]
        if best is None or kept[n] + cap < best[0]:
            best = kept[n] + cap, way[n]
    return best[1]
""",
    ),
    Mutant(
        "ex21-8",
        "checkpoints are taken to be free",
        changed(CUTS, ("held = kept[i] + edge[i]", "held = kept[i]")),
    ),
    Mutant(
        "ex21-8",
        "local search from one segment: adds cuts while that helps",
        """def best_cuts(inside, edge):
    starts = [0]
    while True:
        ways = [sorted({*starts, i}) for i in range(1, len(inside))]
        better = min(ways, key=lambda way: peak_of(way, inside, edge), default=starts)
        if peak_of(better, inside, edge) >= peak_of(starts, inside, edge):
            return starts
        starts = better
""",
    ),
    Mutant(
        "ex21-1",
        "the first and the last of the list hold the clock",
        """def utilisation(spans, workers):
    return sum(e-s for _,s,e in spans)/(workers*(spans[-1][2]-spans[0][1]))""",
    ),
    Mutant(
        "ex21-1",
        "spans of the same length count once",
        """def utilisation(spans, workers):
    first=min(s for _,s,_ in spans); last=max(e for *_,e in spans)
    return sum({e-s for _,s,e in spans})/(workers*(last-first))""",
    ),
    Mutant(
        "ex21-2",
        "a task is put into a gap that its worker had earlier",
        """def clock(tasks):
    times={}
    for t in tasks:
        s=max([0,*(times[n][1] for n in t.after)])
        own=sorted(times[o.name] for o in tasks if o.worker==t.worker and o.name in times)
        for a,b in own:
            if s+t.cost<=a: break
            s=max(s,b)
        times[t.name]=s,s+t.cost
    return times""",
    ),
    Mutant(
        "ex21-2",
        "the requirement listed last decides",
        """def clock(tasks):
    times,free={},{}
    for t in tasks:
        s=max(free.get(t.worker,0), (times[t.after[-1]][1] if t.after else 0))
        times[t.name]=s,s+t.cost
        free[t.worker]=s+t.cost
    return times""",
    ),
    Mutant(
        "ex21-2",
        "empties the caller's lists of requirements",
        """def clock(tasks):
    times,free={},{}
    for t in tasks:
        s=free.get(t.worker,0)
        while t.after: s=max(s,times[t.after.pop()][1])
        times[t.name]=s,s+t.cost
        free[t.worker]=s+t.cost
    return times""",
    ),
    slip(
        "ex21-3",
        "half a backward pass is rounded down",
        (
            "return S * (K * f + (K - 1) * b + b / 2)",
            "return S * (K * f + (K - 1) * b + b // 2)",
        ),
    ),
    slip(
        "ex21-4",
        "whatever asks for a gradient is taken for a parameter",
        (
            "    def pack(tensor):",
            "    def pack(tensor):\n"
            "        if tensor.is_leaf and tensor.requires_grad:\n"
            "            return tensor",
        ),
    ),
    slip(
        "ex21-4",
        "data that ask for no gradient are left out",
        (
            "    def pack(tensor):",
            "    def pack(tensor):\n"
            "        if not tensor.requires_grad:\n"
            "            return tensor",
        ),
    ),
    slip(
        "ex21-4",
        "the largest storage, not all of them",
        ("return sum(sizes.values())", "return max(sizes.values())"),
    ),
    slip(
        "ex21-5",
        "adds the entries up: what cancels has reached nobody",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.sum() != 0) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "only positive entries count",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool((g > 0).any()) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "a faint gradient is taken for rounding",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.abs().max() > 1e-08) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "a gradient below 1e-12 is taken for rounding",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.norm() > 1e-12) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "every entry must be other than zero",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.all()) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "looks at the first entry only",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.flatten()[0] != 0) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "squares of small entries vanish in rounding",
        (
            "matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "matrix[j, i] = any((g is not None and bool(g.square().sum() > 0) for g in found))",
        ),
    ),
    slip(
        "ex21-5",
        "the last question uses the graph up",
        (
            "found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)",
            "found = torch.autograd.grad(loss, own, retain_graph=j < len(losses) - 1, allow_unused=True)",
        ),
    ),
    slip(
        "ex21-5",
        "leaves the modules in evaluation mode",
        (
            "            matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            "            matrix[j, i] = any((g is not None and bool(g.any()) for g in found))\n"
            "    [m.eval() for m in modules]",
        ),
    ),
    slip(
        "ex21-6",
        "the loss is a sum over the batch",
        (
            "loss = cross_entropy(head(h), y)",
            "loss = cross_entropy(head(h), y, reduction='sum')",
        ),
    ),
    slip(
        "ex21-6",
        "the loss of the first sample",
        (
            "loss = cross_entropy(head(h), y)",
            "loss = cross_entropy(head(h)[:1], y[:1])",
        ),
    ),
    slip(
        "ex21-6",
        "puts the modules into evaluation mode",
        (
            "    for module, head in zip(modules, heads, strict=True):",
            "    for module, head in zip(modules, heads, strict=True):\n"
            "        module.eval()",
        ),
    ),
    slip(
        "ex21-6",
        "switches off the data's gradient for good",
        (
            "def local_step(modules, heads, x, y):",
            "def local_step(modules, heads, x, y):\n    x.requires_grad_(False)",
        ),
    ),
    slip(
        "ex21-7",
        "the gradient that arrives is scaled to length one",
        ("out.backward(gradient)", "out.backward(gradient / gradient.norm())"),
    ),
    slip(
        "ex21-7",
        "the gradient that arrives is averaged over the batch",
        (
            "out.backward(gradient)",
            "out.backward(gradient.mean(0, keepdim=True).expand_as(out))",
        ),
    ),
    slip(
        "ex21-7",
        "old gradients of the parameters are dropped",
        (
            "        torch.set_rng_state(now)",
            "        torch.set_rng_state(now)\n"
            "        for p in ctx.segment.parameters():\n"
            "            p.grad = None",
        ),
    ),
    slip(
        "ex21-7",
        "the second run is in evaluation mode",
        ("out = ctx.segment(h)", "out = ctx.segment.eval()(h)"),
    ),
    slip(
        "ex21-7",
        "the graph of the second run is kept",
        (
            "        out.backward(gradient)",
            "        out.backward(gradient, retain_graph=True)\n"
            "        ctx.segment.kept = out",
        ),
    ),
    slip(
        "ex21-8",
        "the search for the budget skips one now and then",
        ("low = middle + 1", "low = middle + 2"),
        ("return within(low)", "return within(low) or [0]"),
    ),
    Mutant(
        "ex21-8",
        "keeps the least peak of every beginning, and not its checkpoints",
        """def best_cuts(inside, edge):
    n=len(inside)
    best=[(0,0,[])]
    for j in range(1,n+1):
        best.append(min((max(best[i][0],best[i][1]+edge[i]+sum(inside[i:j])),best[i][1]+edge[i],best[i][2]+[i]) for i in range(j)))
    return best[n][2]""",
    ),
    slip(
        "ex21-3",
        "the staircase of pairwise takes the longer of two costs",
        (
            "return S * (2 * f + b) + (K - 2) * f",
            "return S * (2 * f + b) + (K - 2) * max(f, b / 2)",
        ),
    ),
    slip(
        "ex21-3",
        "one forward pass in the period of pairwise",
        ("return S * (2 * f + b) + (K - 2) * f", "return S * (f + b) + (K - 1) * f"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex21-1",
        "one minus the idle share, machine by machine",
        UTILISATION
        + """begin = min(s for _, s, _ in spans)
    length = max(e for _, _, e in spans) - begin
    idle = workers * length
    for _, start, end in spans:
        idle -= end - start
    return 1 - idle / (workers * length)""",
    ),
    Alternative(
        "ex21-1",
        "with tensors",
        UTILISATION
        + """times = torch.tensor([span[1:] for span in spans])
    work = (times[:, 1] - times[:, 0]).sum()
    return float(work / workers / (times[:, 1].max() - times[:, 0].min()))""",
    ),
    Alternative(
        "ex21-2",
        "longest path, found by asking backwards",
        """def clock(tasks):
    before, last = {}, {}
    for task in tasks:
        before[task.name] = [*task.after]
        if task.worker in last:
            before[task.name].append(last[task.worker])
        last[task.worker] = task.name
    cost = {task.name: task.cost for task in tasks}
    ends = {}

    def end(name):
        if name not in ends:
            ends[name] = cost[name] + max(map(end, before[name]), default=0.0)
        return ends[name]

    return {name: (end(name) - cost[name], end(name)) for name in cost}
""",
    ),
    Alternative(
        "ex21-2",
        "a list of queues, one per worker",
        """def clock(tasks):
    done, queues = {}, {task.worker: [0.0] for task in tasks}
    for task in tasks:
        start = queues[task.worker][-1]
        for name in task.after:
            if done[name][1] > start:
                start = done[name][1]
        done[task.name] = (start, start + task.cost)
        queues[task.worker].append(start + task.cost)
    return done
""",
    ),
    Alternative(
        "ex21-3",
        "from the last module's point of view",
        paths(
            locked="K * S * f + S * (K - 0.5) * b",
            pairwise="(S - 1) * (2 * f + b) + (K - 1) * f + f + b",
            local="(K - 1) * f + S * f + S * b / 2",
        ),
    ),
    Alternative(
        "ex21-3",
        "everything in halves of a backward pass",
        paths(
            locked="S * K * f + S * (2 * K - 1) * (b / 2)",
            pairwise="(2 * S + K - 2) * f + 2 * S * (b / 2)",
            local="(S + K - 1) * f + S * (b / 2)",
        ),
    ),
    Alternative(
        "ex21-4",
        "keeps the storages and counts at the end",
        """def saved_bytes(run, parameters):
    seen = []

    def pack(tensor):
        seen.append(tensor.detach())
        return seen[-1]

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in seen}
    for p in parameters:
        storages.pop(p.untyped_storage().data_ptr(), None)
    return sum(storage.nbytes() for storage in storages.values())
""",
    ),
    Alternative(
        "ex21-4",
        "a set of addresses and a running total",
        """def saved_bytes(run, parameters):
    seen = {p.untyped_storage().data_ptr() for p in parameters}
    total = 0

    def pack(tensor):
        nonlocal total
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total += storage.nbytes()
        return tensor

    def unpack(tensor):
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        run()
    return total
""",
    ),
    Alternative(
        "ex21-5",
        "all modules in one question per loss",
        """def reaches(losses, modules):
    rows = []
    for loss in losses:
        row = []
        for module in modules:
            connected = False
            for p in module.parameters():
                if p.requires_grad and loss.requires_grad:
                    (g,) = torch.autograd.grad(
                        loss, [p], retain_graph=True, allow_unused=True
                    )
                    connected = connected or (g is not None and bool(g.count_nonzero()))
            row.append(connected)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.bool)
""",
    ),
    Alternative(
        "ex21-5",
        "all parameters in one question per loss, sorted out afterwards",
        """def reaches(losses, modules):
    rows = []
    own = [p for module in modules for p in module.parameters() if p.requires_grad]
    for loss in losses:
        found = [None] * len(own)
        if own and loss.requires_grad:
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
        moved = {id(p) for p, g in zip(own, found) if g is not None and (g != 0).any()}
        rows.append([any(id(p) in moved for p in m.parameters()) for m in modules])
    return torch.tensor(rows)
""",
    ),
    Alternative(
        "ex21-6",
        "functional calls and torch.func",
        """from torch.func import functional_call, grad_and_value


def local_step(modules, heads, x, y):
    losses, h = [], x.detach()
    for module, head in zip(modules, heads, strict=True):
        own, top = dict(module.named_parameters()), dict(head.named_parameters())

        def loss_of(p, q, h=h, module=module, head=head):
            out = functional_call(module, p, (h,))
            return cross_entropy(functional_call(head, q, (out,)), y), out

        pull = grad_and_value(loss_of, argnums=(0, 1), has_aux=True)
        found, (loss, out) = pull(own, top)
        for values, gradients in zip((own, top), found, strict=True):
            for name, p in values.items():
                g = gradients[name].detach()
                p.grad = g if p.grad is None else p.grad + g
        losses.append(float(loss))
        h = out.detach()
    return losses
""",
    ),
    Alternative(
        "ex21-6",
        "the head's backward pass first, then the module's",
        """def local_step(modules, heads, x, y):
    h, losses = x.detach(), []
    for module, head in zip(modules, heads, strict=True):
        out = module(h)
        leaf = out.detach().requires_grad_()
        loss = cross_entropy(head(leaf), y)
        losses.append(float(loss))
        loss.backward()
        if out.requires_grad:
            out.backward(leaf.grad)
        h = leaf.detach()
    return losses
""",
    ),
    Alternative(
        "ex21-6",
        "detaches behind the module, and adds gradients by hand",
        """def local_step(modules, heads, x, y):
    losses = []
    for k in range(len(modules)):
        own = [*modules[k].parameters(), *heads[k].parameters()]
        out = modules[k](x)
        loss = cross_entropy(heads[k](out), y)
        for p, g in zip(own, torch.autograd.grad(loss, own), strict=True):
            p.grad = g if p.grad is None else p.grad + g
        losses.append(loss.item())
        x = out.detach()
    return losses
""",
    ),
    Alternative(
        "ex21-7",
        "with fork_rng",
        changed(
            RECOMPUTE,
            (
                """        h, now = h.detach().requires_grad_(), torch.get_rng_state()
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            out = ctx.segment(h)
        torch.set_rng_state(now)
        out.backward(gradient)
""",
                """        h = h.detach().requires_grad_()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.set_rng_state(ctx.state)
            out = ctx.segment(h)
            torch.autograd.backward(out, gradient)
""",
            ),
        ),
    ),
    Alternative(
        "ex21-7",
        "gradients asked for and added by hand",
        changed(
            RECOMPUTE,
            (
                "        out.backward(gradient)\n        return None, h.grad",
                """        own = [p for p in ctx.segment.parameters() if p.requires_grad]
        back, *rest = torch.autograd.grad(out, [h, *own], gradient)
        for p, g in zip(own, rest, strict=True):
            p.grad = g if p.grad is None else p.grad + g
        return None, back""",
            ),
        ),
    ),
    Alternative(
        "ex21-8",
        "budgets tried one after the other, paths kept in full",
        """def best_cuts(inside, edge):
    n = len(inside)
    for budget in range(sum(inside) + sum(edge) + 1):
        best = {0: (0, [])}
        for j in range(1, n + 1):
            options = []
            for i in range(j):
                if i in best:
                    kept = best[i][0] + edge[i]
                    if kept + sum(inside[i:j]) <= budget:
                        options.append((kept, [*best[i][1], i]))
            if options:
                best[j] = min(options)
        if n in best:
            return best[n][1]
""",
    ),
    Alternative(
        "ex21-8",
        "all pairs of checkpoint bytes and peak that are not beaten by another",
        """def best_cuts(inside, edge):
    n = len(inside)
    fronts = [[(0, 0, [])]]
    for j in range(1, n + 1):
        options = []
        for i in range(j):
            for kept, peak, way in fronts[i]:
                now = kept + edge[i]
                options.append((now, max(peak, now + sum(inside[i:j])), [*way, i]))
        front, least = [], math.inf
        for option in sorted(options):
            if option[1] < least:
                front.append(option)
                least = option[1]
        fronts.append(front)
    return min(fronts[n], key=lambda option: option[1])[2]
""",
    ),
    Alternative(
        "ex21-1",
        "columns of the table, and fsum",
        """def utilisation(spans, workers):
    _,s,e=zip(*spans)
    return math.fsum(b-a for a,b in zip(s,e))/workers/(max(e)-min(s))""",
    ),
    Alternative(
        "ex21-5",
        "counts the entries",
        """def reaches(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if not (own and loss.requires_grad):
                continue
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
            matrix[j, i] = any(g is not None and bool(g.count_nonzero()) for g in found)
    return matrix""",
    ),
    Alternative(
        "ex21-6",
        "the loss written out",
        """def local_step(modules, heads, x, y):
    h, losses = x, []
    for module, head in zip(modules, heads, strict=True):
        h = module(h.detach())
        loss = -head(h).log_softmax(1)[torch.arange(len(y)), y].mean()
        loss.backward()
        losses.append(loss.item())
    return losses""",
    ),
    Alternative(
        "ex21-8",
        "a tuple of starts",
        """def best_cuts(inside, edge):
    n, total = len(inside), [0, *accumulate(inside)]
    def within(budget):
        kept, origin = [0] + [math.inf] * n, [0] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                held = kept[i] + edge[i]
                if held + total[j] - total[i] <= budget and held < kept[j]:
                    kept[j], origin[j] = held, i
        if kept[n] == math.inf:
            return None
        starts, j = [], n
        while j > 0:
            j = origin[j]
            starts.insert(0, j)
        return tuple(starts)
    low, high = 0, peak_of([0], inside, edge)
    while low < high:
        middle = (low + high) // 2
        if within(middle) is None:
            low = middle + 1
        else:
            high = middle
    return within(low) or [0]""",
    ),
    Alternative(
        "ex21-3",
        "fractions, and a sum of parts",
        """from fractions import Fraction as Q
def locked(K,S,f,b):
    return S*(K*(f+b)-b/2)
def pairwise(K,S,f,b):
    return float(Q(S)*(2*Q(f)+Q(b))+(Q(K)-2)*Q(f))
def local(K,S,f,b):
    return sum([S*f,S*b/2,K*f,-f])""",
    ),
    Alternative(
        "ex21-2",
        "start and end as a list, a default for free workers",
        """from collections import defaultdict
def clock(tasks):
    times, free = {}, defaultdict(float)
    for name, worker, cost, after in tasks:
        start = max([times[n][1] for n in after] + [free[worker]])
        times[name] = [start, start + cost]
        free[worker] += start - free[worker] + cost
    return times""",
    ),
]
