"""Wrong and other right answers to the exercises of chapter 25."""

from tests.course.mutants import Alternative, Mutant, changed, slip, solutions

VIOLATIONS = """
def violations(modules, x, states):
    before, found = x, []
    for k in range(len(states)):
        found.append(states[k] - modules[k](before))
        before = states[k]
    return found
"""

LOSS = """
def lifted_loss(modules, x, y, states, kappas, beta):
    def inner(a, b):
        return (a * b).reshape(len(a), -1).sum(1)

    scores = modules[-1](states[-1])
    total = scores.logsumexp(1) - scores.gather(1, y[:, None])[:, 0]
    for k, before in enumerate([x] + list(states[:-1])):
        r = states[k] - modules[k](before)
        total = total + inner(r, kappas[k] + 0.5 * beta * r)
    return total
"""

GRADIENTS = """
def lifted_gradients(modules, x, y, states, kappas, beta):
    K, n = len(modules), x.shape[0]
    weights, p, q = [], [None] * K, [None] * K
    for k in range(K):
        h = (states[k - 1] if k else x).detach().clone().requires_grad_(True)
        out = modules[k](h)
        if k < K - 1:
            r = states[k].detach() - out
            own = (kappas[k].detach() * r).sum() + 0.5 * beta * (r * r).sum()
        else:
            own = torch.nn.functional.cross_entropy(out, y) * n
        found = torch.autograd.grad(own, [out, h] + list(modules[k].parameters()))
        p[k], q[k] = found[0], found[1]
        weights.append([g / n for g in found[2:]])
    return weights, [(q[k + 1] - p[k]).detach() for k in range(K - 1)]
"""

SETTLE = """
def settle(gradient, residual, start, beta, rate, inner, rounds):
    states, kappas = [s.clone() for s in start[0]], [k.clone() for k in start[1]]
    for t in range(rounds * inner):
        for state, move in zip(states, gradient(states, kappas)):
            state -= rate * move
        if (t + 1) % inner == 0:
            for kappa, r in zip(kappas, residual(states)):
                kappa += beta * r
    return states, kappas
"""

SWEEP = """
def sweep(modules, x, y):
    states, h = [], x
    with torch.no_grad():
        for module in modules[:-1]:
            h = module(h)
            states.append(h)
    kappas, credit = [], None
    for k in range(len(modules) - 1, 0, -1):
        leaf = states[k - 1].clone().requires_grad_(True)
        out = modules[k](leaf)
        if credit is None:
            loss = len(y) * torch.nn.functional.cross_entropy(out, y)
            (credit,) = torch.autograd.grad(loss, leaf)
        else:
            (credit,) = torch.autograd.grad(out, leaf, credit)
        kappas.insert(0, -credit)
    return states, kappas
"""

FIT = """
def fit_auxnets(nets, x, moves, eta, optimiser):
    optimiser.zero_grad()
    targets = []
    for net, move in zip(nets, moves):
        made = net(x)
        # the gradient of the regression at the states is eta times the move, over the rows
        made.backward(eta * move / x.shape[0])
        targets.append((made - eta * move).detach())
    optimiser.step()
    return targets
"""

LAW = """
def speed_up(K, t):
    return (t.data + t.forward + t.backward) / (
        t.data + (t.forward + t.backward) / K + t.penalty + t.auxnet + (K - 1) * t.chain
    )

def best_count(t):
    if not t.chain:
        return float("inf")
    K = 2
    while speed_up(K + 1, t) > speed_up(K, t):
        K += 1
    return K

def break_even(t):
    K, last = 2, 0.0
    if not t.chain and t.penalty + t.auxnet >= t.forward + t.backward:
        return None
    while speed_up(K, t) <= 1:
        if speed_up(K, t) < last:
            return None
        last, K = speed_up(K, t), K + 1
    return K
"""

MUTANTS = [
    slip(
        "ex25-1",
        "feeds every module with the one before it, as a forward pass does",
        (
            "inputs = [x, *states[:-1]]",
            "inputs = [x]\n    for module in modules[:-2]:\n"
            "        inputs.append(module(inputs[-1]))",
        ),
    ),
    slip("ex25-1", "turns the sign round", ("state - module(h)", "module(h) - state")),
    slip(
        "ex25-1",
        "detaches what the module returns",
        ("state - module(h)", "state - torch.as_tensor(module(h)).detach()"),
    ),
    slip(
        "ex25-1",
        "gives every module the data",
        ("[x, *states[:-1]]", "[x] * len(states)"),
    ),
    slip(
        "ex25-1",
        "gives a module its own state as input",
        ("[x, *states[:-1]]", "states"),
    ),
    slip("ex25-2", "forgets the half", ("beta / 2", "beta")),
    slip("ex25-2", "leaves the multipliers out", ("kappa * r + ", "")),
    slip(
        "ex25-2",
        "takes r with the other sign",
        ("state - module(before)", "module(before) - state"),
    ),
    slip("ex25-2", "takes means over a state", (".sum(dim=1)", ".mean(dim=1)")),
    slip(
        "ex25-2",
        "adds up two axes only",
        ("price.flatten(1).sum(dim=1)", "price.sum(dim=1)"),
    ),
    slip(
        "ex25-2",
        "returns the mean loss in every sample",
        ("reduction='none'", "reduction='mean'"),
    ),
    slip(
        "ex25-2",
        "runs the chain forward",
        ("before = state", "before = module(before)"),
    ),
    slip(
        "ex25-2",
        "charges the norm, not its square",
        (
            "price = kappa * r + beta / 2 * r.square()",
            "price = kappa * r + beta / 2 * r.abs()",
        ),
    ),
    slip(
        "ex25-2",
        "holds the state as input of the next module fixed",
        ("before = state", "before = state.detach()"),
    ),
    slip(
        "ex25-3",
        "leaves weights' gradients as sums",
        ("[g / rows for g in own]", "list(own)"),
    ),
    slip(
        "ex25-3",
        "takes the credit with the other sign",
        ("p = -(kappas", "p = (kappas"),
    ),
    slip("ex25-3", "adds what it should subtract", ("[q - p for", "[q + p for")),
    slip(
        "ex25-3",
        "means over the batch in the last module",
        ("reduction='sum'", "reduction='mean'"),
    ),
    slip(
        "ex25-3",
        "divides gradients of states by the batch",
        ("[q - p for", "[(q - p) / rows for"),
    ),
    slip("ex25-3", "leaves out the multiplier", ("kappas[k] + beta", "beta")),
    slip(
        "ex25-3",
        "takes the credit of the module after the cut",
        ("zip(qs[1:], ps[:-1], strict=True)", "zip(qs[1:], ps[1:], strict=True)"),
    ),
    slip(
        "ex25-3",
        "keeps the history of the states",
        (".detach().clone().requires_grad_()", ""),
        (
            "    for k, module",
            "    states = [s + 0 * s.clone().requires_grad_() for s in states]\n"
            "    x = x.clone().requires_grad_()\n    for k, module",
        ),
    ),
    slip(
        "ex25-3",
        "runs each module twice",
        ("        out = module(h)", "        module(h)\n        out = module(h)"),
    ),
    Mutant(
        "ex25-3",
        "calls backward, and leaves gradients in the weights",
        changed(
            solutions()["ex25-3"],
            (
                "q, *own = torch.autograd.grad(out, [h, *module.parameters()], p)",
                "for w in module.parameters():\n            w.grad = None\n"
                "        out.backward(p)\n"
                "        q, own = h.grad, [w.grad.clone() for w in module.parameters()]",
            ),
        ),
    ),
    slip(
        "ex25-4",
        "moves multipliers in every inner step",
        ("        left = residual(states)", "            left = residual(states)"),
        ("        kappas = [", "            kappas = ["),
    ),
    slip(
        "ex25-4", "lets multipliers descend", ("kappa + beta * r", "kappa - beta * r")
    ),
    slip(
        "ex25-4",
        "moves multipliers by the states' rate",
        ("kappa + beta * r", "kappa + rate * r"),
    ),
    slip("ex25-4", "lets states climb", ("s - rate * m", "s + rate * m")),
    slip(
        "ex25-4",
        "moves one state after another, each seeing the last",
        (
            "            moves = gradient(states, kappas)\n"
            "            states = [s - rate * m for s, m in zip(states, moves, strict=True)]",
            "            for k in range(len(states)):\n"
            "                moves = gradient(states, kappas)\n"
            "                states = [s - rate * m * (j == k) for j, (s, m) in "
            "enumerate(zip(states, moves))]",
        ),
    ),
    slip(
        "ex25-4",
        "moves multipliers before the states",
        (
            "    for _ in range(rounds):\n",
            "    for _ in range(rounds):\n        left = residual(states)\n",
        ),
        ("        left = residual(states)\n        kappas", "        kappas"),
    ),
    slip(
        "ex25-4",
        "writes into the given states",
        (
            "states = [s - rate * m for s, m in zip(states, moves, strict=True)]",
            "states = [s.sub_(rate * m) for s, m in zip(states, moves, strict=True)]",
        ),
    ),
    slip("ex25-5", "gives the adjoints their own sign", ("[-a for a", "[a for a")),
    slip(
        "ex25-5",
        "divides by the size of the batch",
        ("reduction='sum'", "reduction='mean'"),
    ),
    slip("ex25-5", "keeps the history", ("[s.detach() for s in states]", "states")),
    slip(
        "ex25-5",
        "lists the multipliers from the last cut to the first",
        ("[-a for a in adjoints]", "[-a for a in adjoints[::-1]]"),
    ),
    slip(
        "ex25-5",
        "leaves gradients in the weights",
        (
            "adjoints = torch.autograd.grad(loss, states)",
            "[s.retain_grad() for s in states]\n    loss.backward()\n"
            "    adjoints = [s.grad for s in states]",
        ),
    ),
    slip(
        "ex25-6",
        "moves targets along the gradient",
        ("s.detach() - eta", "s.detach() + eta"),
    ),
    slip(
        "ex25-6", "lets the target depend on the net", ("s.detach() - eta", "s - eta")
    ),
    slip("ex25-6", "forgets the half", ("(2 * len(x))", "len(x)")),
    slip("ex25-6", "adds up over the batch", ("(2 * len(x))", "2")),
    slip(
        "ex25-6",
        "takes means over entries, as mse_loss does",
        ("(s - t).square().sum()", "(s - t).square().mean() * len(x)"),
    ),
    slip("ex25-6", "keeps old gradients", ("    optimiser.zero_grad()\n", "")),
    slip("ex25-6", "fits the first net only", ("sum(squares)", "squares[0]")),
    slip("ex25-6", "makes no step", ("    optimiser.step()\n", "")),
    slip(
        "ex25-6",
        "makes the step twice",
        ("    optimiser.step()\n", "    optimiser.step()\n    optimiser.step()\n"),
    ),
    slip("ex25-6", "takes gradients for targets", ("return targets", "return moves")),
    slip(
        "ex25-7",
        "divides the loading, too",
        ("t.data + work / K", "(t.data + work) / K"),
    ),
    slip(
        "ex25-7",
        "forgets the penalty",
        ("+ t.penalty + t.auxnet + t.chain", "+ t.auxnet + t.chain"),
    ),
    slip("ex25-7", "counts an AuxNet for each module", ("(K - 1)", "K")),
    slip(
        "ex25-7",
        "forgets the loading in the time of one machine",
        ("(t.data + work) / spent", "work / spent"),
    ),
    slip(
        "ex25-7",
        "rounds the root to the nearest number",
        (
            "return max((low, low + 1), key=lambda K: speed_up(K, t))",
            "return max(2, round(math.sqrt((t.forward + t.backward) / t.chain)))",
        ),
    ),
    slip(
        "ex25-7",
        "rounds the root down",
        ("return max((low, low + 1), key=lambda K: speed_up(K, t))", "return low"),
    ),
    slip("ex25-7", "calls even a gain", ("speed_up(K, t) > 1", "speed_up(K, t) >= 1")),
    slip("ex25-7", "takes the larger of equals", ("(low, low + 1)", "(low + 1, low)")),
    slip(
        "ex25-7",
        "takes the real number of the formula for break-even",
        (
            "last = math.floor(work / (work - fixed)) + 2",
            "return max(2, math.ceil(work / (work - fixed)))",
        ),
    ),
    slip(
        "ex25-7",
        "looks for break-even without an end",
        ("        if fixed >= work:\n            return None\n", ""),
        ("last = math.floor(work / (work - fixed)) + 2", "last = 10 ** 12"),
    ),
    slip(
        "ex25-7",
        "gives up after a hundred modules",
        ("last = math.floor(work / (work - fixed)) + 2", "last = 100"),
    ),
]

ALTERNATIVES = [
    Alternative("ex25-1", "goes along the chain of states", VIOLATIONS),
    Alternative(
        "ex25-1",
        "indexes",
        "def violations(modules, x, states):\n"
        "    return [states[k] - modules[k](x if k == 0 else states[k - 1])\n"
        "            for k in range(len(modules) - 1)]\n",
    ),
    Alternative("ex25-2", "writes cross-entropy and inner products out", LOSS),
    Alternative(
        "ex25-2",
        "adds up with einsum-like sums over all axes",
        changed(
            solutions()["ex25-2"],
            (
                "price.flatten(1).sum(dim=1)",
                "price.sum(dim=tuple(range(1, price.dim())))",
            ),
        ),
    ),
    Alternative("ex25-3", "lets autograd find the credit of each term", GRADIENTS),
    Alternative(
        "ex25-3",
        "keeps credits by index",
        changed(
            solutions()["ex25-3"],
            (
                "[q - p for q, p in zip(qs[1:], ps[:-1], strict=True)]",
                "[qs[k + 1] - ps[k] for k in range(len(states))]",
            ),
            ("(x if k == 0 else states[k - 1])", "[x, *states][k]"),
        ),
    ),
    Alternative("ex25-4", "moves copies in place, one loop", SETTLE),
    Alternative(
        "ex25-4",
        "indexes states and multipliers",
        changed(
            solutions()["ex25-4"],
            (
                "[s - rate * m for s, m in zip(states, moves, strict=True)]",
                "[states[k] - rate * moves[k] for k in range(len(states))]",
            ),
            (
                "[kappa + beta * r for kappa, r in zip(kappas, left, strict=True)]",
                "[kappas[k] + beta * left[k] for k in range(len(left))]",
            ),
        ),
    ),
    Alternative("ex25-5", "goes backwards module by module", SWEEP),
    Alternative(
        "ex25-5",
        "multiplies the mean by the size of the batch",
        changed(
            solutions()["ex25-5"],
            ("reduction='sum')", "reduction='mean')"),
            ("[-a for a in adjoints]", "[-len(x) * a for a in adjoints]"),
        ),
    ),
    Alternative("ex25-6", "starts the backward pass at the states", FIT),
    Alternative(
        "ex25-6",
        "uses mse_loss with a sum",
        changed(
            solutions()["ex25-6"],
            (
                "(s - t).square().sum()",
                "torch.nn.functional.mse_loss(s, t, reduction='sum')",
            ),
        ),
    ),
    Alternative("ex25-7", "walks up until it gets worse", LAW),
    Alternative(
        "ex25-7",
        "compares three neighbours",
        changed(
            solutions()["ex25-7"],
            (
                "return max((low, low + 1), key=lambda K: speed_up(K, t))",
                "return max(range(max(2, low - 2), low + 3), "
                "key=lambda K: (speed_up(K, t), -K))",
            ),
        ),
    ),
]
