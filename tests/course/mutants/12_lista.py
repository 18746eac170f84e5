"""Chapter 12: what students get wrong in LISTA, and other right answers."""

from tests.course.mutants import Alternative, Mutant, slip

WEIGHTS = """def ista_weights(A, lam):
    L = torch.linalg.matrix_norm(A, 2) ** 2
    """

UNROLLED = """def unrolled(b, W1, W2, theta):
    x = torch.zeros(b.shape[0], W1.shape[1])
    iterates = [x]
    for k in range(len(theta)):
        """

NMSE = "def nmse_db(x_hat, x):\n    "

CLASS = """class LISTA(nn.Module):
    def __init__(self, A, depth, lam, tied=False):
        super().__init__()
        self.depth, copies = depth, 1 if tied else depth
        W1, W2, theta = ista_weights(A, lam)
{init}

    def layers(self):
{layers}

    def iterates(self, b):
        return unrolled(b, *self.layers())

    def forward(self, b):
        return self.iterates(b)[-1]
"""

INIT = """self.W1 = nn.Parameter(W1.repeat(copies, 1, 1))
self.W2 = nn.Parameter(W2.repeat(copies, 1, 1))
self.t = nn.Parameter(theta.repeat(copies))"""

LAYERS = """W1 = self.W1.expand(self.depth, -1, -1)
W2 = self.W2.expand(self.depth, -1, -1)
return W1, W2, self.t.abs().expand(self.depth)"""


def lista(init: str = INIT, layers: str = LAYERS) -> str:
    """The class of exercise 12.4 with other bodies."""
    bodies = {"init": init, "layers": layers}
    indented = {
        name: "\n".join(" " * 8 + line for line in body.splitlines())
        for name, body in bodies.items()
    }
    return CLASS.format(**indented)


LOSS = "def deep_loss(iterates, x):\n    {}\n\n\ndef silent_share(iterates):\n    {}\n"
GOOD_LOSS = "return nmse_db(iterates[1:], x).mean()"
GOOD_SHARE = "return (iterates == 0).all(dim=2).double().mean(dim=1)"


def losses(loss: str = GOOD_LOSS, share: str = GOOD_SHARE) -> str:
    """Both functions of exercise 12.5, one of them with another body."""
    return LOSS.format(loss, share)


TRAIN = """def train(net, draw, loss, measure, steps, lr, every=20):
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history, best = [], None
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                history.append(float(measure(net)))
            if history[-1] == min(history):
                best = {name: w.clone() for name, w in net.state_dict().items()}
        if step < steps:
            b, x = draw()
            optimiser.zero_grad()
            loss(net.iterates(b), x).backward()
            optimiser.step()
            schedule.step()
    net.load_state_dict(best)
    return history
"""


def training(*changes: tuple[str, str]) -> str:
    """The loop of exercise 12.6 with some of its lines changed."""
    code = TRAIN
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return code


COUPLED = """def coupling_defect(W1, W2, A):
{defect}


class LISTACP(LISTA):
    def __init__(self, A, depth, lam):
        nn.Module.__init__(self)
        W1, W2, theta = ista_weights(A, lam)
{init}

    def layers(self):
{layers}
"""

DEFECT = """identity = torch.eye(A.shape[1])
difference = W2 - (identity - W1 @ A)
return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(identity)"""

CP_INIT = """self.register_buffer("A", A.clone())
self.W = nn.Parameter(W1.repeat(depth, 1, 1))
self.t = nn.Parameter(theta.repeat(depth))"""

CP_LAYERS = "return self.W, torch.eye(self.A.shape[1]) - self.W @ self.A, self.t.abs()"


def coupled(defect: str = DEFECT, init: str = CP_INIT, layers: str = CP_LAYERS) -> str:
    """The answer to exercise 12.7 with other bodies."""

    def indent(body: str, by: int) -> str:
        return "\n".join(" " * by + line for line in body.splitlines())

    return COUPLED.format(
        defect=indent(defect, 4), init=indent(init, 8), layers=indent(layers, 8)
    )


MUTANTS = [
    # 12.1 the step in two matrices
    Mutant(
        "ex12-1",
        "threshold λ instead of λ / L: the price does not scale with the step",
        WEIGHTS + "return A.T / L, torch.eye(A.shape[1]) - A.T @ A / L, lam",
    ),
    Mutant(
        "ex12-1",
        "the iterate itself is forgotten: W2 without the identity",
        WEIGHTS + "return A.T / L, -A.T @ A / L, lam / L",
    ),
    Mutant(
        "ex12-1",
        "uphill: W2 = I + A^T A / L",
        WEIGHTS + "return A.T / L, torch.eye(A.shape[1]) + A.T @ A / L, lam / L",
    ),
    Mutant(
        "ex12-1",
        "step 1: L stands in the threshold only",
        WEIGHTS + "return A.T, torch.eye(A.shape[1]) - A.T @ A, lam / L",
    ),
    Mutant(
        "ex12-1",
        "W1 is A / L: maps the wrong way",
        WEIGHTS + "return A / L, torch.eye(A.shape[1]) - A.T @ A / L, lam / L",
    ),
    Mutant(
        "ex12-1",
        "L is the norm, not its square",
        """def ista_weights(A, lam):
    L = torch.linalg.matrix_norm(A, 2)
    return A.T / L, torch.eye(A.shape[1]) - A.T @ A / L, lam / L""",
    ),
    Mutant(
        "ex12-1",
        "L from the Frobenius norm",
        """def ista_weights(A, lam):
    L = torch.linalg.matrix_norm(A) ** 2
    return A.T / L, torch.eye(A.shape[1]) - A.T @ A / L, lam / L""",
    ),
    # 12.2 the loop, unrolled
    Mutant(
        "ex12-2",
        "one layer's constants for all layers",
        UNROLLED
        + """x = unroll.soft_threshold(b @ W1[0].T + x @ W2[0].T, theta[0])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "no threshold after the last layer, as in a regression network",
        UNROLLED
        + """v = b @ W1[k].T + x @ W2[k].T
        x = v if k == len(theta) - 1 else unroll.soft_threshold(v, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "b enters the first layer only, as in a feed-forward network",
        UNROLLED
        + """v = x @ W2[k].T + (b @ W1[k].T if k == 0 else 0)
        x = unroll.soft_threshold(v, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "detaches the iterate: each layer is trained alone",
        UNROLLED
        + """v = b @ W1[k].T + x.detach() @ W2[k].T
        x = unroll.soft_threshold(v, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "runs without gradients, as a solver does",
        """@torch.no_grad()
"""
        + UNROLLED
        + """x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "the start is left out of the iterates",
        UNROLLED
        + """x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])
        iterates.append(x)
    return torch.stack(iterates[1:])""",
    ),
    slip(
        "ex12-2",
        "starts at W1 b instead of zero",
        ("x = torch.zeros(b.shape[0], W1.shape[1])", "x = b @ W1[0].T"),
    ),
    slip(
        "ex12-2",
        "writes every iterate into the same tensor",
        (
            "        x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])",
            "        new = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])\n"
            "        x = x.copy_(new.detach())",
        ),
    ),
    Mutant(
        "ex12-2",
        "a skip connection: adds the layer to x, which W2 already holds",
        UNROLLED
        + """x = x + unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    # 12.3 NMSE
    Mutant(
        "ex12-3",
        "20 times the logarithm of a ratio of energies",
        NMSE
        + "return 20 * torch.log10((x_hat - x).square().sum(dim=(-2, -1)) / x.square().sum())",
    ),
    Mutant(
        "ex12-3",
        "natural logarithm",
        NMSE
        + "return 10 * torch.log((x_hat - x).square().sum(dim=(-2, -1)) / x.square().sum())",
    ),
    Mutant(
        "ex12-3",
        "mean of the dB per sample",
        NMSE
        + """error = (x_hat - x).square().sum(dim=-1)
    return (10 * torch.log10(error / x.square().sum(dim=-1))).mean(dim=-1)""",
    ),
    Mutant(
        "ex12-3",
        "mean of the ratios per sample: small codes rule",
        NMSE
        + """error = (x_hat - x).square().sum(dim=-1)
    return 10 * torch.log10((error / x.square().sum(dim=-1)).mean(dim=-1))""",
    ),
    Mutant(
        "ex12-3",
        "one number for all layers together",
        NMSE + "return 10 * torch.log10((x_hat - x).square().sum() / x.square().sum())",
    ),
    Mutant(
        "ex12-3",
        "mean squared error in dB, not relative to the signal",
        NMSE + "return 10 * torch.log10((x_hat - x).square().mean(dim=(-2, -1)))",
    ),
    Mutant(
        "ex12-3",
        "relative to the energy of the estimate",
        NMSE
        + """error = (x_hat - x).square().sum(dim=(-2, -1))
    return 10 * torch.log10(error / x_hat.square().sum(dim=(-2, -1)))""",
    ),
    Mutant(
        "ex12-3",
        "absolute instead of squared errors",
        NMSE
        + "return 10 * torch.log10((x_hat - x).abs().sum(dim=(-2, -1)) / x.abs().sum())",
    ),
    Mutant(
        "ex12-3",
        "leaves PyTorch's graph: no gradient comes back",
        NMSE
        + """error = (x_hat - x).detach().square().sum(dim=(-2, -1))
    return 10 * torch.log10(error / x.square().sum())""",
    ),
    # 12.4 LISTA
    Mutant(
        "ex12-4",
        "the threshold itself is the parameter and may become negative",
        lista(layers=LAYERS.replace("self.t.abs()", "self.t")),
    ),
    Mutant(
        "ex12-4",
        "the threshold is clamped once, in the constructor",
        lista(
            INIT.replace("theta.repeat(copies)", "theta.clamp(min=0).repeat(copies)"),
            LAYERS.replace("self.t.abs()", "self.t"),
        ),
    ),
    Mutant(
        "ex12-4",
        "thresholds are not learned: a plain tensor",
        lista(
            INIT.replace("nn.Parameter(theta.repeat(copies))", "theta.repeat(copies)")
        ),
    ),
    Mutant(
        "ex12-4",
        "parameters in a plain Python list, which no optimiser sees",
        lista(
            """self.weights = [nn.Parameter(W1.repeat(copies, 1, 1))]
self.weights.append(nn.Parameter(W2.repeat(copies, 1, 1)))
self.t = nn.Parameter(theta.repeat(copies))""",
            """W1, W2 = (w.expand(self.depth, -1, -1) for w in self.weights)
return W1, W2, self.t.abs().expand(self.depth)""",
        ),
    ),
    Mutant(
        "ex12-4",
        "random initial matrices, as in other networks",
        lista(
            INIT.replace(
                "W2.repeat(copies, 1, 1)",
                "0.01 * torch.randn(copies, *W2.shape)",
            )
        ),
    ),
    Mutant(
        "ex12-4",
        "always tied",
        lista(INIT.replace("copies", "1")),
    ),
    Mutant(
        "ex12-4",
        "never tied",
        lista(INIT.replace("copies", "depth")),
    ),
    Mutant(
        "ex12-4",
        "W2 is shared by all layers, only W1 and the threshold are untied",
        lista(INIT.replace("W2.repeat(copies, 1, 1)", "W2.repeat(1, 1, 1)")),
    ),
    Mutant(
        "ex12-4",
        "thresholds start at λ instead of λ / L",
        lista(
            INIT.replace("theta.repeat(copies)", "torch.full((copies,), float(lam))")
        ),
    ),
    Mutant(
        "ex12-4",
        "softplus without its inverse: the network does not start as ISTA",
        lista(
            layers=LAYERS.replace(
                "self.t.abs()", "torch.nn.functional.softplus(self.t)"
            )
        ),
    ),
    Mutant(
        "ex12-4",
        "layers hand out copies without gradient",
        lista(
            layers=LAYERS.replace("self.W1.expand", "self.W1.detach().expand"),
        ),
    ),
    # 12.5 deep loss and silence
    Mutant(
        "ex12-5",
        "the last layer only",
        losses("return nmse_db(iterates[-1], x)"),
    ),
    Mutant(
        "ex12-5",
        "plain squared errors added up: the first layers drown the last",
        losses(
            "return ((iterates[1:] - x).square().sum(dim=(1, 2)) / x.square().sum()).mean()"
        ),
    ),
    Mutant(
        "ex12-5",
        "the logarithm of the sum instead of the sum of logarithms",
        losses(
            "return 10 * torch.log10(((iterates[1:] - x).square().sum(dim=(1, 2))"
            " / x.square().sum()).mean())"
        ),
    ),
    Mutant(
        "ex12-5",
        "counts the start as a layer",
        losses("return nmse_db(iterates, x).mean()"),
    ),
    Mutant(
        "ex12-5",
        "maximises: the sign is turned because dB are negative",
        losses("return -nmse_db(iterates[1:], x).mean()"),
    ),
    Mutant(
        "ex12-5",
        "leaves out the last layer as well as the start",
        losses("return nmse_db(iterates[1:-1], x).mean()"),
    ),
    Mutant(
        "ex12-5",
        "mean of the dB per sample",
        losses(
            "return (10 * torch.log10((iterates[1:] - x).square().sum(dim=2)"
            " / x.square().sum(dim=1))).mean()"
        ),
    ),
    Mutant(
        "ex12-5",
        "counts zero entries instead of silent codes",
        losses(share="return (iterates == 0).double().mean(dim=(1, 2))"),
    ),
    Mutant(
        "ex12-5",
        "silent only if the whole batch is",
        losses(share="return (iterates == 0).all(dim=2).all(dim=1).double()"),
    ),
    Mutant(
        "ex12-5",
        "silent as soon as one entry is zero",
        losses(share="return (iterates == 0).any(dim=2).double().mean(dim=1)"),
    ),
    Mutant(
        "ex12-5",
        "silent if the entries cancel in their sum",
        losses(share="return (iterates.sum(dim=2).abs() < 1e-6).double().mean(dim=1)"),
    ),
    # 12.6 training
    Mutant(
        "ex12-6",
        "gradients pile up: never set to zero",
        training(("            optimiser.zero_grad()\n", "")),
    ),
    Mutant(
        "ex12-6",
        "keeps the last weights instead of the best",
        training(("    net.load_state_dict(best)\n", "")),
    ),
    Mutant(
        "ex12-6",
        "keeps the best weights by reference, so they go on changing",
        training(
            (
                "{name: w.clone() for name, w in net.state_dict().items()}",
                "net.state_dict()",
            )
        ),
    ),
    Mutant(
        "ex12-6",
        "keeps the weights of the largest error",
        training(("min(history)", "max(history)")),
    ),
    Mutant(
        "ex12-6",
        "keeps the weights of the smallest number but one step later",
        training(
            (
                """            if history[-1] == min(history):
                best = {name: w.clone() for name, w in net.state_dict().items()}
""",
                "",
            ),
            (
                "            schedule.step()\n",
                """            schedule.step()
            if history[-1] == min(history):
                best = {name: w.clone() for name, w in net.state_dict().items()}
""",
            ),
        ),
    ),
    Mutant(
        "ex12-6",
        "one batch for the whole training",
        training(
            (
                "    history, best = [], None\n",
                "    history, best = [], None\n    b, x = draw()\n",
            ),
            (
                "            b, x = draw()\n            optimiser",
                "            optimiser",
            ),
        ),
    ),
    Mutant(
        "ex12-6",
        "forgets the optimiser's step",
        training(("            optimiser.step()\n", "")),
    ),
    Mutant(
        "ex12-6",
        "forgets the schedule's step",
        training(("            schedule.step()\n", "")),
    ),
    Mutant(
        "ex12-6",
        "measures after training steps only: the untrained net is never measured",
        training(("step % every == 0", "step > 0 and step % every == 0")),
    ),
    Mutant(
        "ex12-6",
        "stops measuring before the last steps",
        training(("step % every == 0", "step % every == 0 and step < steps")),
    ),
    Mutant(
        "ex12-6",
        "measures with gradients",
        training(
            (
                """            with torch.no_grad():
                history.append(float(measure(net)))
""",
                "            history.append(float(measure(net)))\n",
            )
        ),
    ),
    slip(
        "ex12-6",
        "the history holds training losses, and the best is chosen by them",
        (
            "    for step in range(steps + 1):",
            "    for step in range(steps + 1):\n"
            "        b, x = draw()\n"
            "        value = loss(net.iterates(b), x)",
        ),
        (
            "            with torch.no_grad():\n"
            "                history.append(float(measure(net)))",
            "            history.append(value.item())",
        ),
        ("            b, x = draw()\n", ""),
        ("loss(net.iterates(b), x).backward()", "value.backward()"),
    ),
    # 12.7 coupling
    Mutant(
        "ex12-7",
        "W2 is computed once and stale after the first training step",
        coupled(
            init=CP_INIT + '\nself.register_buffer("W2", W2.repeat(depth, 1, 1))',
            layers="return self.W, self.W2, self.t.abs()",
        ),
    ),
    Mutant(
        "ex12-7",
        "W2 is a parameter of its own that merely starts coupled",
        coupled(
            init=CP_INIT + "\nself.W2 = nn.Parameter(W2.repeat(depth, 1, 1))",
            layers="return self.W, self.W2, self.t.abs()",
        ),
    ),
    Mutant(
        "ex12-7",
        "the dictionary is learned as well",
        coupled(
            init=CP_INIT.replace(
                'self.register_buffer("A", A.clone())',
                "self.A = nn.Parameter(A.clone())",
            )
        ),
    ),
    Mutant(
        "ex12-7",
        "no gradient through W2",
        coupled(
            layers=CP_LAYERS.replace("self.W @ self.A", "self.W.detach() @ self.A")
        ),
    ),
    Mutant(
        "ex12-7",
        "no gradient through W1",
        coupled(layers=CP_LAYERS.replace("return self.W,", "return self.W.detach(),")),
    ),
    Mutant(
        "ex12-7",
        "tied: one W for all layers",
        coupled(
            init=CP_INIT.replace("W1.repeat(depth, 1, 1)", "W1.repeat(1, 1, 1)")
            + "\nself.depth = depth",
            layers="""W = self.W.expand(self.depth, -1, -1)
return W, torch.eye(self.A.shape[1]) - W @ self.A, self.t.abs()""",
        ),
    ),
    Mutant(
        "ex12-7",
        "thresholds may become negative",
        coupled(layers=CP_LAYERS.replace("self.t.abs()", "self.t")),
    ),
    Mutant(
        "ex12-7",
        "the wrong sign: W2 = I + W1 A",
        coupled(layers=CP_LAYERS.replace("- self.W", "+ self.W")),
    ),
    Mutant(
        "ex12-7",
        "defect against ISTA's W2 instead of the coupled one",
        coupled(
            defect="""_, W2_ista, _ = ista_weights(A, 1.0)
return torch.linalg.matrix_norm(W2 - W2_ista) / A.shape[1] ** 0.5"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect is one number for the whole stack",
        coupled(
            defect="""difference = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return difference.norm() / A.shape[1] ** 0.5"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect relative to n instead of the norm of the identity",
        coupled(
            defect="""difference = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return torch.linalg.matrix_norm(difference) / A.shape[1]"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect with the identity forgotten",
        coupled(
            defect="""return torch.linalg.matrix_norm(W2 + W1 @ A) / A.shape[1] ** 0.5"""
        ),
    ),
    # values, gradients and properties that only an exact comparison tells apart
    Mutant(
        "ex12-1",
        "L by ten steps of the power method: close, and too small",
        """def ista_weights(A, lam):
    d = torch.ones(A.shape[1])
    for _ in range(10):
        d = A.T @ (A @ d)
        d = d / d.norm()
    L = (A @ d).norm() ** 2
    return A.T / L, torch.eye(A.shape[1]) - A.T @ A / L, lam / L""",
    ),
    Mutant(
        "ex12-1",
        "works in single precision",
        """def ista_weights(A, lam):
    A = A.float()
    L = torch.linalg.matrix_norm(A, 2) ** 2
    return A.T / L, torch.eye(A.shape[1], dtype=A.dtype) - A.T @ A / L, lam / L""",
    ),
    Mutant(
        "ex12-2",
        "half of the gradient: averages the state's path with a detached copy",
        UNROLLED
        + """h = x @ W2[k].T
        h = 0.5 * (h + h.detach())
        x = unroll.soft_threshold(b @ W1[k].T + h, theta[k])
        iterates.append(x)
    return torch.stack(iterates)""",
    ),
    Mutant(
        "ex12-2",
        "hands out detached iterates, all but the last",
        UNROLLED
        + """x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])
        iterates.append(x)
    return torch.stack([x.detach() for x in iterates[:-1]] + iterates[-1:])""",
    ),
    Mutant(
        "ex12-3",
        "half of the gradient: one factor of the square is detached",
        NMSE
        + """difference = x_hat - x
    error = (difference * difference.detach()).sum(dim=(-2, -1))
    return 10 * torch.log10(error / x.square().sum())""",
    ),
    Mutant(
        "ex12-3",
        "a small number against the logarithm of zero bends small errors",
        NMSE
        + """error = (x_hat - x).square().sum(dim=(-2, -1)) / x.square().sum()
    return 10 * torch.log10(error + 1e-4)""",
    ),
    Mutant(
        "ex12-4",
        "layers pass on half of the gradient",
        lista(
            layers=LAYERS.replace(
                "W1 = self.W1.expand",
                "W1 = (0.5 * (self.W1 + self.W1.detach())).expand",
            )
        ),
    ),
    Mutant(
        "ex12-4",
        "the threshold is right, its gradient twice too large",
        lista(
            layers=LAYERS.replace(
                "self.t.abs()", "(2 * self.t.abs() - self.t.abs().detach())"
            )
        ),
    ),
    Mutant(
        "ex12-5",
        "all layers are measured, the last one alone has a gradient",
        losses(
            "return nmse_db(torch.cat([iterates[1:-1].detach(), iterates[-1:]]), x).mean()"
        ),
    ),
    Mutant(
        "ex12-5",
        "the value in dB, the gradient of the plain ratio",
        losses(
            """ratio = (iterates[1:] - x).square().sum() / x.square().sum()
    return nmse_db(iterates[1:], x).mean().detach() + ratio - ratio.detach()"""
        ),
    ),
    Mutant(
        "ex12-5",
        "almost silent counts as silent",
        losses(share="return (iterates.abs() < 1e-6).all(dim=2).double().mean(dim=1)"),
    ),
    Mutant(
        "ex12-6",
        "goes back to the best weights after every worse number",
        training(
            (
                "net.state_dict().items()}\n        if step < steps",
                "net.state_dict().items()}\n            else:\n"
                "                net.load_state_dict(best)\n        if step < steps",
            )
        ),
    ),
    Mutant(
        "ex12-6",
        "stops at the first number that is worse and repeats it",
        training(
            (
                "        if step < steps:\n",
                """        if len(history) > 1 and history[-1] > history[-2]:
            history += [history[-1]] * (1 + steps // every - len(history))
            break
        if step < steps:
""",
            )
        ),
    ),
    Mutant(
        "ex12-6",
        "keeps the first local minimum: compares with the number before only",
        training(
            (
                "if history[-1] == min(history):",
                "if best is None or history[-1] < history[-2]:",
            )
        ),
    ),
    Mutant(
        "ex12-7",
        "defect: the largest singular value",
        coupled(
            defect="""D = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return torch.linalg.matrix_norm(D, 2)"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect: the largest entry",
        coupled(
            defect="""D = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return D.abs().amax(dim=(1, 2))"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect: the diagonal alone",
        coupled(
            defect="""D = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return D.diagonal(dim1=1, dim2=2).square().mean(dim=1).sqrt()"""
        ),
    ),
    Mutant(
        "ex12-7",
        "defect: the mean size of an entry times the root of n",
        coupled(
            defect="""D = W2 - (torch.eye(A.shape[1]) - W1 @ A)
return D.abs().sum(dim=(1, 2)) / A.shape[1]"""
        ),
    ),
    Mutant(
        "ex12-7",
        "half of the gradient through W2",
        coupled(
            layers=CP_LAYERS.replace(
                "self.W @ self.A", "0.5 * (self.W + self.W.detach()) @ self.A"
            )
        ),
    ),
    Mutant(
        "ex12-1",
        "the threshold grows with the length of the atom",
        """def ista_weights(A, lam):
    L = torch.linalg.matrix_norm(A, 2) ** 2
    return A.T/L, torch.eye(A.shape[1])-A.T@A/L, lam/L*A.norm(dim=0)""",
    ),
    Mutant(
        "ex12-1",
        "L is the sum of all eigenvalues",
        """def ista_weights(A, lam):
    L = torch.linalg.eigvalsh(A@A.T).sum()
    return A.T/L, torch.eye(A.shape[1])-A.T@A/L, lam/L""",
    ),
    Mutant(
        "ex12-1",
        "the pseudo-inverse in place of the transpose",
        """def ista_weights(A, lam):
    L = torch.linalg.matrix_norm(A, 2) ** 2
    return torch.linalg.pinv(A), torch.eye(A.shape[1])-torch.linalg.pinv(A)@A, lam/L""",
    ),
    slip(
        "ex12-2",
        "W2 of the layer before",
        (
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])",
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k - 1].T, theta[k])",
        ),
    ),
    slip(
        "ex12-2",
        "the threshold of the layer before",
        (
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])",
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k - 1])",
        ),
    ),
    slip(
        "ex12-2",
        "a one-sided threshold, as a ReLU network has",
        (
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])",
            "x = torch.relu(b @ W1[k].T + x @ W2[k].T - theta[k])",
        ),
    ),
    slip(
        "ex12-2",
        "the thresholds get no gradient",
        (
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])",
            "x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k].detach())",
        ),
    ),
    Mutant(
        "ex12-3",
        "relative to the variance of the codes, not to their energy",
        """def nmse_db(x_hat, x):
    e=(x_hat-x).square().sum(dim=(-2,-1))
    return 10*torch.log10(e/(x-x.mean()).square().sum())""",
    ),
    Mutant(
        "ex12-3",
        "the right value with a gradient that is a little too small",
        """def nmse_db(x_hat, x):
    e=(x_hat-x).square().sum(dim=(-2,-1))
    return 10*torch.log10(e/x.square().sum()) + 0*x_hat.sum() - 1e-3*(e-e.detach())""",
    ),
    slip(
        "ex12-4",
        "all layers use the mean of their thresholds",
        (
            "return (W1, W2, self.t.abs().expand(self.depth))",
            "return (W1, W2, self.t.abs().mean().expand(self.depth))",
        ),
    ),
    slip(
        "ex12-4",
        "all layers use the largest of their thresholds",
        (
            "return (W1, W2, self.t.abs().expand(self.depth))",
            "return (W1, W2, self.t.max().abs().expand(self.depth))",
        ),
    ),
    slip(
        "ex12-4",
        "a small number is added to every threshold",
        (
            "return (W1, W2, self.t.abs().expand(self.depth))",
            "return (W1, W2, (self.t.abs() + 1e-06).expand(self.depth))",
        ),
    ),
    Mutant(
        "ex12-5",
        "later layers count more",
        """def deep_loss(iterates,x):
    v=nmse_db(iterates[1:],x)
    w=torch.arange(1.0,len(v)+1)
    return (w*v).sum()/w.sum()
def silent_share(iterates):
    return (iterates==0).all(dim=2).double().mean(dim=1)""",
    ),
    Mutant(
        "ex12-5",
        "a sum over the layers, not their mean",
        """def deep_loss(iterates,x):
    return nmse_db(iterates[1:],x).sum()
def silent_share(iterates):
    return (iterates==0).all(dim=2).double().mean(dim=1)""",
    ),
    Mutant(
        "ex12-5",
        "counts atoms that no sample uses",
        """def deep_loss(iterates,x):
    return nmse_db(iterates[1:],x).mean()
def silent_share(iterates):
    return (iterates==0).all(dim=1).double().mean(dim=1)""",
    ),
    Mutant(
        "ex12-5",
        "divides by the number of iterates, the start included",
        """def deep_loss(iterates,x):
    return nmse_db(iterates[1:],x).sum()/len(iterates)
def silent_share(iterates):
    return (iterates==0).all(dim=2).double().mean(dim=1)""",
    ),
    slip(
        "ex12-6",
        "a step of the schedule for every measurement only",
        (
            "            schedule.step()",
            "            if (step + 1) % every == 0:\n                schedule.step()",
        ),
    ),
    slip(
        "ex12-6",
        "cuts long gradients to length one",
        (
            "            loss(net.iterates(b), x).backward()",
            "            loss(net.iterates(b), x).backward()\n"
            "            nn.utils.clip_grad_norm_(net.parameters(), 1.0)",
        ),
    ),
    slip(
        "ex12-6",
        "two steps of the schedule for one of the optimiser",
        (
            "            schedule.step()",
            "            schedule.step()\n            schedule.step()",
        ),
    ),
    slip(
        "ex12-6",
        "the untrained network cannot be the best",
        (
            "if history[-1] == min(history):",
            "if best is None or len(history) == 2 or history[-1] == min(history[1:]):",
        ),
    ),
    slip(
        "ex12-6",
        "draws a batch for every measurement, too",
        (
            "        if step % every == 0:",
            "        if step % every == 0:\n            draw()",
        ),
    ),
    slip(
        "ex12-6",
        "the history is sorted",
        ("return history", "return sorted(history, reverse=True)"),
    ),
    slip(
        "ex12-7",
        "defect relative to the size of W2",
        (
            "    identity = torch.eye(A.shape[1])\n"
            "    difference = W2 - (identity - W1 @ A)\n"
            "    return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(identity)",
            "    i = torch.eye(A.shape[1])\n"
            "    return torch.linalg.matrix_norm(W2 - (i - W1 @ A)) / torch.linalg.matrix_norm(W2)",
        ),
    ),
    slip(
        "ex12-7",
        "defect in the nuclear norm",
        (
            "    identity = torch.eye(A.shape[1])\n"
            "    difference = W2 - (identity - W1 @ A)\n"
            "    return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(identity)",
            "    i = torch.eye(A.shape[1])\n"
            "    return torch.linalg.matrix_norm(W2 - (i - W1 @ A), 'nuc') / torch.linalg.matrix_norm(i, 'nuc')",
        ),
    ),
    Mutant(
        "ex12-7",
        "all layers use the mean of their thresholds",
        """def coupling_defect(W1, W2, A):
    i=torch.eye(A.shape[1]); return torch.linalg.matrix_norm(W2-(i-W1@A))/torch.linalg.matrix_norm(i)
class LISTACP(LISTA):
    def __init__(self, A, depth, lam):
        nn.Module.__init__(self)
        W1, _, theta = ista_weights(A, lam)
        self.register_buffer("A", A.clone())
        self.W = nn.Parameter(W1.repeat(depth, 1, 1))
        self.t = nn.Parameter(theta.repeat(depth))
    def layers(self):
        return self.W, torch.eye(self.A.shape[1]) - self.W @ self.A, self.t.abs().mean().expand(len(self.t))""",
    ),
    slip(
        "ex12-7",
        "defect squared, a mean of squares",
        (
            "    identity = torch.eye(A.shape[1])\n"
            "    difference = W2 - (identity - W1 @ A)\n"
            "    return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(identity)",
            "    i = torch.eye(A.shape[1])\n"
            "    return (W2 - (i - W1 @ A)).square().sum((1, 2)) / A.shape[1]",
        ),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex12-1",
        "L from the eigenvalues of the smaller Gram matrix",
        """def ista_weights(A, lam):
    m, n = A.shape
    gram = A @ A.T if m < n else A.T @ A
    step = 1 / torch.linalg.eigvalsh(gram)[-1].item()
    return step * A.T, torch.eye(n) - step * (A.T @ A), step * lam""",
    ),
    Alternative(
        "ex12-1",
        "as derivatives of the gradient step, one unit vector at a time",
        """def ista_weights(A, lam):
    m, n = A.shape
    L = torch.linalg.svdvals(A)[0] ** 2

    def gradient_step(x, b):
        return x - (x @ A.T - b) @ A / L

    W1 = gradient_step(torch.zeros(m, n), torch.eye(m)).T
    W2 = gradient_step(torch.eye(n), torch.zeros(n, m)).T
    return W1, W2, lam / L""",
    ),
    Alternative(
        "ex12-2",
        "the first layer written apart, since x_0 is zero",
        """def unrolled(b, W1, W2, theta):
    iterates = [b.new_zeros(len(b), W1.shape[1])]
    iterates.append(unroll.soft_threshold(b @ W1[0].mT, theta[0]))
    for w1, w2, t in zip(W1[1:], W2[1:], theta[1:]):
        v = torch.addmm(b @ w1.mT, iterates[-1], w2.mT)
        iterates.append(unroll.soft_threshold(v, t))
    return torch.stack(iterates, dim=0)""",
    ),
    Alternative(
        "ex12-2",
        "all W1 b at once, and the threshold by hand",
        """def unrolled(b, W1, W2, theta):
    drive = torch.einsum("knm,bm->kbn", W1, b)
    iterates = [torch.zeros_like(drive[0])]
    for v1, w2, t in zip(drive, W2, theta):
        v = v1 + torch.einsum("nj,bj->bn", w2, iterates[-1])
        iterates.append(v.sign() * torch.relu(v.abs() - t))
    return torch.stack(iterates)""",
    ),
    Alternative(
        "ex12-3",
        "the library's function",
        "def nmse_db(x_hat, x):\n    return unroll.nmse_db(x_hat, x)",
    ),
    Alternative(
        "ex12-3",
        "twenty times the logarithm of a ratio of lengths",
        """def nmse_db(x_hat, x):
    error = torch.linalg.vector_norm(x_hat - x, dim=(-2, -1))
    return 20 * (error.log() - x.norm().log()) / math.log(10)""",
    ),
    Alternative(
        "ex12-3",
        "means instead of sums, in numerator and denominator",
        """def nmse_db(x_hat, x):
    error = ((x_hat - x) ** 2).flatten(start_dim=-2).mean(dim=-1)
    return 10 * (torch.log10(error) - torch.log10((x**2).mean()))""",
    ),
    Alternative(
        "ex12-4",
        "softplus, started at its inverse",
        lista(
            INIT.replace(
                "theta.repeat(copies)", "torch.log(torch.expm1(theta)).repeat(copies)"
            ),
            LAYERS.replace("self.t.abs()", "torch.nn.functional.softplus(self.t)"),
        ),
    ),
    Alternative(
        "ex12-4",
        "lists of parameters, the logarithm of the threshold",
        lista(
            """start = ista_weights(A, lam)
start = start[0], start[1], torch.as_tensor(start[2]).log()
self.parts = nn.ModuleList(
    nn.ParameterList(p.clone() for p in start) for _ in range(copies)
)""",
            """every = [self.parts[k % len(self.parts)] for k in range(self.depth)]
W1, W2, t = (torch.stack([part[i] for part in every]) for i in range(3))
return W1, W2, t.exp()""",
        ),
    ),
    Alternative(
        "ex12-4",
        "clamped in every forward pass",
        lista(layers=LAYERS.replace("self.t.abs()", "self.t.clamp(min=0)")),
    ),
    Alternative(
        "ex12-5",
        "a loop over the layers",
        losses(
            "return sum(nmse_db(codes, x) for codes in iterates[1:]) / (len(iterates) - 1)",
            "return torch.stack([(c.abs().sum(dim=1) == 0).double().mean() for c in iterates])",
        ),
    ),
    Alternative(
        "ex12-5",
        "energies first, then their logarithms",
        losses(
            "return 10 * (torch.log10((iterates[1:] - x).square().sum(dim=(1, 2))).mean()"
            " - torch.log10(x.square().sum()))",
            "return 1 - iterates.ne(0).any(dim=-1).to(torch.float64).mean(dim=-1)",
        ),
    ),
    Alternative(
        "ex12-5",
        "shares in single precision, the commonest spelling",
        losses(share="return (iterates == 0).all(dim=2).float().mean(dim=1)"),
    ),
    Alternative(
        "ex12-6",
        "an inner loop between two measurements, deep copies",
        """import copy


def train(net, draw, loss, measure, steps, lr, every=20):
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    with torch.no_grad():
        history = [float(measure(net))]
    best = copy.deepcopy(net.state_dict())
    for _ in range(steps // every):
        for _ in range(every):
            b, x = draw()
            value = loss(net.iterates(b), x)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            error = float(measure(net))
        if error < min(history):
            best = copy.deepcopy(net.state_dict())
        history.append(error)
    net.load_state_dict(best)
    return history
""",
    ),
    Alternative(
        "ex12-6",
        "all weights kept, the best chosen at the end",
        """def train(net, draw, loss, measure, steps, lr, every=20):
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history, kept = [], []

    @torch.no_grad()
    def look():
        history.append(float(measure(net)))
        kept.append([p.detach().clone() for p in net.parameters()])

    look()
    for step in range(1, steps + 1):
        net.zero_grad()
        b, x = draw()
        loss(net.iterates(b), x).backward()
        optimiser.step()
        schedule.step()
        if step % every == 0:
            look()
    best = min(range(len(history)), key=lambda k: history[k])
    with torch.no_grad():
        for p, value in zip(net.parameters(), kept[best]):
            p.copy_(value)
    return history
""",
    ),
    Alternative(
        "ex12-7",
        "columns of I are pushed through the layer; softplus thresholds",
        coupled(
            defect="""n = A.shape[1]
pushed = torch.stack([A.T @ w1.T + w2.T for w1, w2 in zip(W1, W2)])
return (pushed - torch.eye(n)).square().sum(dim=(1, 2)).div(n).sqrt()""",
            init=CP_INIT.replace(
                "theta.repeat(depth)", "torch.log(torch.expm1(theta)).repeat(depth)"
            ),
            layers=CP_LAYERS.replace(
                "self.t.abs()", "torch.nn.functional.softplus(self.t)"
            ),
        ),
    ),
    Alternative(
        "ex12-7",
        "a parameter list, A kept outside of the registered state",
        coupled(
            defect="""norms = []
for w1, w2 in zip(W1, W2):
    norms.append((w1 @ A + w2 - torch.eye(len(w2))).norm() / len(w2) ** 0.5)
return torch.stack(norms)""",
            init="""self.fixed = (A.detach().clone(),)
self.Ws = nn.ParameterList(W1.clone() for _ in range(depth))
self.ts = nn.Parameter(theta.sqrt().repeat(depth))""",
            layers="""(A,) = self.fixed
W = torch.stack(list(self.Ws))
return W, torch.eye(A.shape[1]) - torch.einsum("knm,mj->knj", W, A), self.ts**2""",
        ),
    ),
    Alternative(
        "ex12-2",
        "einsum, and two ramps",
        """def unrolled(b, W1, W2, theta):
    xs=[torch.zeros(len(b), W2.shape[-1])]
    for A1,A2,t in zip(W1,W2,theta):
        v=torch.einsum('nm,bm->bn',A1,b)+torch.einsum('ij,bj->bi',A2,xs[-1])
        xs.append(torch.relu(v-t)-torch.relu(-v-t))
    return torch.stack(xs)""",
    ),
    Alternative(
        "ex12-5",
        "counts codes with an entry that is not zero",
        """def deep_loss(iterates,x):
    return sum(nmse_db(i,x) for i in iterates[1:])/(len(iterates)-1)
def silent_share(iterates):
    return 1-iterates.any(dim=2).double().mean(dim=1)""",
    ),
    Alternative(
        "ex12-6",
        "the list holds what measure returned",
        """def train(net, draw, loss, measure, steps, lr, every=20):
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history, best = [], None
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                history.append(measure(net))
            if history[-1] == min(history):
                best = {name: w.clone() for name, w in net.state_dict().items()}
        if step < steps:
            b, x = draw()
            optimiser.zero_grad()
            loss(net.iterates(b), x).backward()
            optimiser.step()
            schedule.step()
    net.load_state_dict(best)
    return history""",
    ),
    Alternative(
        "ex12-7",
        "einsum, and the length of the flattened difference",
        """def coupling_defect(W1, W2, A):
    d=W2+torch.einsum('knm,mj->knj',W1,A)-torch.eye(A.shape[1]); return d.flatten(1).norm(dim=1)/math.sqrt(A.shape[1])
class LISTACP(LISTA):
    def __init__(self, A, depth, lam):
        nn.Module.__init__(self)
        W1, _, theta = ista_weights(A, lam)
        self.register_buffer("A", A.clone())
        self.W = nn.Parameter(W1.repeat(depth, 1, 1))
        self.t = nn.Parameter(theta.repeat(depth))
    def layers(self):
        return self.W, torch.eye(self.A.shape[1]) - self.W @ self.A, self.t.abs()""",
    ),
]
