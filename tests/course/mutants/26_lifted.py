"""Wrong and other right answers to the exercises of chapter 26."""

from tests.course.mutants import Alternative, Mutant, slip

MUTANTS = [
    Mutant(
        "ex26-1",
        "takes half the square",
        """
def distance(state, z, s, potential):
    return (state - s(z)).square().sum(dim=-1) / 2
""",
    ),
    Mutant(
        "ex26-1",
        "lets autograd enter the activation",
        """
def distance(state, z, s, potential):
    u = s(z)
    phi = lambda t: t.square().sum(dim=-1) / 2 + potential(t)
    return phi(state) + (u * z).sum(dim=-1) - phi(u) - (state * z).sum(dim=-1)
""",
    ),
    slip(
        "ex26-1",
        "forgets the potential in the conjugate",
        (
            "highest = u.square().sum(dim=-1) / 2 + potential(u)",
            "highest = u.square().sum(dim=-1) / 2",
        ),
    ),
    slip(
        "ex26-1",
        "forgets the potential of the state",
        ("/ 2 + potential(state)", "/ 2"),
    ),
    slip("ex26-1", "adds the inner product", ("- (state * z)", "+ (state * z)")),
    slip(
        "ex26-1",
        "takes the conjugate at the state",
        ("(u * z).sum(dim=-1) - highest", "(u * z).sum(dim=-1) - own"),
    ),
    slip(
        "ex26-1",
        "computes all of it without history",
        (
            "return own + (u * z).sum(dim=-1) - highest - (state * z).sum(dim=-1)",
            "return (own + (u * z).sum(dim=-1) - highest - (state * z).sum(dim=-1)).detach()",
        ),
    ),
    Mutant(
        "ex26-1",
        "holds the state fixed as well",
        """
def distance(state, z, s, potential):
    with torch.no_grad():
        u, y = s(z), state.clone()
        phi = lambda t: t.square().sum(dim=-1) / 2 + potential(t)
        fixed = phi(y) - phi(u)
    return fixed + ((u - y) * z).sum(dim=-1)
""",
    ),
    slip(
        "ex26-1",
        "adds up the batch, too",
        ("(state * z).sum(dim=-1)", "(state * z).sum()"),
    ),
    slip(
        "ex26-2",
        "puts beta in front of the loss, too",
        ("total + s.distance(y, z)", "total + beta * s.distance(y, z)"),
    ),
    slip(
        "ex26-2",
        "forgets beta",
        ("total + beta * s.distance(states[k], z)", "total + s.distance(states[k], z)"),
    ),
    Mutant(
        "ex26-2",
        "goes on with what the layer returns",
        """
def lifted_loss(layers, x, y, states, beta):
    total, h = 0.0, x
    for (W, b, s), state in zip(layers[:-1], states):
        z = h @ W.T + b
        total, h = total + beta * s.distance(state, z), s(z)
    W, b, s = layers[-1]
    return total + s.distance(y, h @ W.T + b)
""",
    ),
    slip("ex26-2", "forgets the bias", ("before @ W.T + b", "before @ W.T")),
    Mutant(
        "ex26-2",
        "takes half the squares of chapter 25",
        """
def lifted_loss(layers, x, y, states, beta):
    total, before = 0.0, x
    for k, (W, b, s) in enumerate(layers[:-1]):
        r = states[k] - s(before @ W.T + b)
        total, before = total + beta / 2 * r.square().sum(dim=1), states[k]
    W, b, s = layers[-1]
    return total + s.distance(y, before @ W.T + b)
""",
    ),
    Mutant(
        "ex26-2",
        "returns the mean",
        """
def lifted_loss(layers, x, y, states, beta):
    inputs, goals, total = [x, *states], [*states, y], 0.0
    for k, (W, b, s) in enumerate(layers):
        weight = 1 if k == len(layers) - 1 else beta
        total = total + weight * s.distance(goals[k], inputs[k] @ W.T + b).mean()
    return total
""",
    ),
    slip(
        "ex26-2",
        "cuts the history of the weights",
        ("z = before @ W.T + b", "z = (before @ W.T + b).detach()"),
    ),
    slip("ex26-3", "takes the sum of the batch", (" / len(x)", "")),
    slip("ex26-3", "has the wrong sign", ("- goals[k])", "- goals[k]) * -1")),
    slip(
        "ex26-3",
        "gives beta to the last layer, too",
        ("if k < len(layers) - 1:", "if k < len(layers):"),
    ),
    slip("ex26-3", "forgets beta", ("d = beta * d", "d = d")),
    slip("ex26-3", "takes the mean of the bias", ("d.sum(dim=0)", "d.mean(dim=0)")),
    Mutant(
        "ex26-3",
        "runs the chain in place of the states",
        """
def weight_gradients(layers, x, y, states, beta):
    pairs, h, goals = [], x, [*states, y]
    with torch.no_grad():
        for k, (W, b, s) in enumerate(layers):
            out = s(h @ W.T + b)
            d = (1 if k == len(layers) - 1 else beta) * (out - goals[k]) / len(x)
            pairs.append((d.T @ h, d.sum(dim=0)))
            h = out
    return pairs
""",
    ),
    Mutant(
        "ex26-3",
        "asks autograd for the gradients of half the square",
        """
def weight_gradients(layers, x, y, states, beta):
    pairs, inputs, goals = [], [x, *states], [*states, y]
    for k, (W, b, s) in enumerate(layers):
        W, b = W.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
        r = s(inputs[k] @ W.T + b) - goals[k]
        price = (1 if k == len(layers) - 1 else beta) / 2 * r.square().sum() / len(x)
        pairs.append(torch.autograd.grad(price, [W, b]))
    return pairs
""",
    ),
    Mutant(
        "ex26-3",
        "keeps a history",
        """
def weight_gradients(layers, x, y, states, beta):
    pairs, inputs, goals = [], [x, *states], [*states, y]
    for k, (W, b, s) in enumerate(layers):
        d = (s(inputs[k] @ W.T + b) - goals[k]) / len(x)
        d = d if k == len(layers) - 1 else beta * d
        pairs.append((d.T @ inputs[k], d.sum(dim=0)))
    return pairs
""",
    ),
    Mutant(
        "ex26-3",
        "evaluates each activation twice",
        """
def weight_gradients(layers, x, y, states, beta):
    pairs, inputs, goals = [], [x, *states], [*states, y]
    with torch.no_grad():
        for k, (W, b, s) in enumerate(layers):
            c = (1 if k == len(layers) - 1 else beta) / len(x)
            dW = c * (s(inputs[k] @ W.T + b) - goals[k]).T @ inputs[k]
            db = c * (s(inputs[k] @ W.T + b) - goals[k]).sum(dim=0)
            pairs.append((dW, db))
    return pairs
""",
    ),
    slip(
        "ex26-4",
        "forgets to divide for the ReLU",
        ("v.clamp(min=0) / (1 + m)", "v.clamp(min=0)"),
    ),
    slip(
        "ex26-4",
        "cuts off before it divides",
        ("(v / (1 + m)).clamp(-1, 1)", "v.clamp(-1, 1) / (1 + m)"),
    ),
    slip("ex26-4", "shrinks by theta alone", ("m * theta", "theta")),
    slip(
        "ex26-4",
        "forgets to divide for the soft threshold",
        (
            "(v.abs() - m * theta).clamp(min=0) / (1 + m)",
            "(v.abs() - m * theta).clamp(min=0)",
        ),
    ),
    slip("ex26-4", "divides by m", ("v.clamp(min=0) / (1 + m)", "v.clamp(min=0) / m")),
    slip(
        "ex26-4",
        "divides first, then shrinks",
        ("(v.abs() - m * theta)", "(v.abs() / (1 + m) - m * theta) * (1 + m)"),
    ),
    slip(
        "ex26-4",
        "changes v",
        ("v.clamp(min=0) / (1 + m)", "v.detach().clamp_(min=0) / (1 + m)"),
    ),
    slip(
        "ex26-4",
        "loses the sign",
        ("v.sign() * (v.abs() - m * theta)", "(v.abs() - m * theta)"),
    ),
    slip(
        "ex26-5",
        "takes beta for all",
        ("c = 1 if k == len(states) - 1 else beta", "c = beta"),
    ),
    slip(
        "ex26-5",
        "takes beta for none",
        ("c = 1 if k == len(states) - 1 else beta", "c = 1"),
    ),
    slip("ex26-5", "forgets to square the norm", (".item() ** 2", ".item()")),
    slip(
        "ex26-5",
        "takes the own layer's norm",
        ("matrix_norm(after, 2)", "matrix_norm(W, 2)"),
    ),
    slip(
        "ex26-5",
        "adds what the next layer asks for",
        ("(d @ after - beta * z)", "(-d @ after - beta * z)"),
    ),
    slip("ex26-5", "forgets its own layer", ("(d @ after - beta * z)", "d @ after")),
    slip("ex26-5", "forgets beta in front of z", ("- beta * z)", "- z)")),
    slip(
        "ex26-5",
        "forgets beta in the proximal step",
        ("s.step(v, eta * beta)", "s.step(v, eta)"),
    ),
    slip(
        "ex26-5",
        "moves the first state first",
        ("range(len(states) - 1, -1, -1)", "range(len(states))"),
    ),
    slip("ex26-5", "applies the activation", ("s.step(v, eta * beta)", "s(v)")),
    slip(
        "ex26-5",
        "takes the Frobenius norm",
        ("matrix_norm(after, 2)", "matrix_norm(after)"),
    ),
    Mutant(
        "ex26-5",
        "moves all states at the same time",
        """
def move(layers, x, y, states, beta):
    now, new = [*states, y], []
    with torch.no_grad():
        for k in range(len(states)):
            (W, b, s), (V, a, t) = layers[k], layers[k + 1]
            c = 1 if k == len(states) - 1 else beta
            z = (x if k == 0 else now[k - 1]) @ W.T + b
            d = c * (t(now[k] @ V.T + a) - now[k + 1])
            eta = 1 / (c * torch.linalg.matrix_norm(V, 2) ** 2)
            new.append(s.step(now[k] - eta * (d @ V - beta * z), float(eta) * beta))
    return new
""",
    ),
    Mutant(
        "ex26-5",
        "moves in the caller's list",
        """
def move(layers, x, y, states, beta):
    with torch.no_grad():
        for k in range(len(states) - 1, -1, -1):
            (W, b, s), (V, a, t) = layers[k], layers[k + 1]
            last = k == len(states) - 1
            c, goal = (1, y) if last else (beta, states[k + 1])
            z = (x if k == 0 else states[k - 1]) @ W.T + b
            d = c * (t(states[k] @ V.T + a) - goal)
            eta = 1 / (c * torch.linalg.matrix_norm(V, 2).item() ** 2)
            states[k] = s.step(states[k] - eta * (d @ V - beta * z), eta * beta)
    return list(states)
""",
    ),
    slip("ex26-6", "multiplies by beta inside", ("q / beta", "q * beta")),
    slip("ex26-6", "forgets beta in front", ("beta * (s(z)", "(s(z)")),
    slip("ex26-6", "steps up", ("s(z - q / beta)", "s(z + q / beta)")),
    slip("ex26-6", "takes the difference the other way", ("beta * (", "-beta * (")),
    Mutant(
        "ex26-6",
        "takes backpropagation's tangent",
        """
def credit(s, z, q, beta):
    leaf = z.detach().clone().requires_grad_()
    return torch.autograd.grad(s(leaf), leaf, q)[0]
""",
    ),
    Mutant(
        "ex26-6",
        "takes the secant to both sides",
        """
def credit(s, z, q, beta):
    return beta / 2 * (s(z + q / beta) - s(z - q / beta))
""",
    ),
    slip("ex26-7", "forgets the spring", (" + (W - anchor[0]) / tau)", ")")),
    slip(
        "ex26-7", "forgets the spring of the bias", (" + (b - anchor[1]) / tau)", ")")
    ),
    slip(
        "ex26-7",
        "multiplies by tau",
        ("(W - anchor[0]) / tau", "(W - anchor[0]) * tau"),
    ),
    slip(
        "ex26-7", "pushes away from the anchor", ("(W - anchor[0])", "(anchor[0] - W)")
    ),
    slip(
        "ex26-7",
        "forgets the spring in the step",
        ("step = 1 / (L + 1 / tau)", "step = 1 / L"),
    ),
    slip("ex26-7", "forgets the bias in the curvature", ("/ len(h) + 1", "/ len(h)")),
    slip("ex26-7", "takes the sum of the batch", ("- goal) / len(h)", "- goal)")),
    slip("ex26-7", "forgets to square the norm", (".item() ** 2", ".item()")),
    slip(
        "ex26-7", "takes tau for the step", ("step = 1 / (L + 1 / tau)", "step = tau")
    ),
    slip("ex26-7", "starts at the anchor", ("W - step", "anchor[0] - step")),
    Mutant(
        "ex26-7",
        "moves W in place",
        """
def weight_step(W, b, h, goal, s, anchor, tau):
    with torch.no_grad():
        d = (s(h @ W.T + b) - goal) / len(h)
        L = torch.linalg.matrix_norm(h, 2).item() ** 2 / len(h) + 1
        step = 1 / (L + 1 / tau)
        b = b - step * (d.sum(dim=0) + (b - anchor[1]) / tau)
        W -= step * (d.T @ h + (W - anchor[0]) / tau)
        return W.detach(), b
""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex26-1",
        "detaches the activation",
        """
def distance(state, z, s, potential):
    u = s(z).detach()
    phi = lambda t: torch.sum(t * t, -1) * 0.5 + potential(t)
    return phi(state) - phi(u) + ((u - state) * z).sum(-1)
""",
    ),
    Alternative(
        "ex26-1",
        "evaluates at a detached input, with einsum",
        """
def distance(state, z, s, potential):
    u = s(z.detach())
    inner = torch.einsum("...i,...i->...", u - state, z)
    return inner + potential(state) + state.pow(2).sum(-1) / 2 - potential(u) - u.pow(2).sum(-1) / 2
""",
    ),
    Alternative(
        "ex26-2",
        "with two lists",
        """
def lifted_loss(layers, x, y, states, beta):
    weights = [beta] * len(states) + [1]
    return sum(
        c * s.distance(goal, torch.nn.functional.linear(h, W, b))
        for c, (W, b, s), h, goal in zip(weights, layers, [x, *states], [*states, y])
    )
""",
    ),
    Alternative(
        "ex26-2",
        "from the last layer to the first",
        """
def lifted_loss(layers, x, y, states, beta):
    *hidden, (W, b, s) = layers
    inputs = [x] + list(states)
    total = s.distance(y, inputs[-1].matmul(W.t()) + b)
    for (W, b, s), h, goal in reversed(list(zip(hidden, inputs, states))):
        total = total + s.distance(goal, h.matmul(W.t()) + b) * beta
    return total
""",
    ),
    Alternative(
        "ex26-3",
        "with einsum and detached results",
        """
def weight_gradients(layers, x, y, states, beta):
    found = []
    for k, (W, b, s) in enumerate(layers):
        h = x if k == 0 else states[k - 1]
        goal = states[k] if k < len(states) else y
        d = (s(h @ W.detach().T + b.detach()) - goal).detach()
        d = d * (beta if k < len(states) else 1.0)
        found.append([torch.einsum("ni,nj->ij", d, h) / h.shape[0], d.mean(0)])
    return found
""",
    ),
    Alternative(
        "ex26-3",
        "sample by sample",
        """
def weight_gradients(layers, x, y, states, beta):
    inputs, goals, pairs = [x, *states], [*states, y], []
    for k, (W, b, s) in enumerate(layers):
        with torch.no_grad():
            d = s(inputs[k] @ W.T + b) - goals[k]
            if k != len(layers) - 1:
                d = d * beta
            outer = [torch.outer(one, h) for one, h in zip(d, inputs[k])]
            pairs.append((torch.stack(outer).mean(0), d.mean(0)))
    return pairs
""",
    ),
    Alternative(
        "ex26-4",
        "with relu and where",
        """
def step_relu(v, m):
    return torch.relu(v / (1 + m))


def step_hard_tanh(v, m):
    return torch.nn.functional.hardtanh(v / (m + 1))


def step_soft(v, m, theta):
    return (torch.relu(v - m * theta) - torch.relu(-v - m * theta)) / (1 + m)
""",
    ),
    Alternative(
        "ex26-4",
        "by the activations at other places",
        """
def step_relu(v, m):
    return torch.maximum(v, torch.zeros_like(v)) * (1 / (1 + m))


def step_hard_tanh(v, m):
    return v.div(1 + m).clip(-1.0, 1.0)


def step_soft(v, m, theta):
    w, t = v / (1 + m), m * theta / (1 + m)
    return w - w.clamp(-t, t)
""",
    ),
    Alternative(
        "ex26-5",
        "with a dictionary of states and svdvals",
        """
def move(layers, x, y, states, beta):
    now = {-1: x, len(states): y} | {k: t for k, t in enumerate(states)}
    for k in reversed(range(len(states))):
        W, b, s = (t.detach() if torch.is_tensor(t) else t for t in layers[k])
        V, a, t = (u.detach() if torch.is_tensor(u) else u for u in layers[k + 1])
        c = beta if k + 1 < len(states) else 1
        eta = 1 / (c * torch.linalg.svdvals(V)[0] ** 2)
        q = c * (t(now[k] @ V.T + a) - now[k + 1]) @ V
        v = now[k] - eta * (q - beta * (now[k - 1] @ W.T + b))
        now[k] = s.step(v, float(eta) * beta)
    return [now[k] for k in range(len(states))]
""",
    ),
    Alternative(
        "ex26-5",
        "all inside no_grad, a list from the end",
        """
@torch.no_grad()
def move(layers, x, y, states, beta):
    goal, moved = y, []
    for k in range(len(states))[::-1]:
        W, b, s = layers[k]
        V, a, t = layers[k + 1]
        scale = 1.0 if k == len(states) - 1 else float(beta)
        eta = 1 / (scale * float(torch.linalg.norm(V, 2)) ** 2)
        before = states[k - 1] if k else x
        gradient = scale * (t(states[k] @ V.T + a) - goal) @ V - beta * (before @ W.T + b)
        goal = s.step(states[k] - eta * gradient, eta * beta)
        moved.insert(0, goal)
    return moved
""",
    ),
    Alternative(
        "ex26-6",
        "as a quotient of a small step",
        """
def credit(s, z, q, beta):
    state = s(z - q / beta)
    return (s(z) - state) / (1 / beta)
""",
    ),
    Alternative(
        "ex26-6",
        "under no_grad",
        """
def credit(s, z, q, beta):
    with torch.no_grad():
        return s(z).sub(s(z - q.div(beta))).mul(beta)
""",
    ),
    Alternative(
        "ex26-7",
        "with svdvals, spring first",
        """
def weight_step(W, b, h, goal, s, anchor, tau):
    W, b, n = W.detach(), b.detach(), h.shape[0]
    W0, b0 = anchor
    length = 1 / (torch.linalg.svdvals(h)[0] ** 2 / n + 1 + 1 / tau)
    off = s(h @ W.T + b) - goal
    return (
        W - length * ((W - W0) / tau + off.T @ h / n),
        b - length * ((b - b0) / tau + off.mean(dim=0)),
    )
""",
    ),
    Alternative(
        "ex26-7",
        "with the Gram matrix",
        """
@torch.no_grad()
def weight_step(W, b, h, goal, s, anchor, tau):
    top = torch.linalg.eigvalsh(h.T @ h)[-1] / len(h)
    off = (s(torch.nn.functional.linear(h, W, b)) - goal) / len(h)
    new = []
    for p, g, a in zip((W, b), (off.T @ h, off.sum(0)), anchor):
        new.append(p - (g + (p - a) / tau) / (top + 1 + 1 / tau))
    return tuple(new)
""",
    ),
]
