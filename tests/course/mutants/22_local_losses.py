"""Chapter 22: what students get wrong in local training, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed, slip

# --- 22.1: paired difference and claim

ISOLATION_2 = """def isolation(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if not (own and loss.requires_grad):
                continue
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
            matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))
    return matrix

def faults(found, declared):
    return [(j, i, 'leak' if found[j, i] else 'none') for j, i in (found != declared).nonzero().tolist()]"""

PAIRED = """def paired_difference(a, b):
    d = torch.tensor(b) - torch.tensor(a)
    return d.mean().item(), d.std().item() / math.sqrt(len(d))


def claim(a, b):
    mean, error = paired_difference(a, b)
    if abs(mean) <= quantile(len(a) - 1) * error:
        return "undecided"
    return "b" if mean > 0 else "a"
"""

# --- 22.2: one local step

STEP = """def local_step(modules, heads, optimisers, x, y):
    losses, h = [], x
    for module, head, optimiser in zip(modules, heads, optimisers, strict=True):
        h = module(h.detach())
        loss = F.cross_entropy(head(h), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
"""

SUMMED = """def local_step(modules, heads, optimisers, x, y):
    losses, h = [], x
    for module, head in zip(modules, heads, strict=True):
        h = module({entering})
        losses.append(F.cross_entropy(head(h), y))
    for optimiser in optimisers:
        optimiser.zero_grad()
{backward}
    for optimiser in optimisers:
        optimiser.step()
    return [loss.item() for loss in losses]
"""

# --- 22.3: isolation matrix

ISOLATION = """def isolation(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if own and loss.requires_grad:
                grads = torch.autograd.grad(
                    loss, own, retain_graph=True, allow_unused=True
                )
                matrix[j, i] = any(g is not None and bool(g.any()) for g in grads)
    return matrix
"""

FAULTS = """

def faults(found, declared):
    return [
        (j, i, "leak" if found[j, i] else "none")
        for j, i in (found != declared).nonzero().tolist()
    ]
"""

CERTIFICATE = ISOLATION + FAULTS

BY_BACKWARD = (
    """def isolation(losses, modules):
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    parameters = [p for module in modules for p in module.parameters()]
{kept}
    for j, loss in enumerate(losses):
{clear}
        if loss.requires_grad:
            loss.backward(retain_graph=True)
        for i, module in enumerate(modules):
            grads = [p.grad for p in module.parameters()]
            matrix[j, i] = any(g is not None and bool(g.any()) for g in grads)
{restore}
    return matrix
"""
    + FAULTS
)

# --- 22.4: probe

PROBE = """def fit_probe(h, y, classes=10, ridge=1e-3):
    A = torch.cat([h, torch.ones(len(h), 1)], dim=1)
    Y = F.one_hot(y, classes).to(A.dtype)
    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])
    return torch.linalg.solve(gram, A.T @ Y / len(A))


def probe_accuracy(W, h, y):
    scores = h @ W[:-1] + W[-1]
    return (scores.argmax(dim=1) == y).double().mean().item()
"""

# --- 22.5: similarity matching

SIM = """def similarity(h):
    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)
    return z @ z.T


def sim_loss(h, y, classes):
    labels = F.one_hot(y, classes).to(h.dtype)
    return (similarity(h) - similarity(labels)).square().mean()
"""

# --- 22.6: Forward-Forward

FORWARD = """def wrong_labels(y, classes, g):
    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes


def goodness_loss(right, wrong, theta=2.0):
    good, bad = (h.square().mean(dim=1) for h in (right, wrong))
    return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()
"""

# --- 22.7: two schedules

CHAIN = """def train_chain(modules, heads, batches, lr, greedy=False):
    both = list(zip(modules, heads, strict=True))
    optimisers = [
        torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both
    ]
    phases = [[k] for k in range(len(modules))] if greedy else [range(len(modules))]
    for learning in phases:
        for k, module in enumerate(modules):
            module.train(k in learning)
        for x, y in batches:
            h = x
            for k in range(learning[-1] + 1):
                h = modules[k](h.detach())
                if k in learning:
                    optimisers[k].zero_grad()
                    F.cross_entropy(heads[k](h), y).backward()
                    optimisers[k].step()
    for module in modules:
        module.eval()
"""


def summed(entering: str, backward: str) -> str:
    """Return a step that collects all losses before it goes back."""
    return SUMMED.format(entering=entering, backward=backward)


def by_backward(kept: str = "", clear: str = "", restore: str = "") -> str:
    """Return a measurement that lets gradients pile up in the parameters."""
    return BY_BACKWARD.format(kept=kept, clear=clear, restore=restore)


MUTANTS = [
    # 22.1 mean, error, claim
    Mutant(
        "ex22-1",
        "treats the seeds as unrelated samples and adds both variances",
        changed(
            PAIRED,
            (
                "d.std().item() / math.sqrt(len(d))",
                "math.sqrt((torch.tensor(a).var() + torch.tensor(b).var()) / len(d))",
            ),
        ),
    ),
    Mutant(
        "ex22-1",
        "gives the spread of the differences for the error of their mean",
        changed(PAIRED, (" / math.sqrt(len(d))", "")),
    ),
    Mutant(
        "ex22-1",
        "divides by n in the variance, as if the mean were known",
        changed(PAIRED, ("d.std()", "d.std(correction=0)")),
    ),
    Mutant(
        "ex22-1",
        "takes the normal quantile 1.96 for five seeds",
        changed(PAIRED, ("quantile(len(a) - 1)", "1.96")),
    ),
    Mutant(
        "ex22-1",
        "counts n degrees of freedom although the mean is estimated",
        changed(PAIRED, ("quantile(len(a) - 1)", "quantile(len(a))")),
    ),
    Mutant(
        "ex22-1",
        "claims whatever is more than one standard error",
        changed(PAIRED, ("quantile(len(a) - 1) * error", "error")),
    ),
    Mutant(
        "ex22-1",
        "subtracts the wrong way round",
        changed(
            PAIRED,
            ("torch.tensor(b) - torch.tensor(a)", "torch.tensor(a) - torch.tensor(b)"),
        ),
    ),
    # 22.2 one local step
    Mutant(
        "ex22-2",
        "no detach: all losses are summed and go back end to end",
        summed("h", "    sum(losses).backward()"),
    ),
    Mutant(
        "ex22-2",
        "detach on the wrong side: the head is cut from its own module",
        changed(
            STEP,
            ("module(h.detach())", "module(h)"),
            ("head(h), y", "head(h.detach()), y"),
        ),
    ),
    Mutant(
        "ex22-2",
        "one shared optimiser steps everything after each loss",
        changed(STEP, ("optimiser.step()", "[o.step() for o in optimisers]")),
    ),
    Mutant(
        "ex22-2",
        "the loss is summed twice: running totals go back again",
        summed(
            "h.detach()",
            "    for k in range(len(losses)):\n"
            "        sum(losses[: k + 1]).backward(retain_graph=True)",
        ),
    ),
    Mutant(
        "ex22-2",
        "gradients of the step before are never cleared",
        changed(STEP, ("        optimiser.zero_grad()\n", "")),
    ),
    Mutant(
        "ex22-2",
        "clears the gradients between backward and step",
        changed(
            STEP,
            (
                "        optimiser.zero_grad()\n        loss.backward()\n",
                "        loss.backward()\n        optimiser.zero_grad()\n",
            ),
        ),
    ),
    Mutant(
        "ex22-2",
        "every other cut only: detaches the data and not the hidden states",
        summed("h.detach() if h is x else h", "    sum(losses).backward()"),
    ),
    Mutant(
        "ex22-2",
        "hands on what the module computes after its update",
        changed(
            STEP,
            (
                "        losses.append",
                "        h = module(h_in)\n        losses.append",
            ),
            (
                "        h = module(h.detach())",
                "        h_in = h.detach()\n        h = module(h_in)",
            ),
        ),
    ),
    Mutant(
        "ex22-2",
        "the loss is measured in a second pass: every module runs twice",
        changed(
            STEP,
            (
                "        h = module(h.detach())\n",
                "        with torch.no_grad():\n"
                "            losses.append(F.cross_entropy(head(module(h)), y).item())\n"
                "        h = module(h.detach())\n",
            ),
            ("        losses.append(loss.item())\n", ""),
        ),
    ),
    Mutant(
        "ex22-2",
        "the head runs twice: once for the loss, once for what is told",
        changed(
            STEP,
            (
                "        losses.append(loss.item())\n",
                "",
            ),
            (
                "        loss.backward()\n",
                "        losses.append(F.cross_entropy(head(h), y).item())\n"
                "        loss.backward()\n",
            ),
        ),
    ),
    # 22.3 isolation matrix
    Mutant(
        "ex22-3",
        "rows and columns are swapped",
        changed(CERTIFICATE, ("    return matrix", "    return matrix.T")),
    ),
    Mutant(
        "ex22-3",
        "takes a gradient of zeros for a gradient",
        changed(CERTIFICATE, (" and bool(g.any())", "")),
    ),
    Mutant(
        "ex22-3",
        "looks at the first parameter of a module only",
        changed(CERTIFICATE, ("for g in grads)", "for g in grads[:1])")),
    ),
    Mutant(
        "ex22-3",
        "asks for all parameters to be reached instead of one",
        changed(CERTIFICATE, ("any(g is not None", "all(g is not None")),
    ),
    Mutant(
        "ex22-3", "measures with backward and lets gradients pile up", by_backward()
    ),
    Mutant(
        "ex22-3",
        "wipes out the gradients that lay in the parameters",
        by_backward(
            clear="        for p in parameters:\n            p.grad = None",
            restore="    for p in parameters:\n        p.grad = None",
        ),
    ),
    Mutant(
        "ex22-3",
        "does not measure but writes down what should be: the identity",
        "def isolation(losses, modules):\n"
        "    return torch.eye(len(losses), len(modules), dtype=torch.bool)\n" + FAULTS,
    ),
    Mutant(
        "ex22-3",
        "frees the graph while measuring, so that one can measure only once",
        changed(
            CERTIFICATE, ("retain_graph=True", "retain_graph=i + 1 < len(modules)")
        ),
    ),
    Mutant(
        "ex22-3",
        "unfreezes frozen modules to ask about them",
        changed(
            CERTIFICATE,
            (
                "own = [p for p in module.parameters() if p.requires_grad]",
                "own = [p.requires_grad_() for p in module.parameters()]",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "leaks only: what is missing is not reported",
        changed(CERTIFICATE, ("found != declared", "found & ~declared")),
    ),
    Mutant(
        "ex22-3",
        "leak and none exchanged",
        changed(CERTIFICATE, ("if found[j, i]", "if declared[j, i]")),
    ),
    Mutant(
        "ex22-3",
        "faults as module and loss, column by column",
        changed(
            CERTIFICATE,
            ("(found != declared)", "(found != declared).T"),
        ),
    ),
    Mutant(
        "ex22-3",
        "the first fault ends the search",
        changed(CERTIFICATE, (".nonzero().tolist()", ".nonzero().tolist()[:1]")),
    ),
    # 22.4 probe
    Mutant(
        "ex22-4",
        "forgets to divide by N: the ridge weakens as data grow",
        changed(
            PROBE, ("A.T @ A / len(A)", "A.T @ A"), ("A.T @ Y / len(A)", "A.T @ Y")
        ),
    ),
    Mutant(
        "ex22-4",
        "multiplies the ridge by N although the misfit is a mean",
        changed(PROBE, ("+ ridge *", "+ ridge * len(A) *")),
    ),
    Mutant(
        "ex22-4",
        "leaves out the constant: centres the features instead of fitting it",
        changed(
            PROBE,
            (
                "torch.cat([h, torch.ones(len(h), 1)], dim=1)",
                "torch.cat([h - h.mean(dim=0), torch.ones(len(h), 1)], dim=1)",
            ),
        ),
    ),
    Mutant(
        "ex22-4",
        "does not penalise the row of the constants",
        changed(
            PROBE,
            (
                "    return torch.linalg.solve",
                "    gram[-1, -1] -= ridge\n    return torch.linalg.solve",
            ),
        ),
    ),
    Mutant(
        "ex22-4",
        "least squares without any ridge",
        changed(
            PROBE,
            (
                "    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])\n"
                "    return torch.linalg.solve(gram, A.T @ Y / len(A))",
                "    return torch.linalg.pinv(A) @ Y",
            ),
        ),
    ),
    Mutant(
        "ex22-4",
        "takes the class with the smallest score",
        changed(PROBE, ("scores.argmax(dim=1)", "scores.argmin(dim=1)")),
    ),
    Mutant(
        "ex22-4",
        "forgets the constant when predicting",
        changed(PROBE, ("h @ W[:-1] + W[-1]", "h @ W[:-1]")),
    ),
    Mutant(
        "ex22-4",
        "five thousand steps of gradient descent in place of the solution",
        changed(
            PROBE,
            (
                "    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])\n"
                "    return torch.linalg.solve(gram, A.T @ Y / len(A))",
                "    W = torch.zeros(A.shape[1], classes)\n"
                "    L = float(torch.linalg.matrix_norm(A, 2) ** 2 / len(A) + ridge)\n"
                "    for _ in range(5000):\n"
                "        W = W - (A.T @ (A @ W - Y) / len(A) + ridge * W) / L\n"
                "    return W",
            ),
        ),
    ),
    Mutant(
        "ex22-4",
        "single precision for everything: the weights are rounded",
        changed(
            PROBE,
            ("    Y = F.one", "    A = A.float()\n    Y = F.one"),
            ("torch.eye(A.shape[1])", "torch.eye(A.shape[1], dtype=A.dtype)"),
        ),
    ),
    # 22.5 similarity matching
    Mutant(
        "ex22-5",
        "no gradient for one side of the product: half the gradient",
        changed(SIM, ("z @ z.T", "z @ z.detach().T")),
    ),
    Mutant(
        "ex22-5",
        "the length is taken for a constant when differentiating",
        changed(
            SIM,
            (
                "    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)",
                "    c = h - h.mean(dim=1, keepdim=True)\n"
                "    z = c / c.detach().norm(dim=1, keepdim=True).clamp(min=1e-8)",
            ),
        ),
    ),
    Mutant(
        "ex22-5",
        "centres the features over the batch instead of each row",
        changed(SIM, ("h.mean(dim=1, keepdim=True)", "h.mean(dim=0, keepdim=True)")),
    ),
    Mutant(
        "ex22-5",
        "plain cosine, rows are not centred",
        changed(SIM, ("h - h.mean(dim=1, keepdim=True)", "h")),
    ),
    Mutant(
        "ex22-5",
        "inner products, rows are not scaled",
        changed(
            SIM,
            (
                "F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)",
                "h - h.mean(dim=1, keepdim=True)",
            ),
        ),
    ),
    Mutant(
        "ex22-5",
        "divides by a length that may be zero",
        changed(
            SIM,
            (
                "    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)",
                "    z = h - h.mean(dim=1, keepdim=True)\n"
                "    z = z / z.norm(dim=1, keepdim=True)",
            ),
        ),
    ),
    Mutant(
        "ex22-5",
        "sums over the pairs: the loss grows with the batch",
        changed(SIM, (".square().mean()", ".square().sum()")),
    ),
    Mutant(
        "ex22-5",
        "wants different classes at zero: compares with same or not same",
        changed(
            SIM,
            ("similarity(labels)).square()", "(y[:, None] == y).to(h.dtype)).square()"),
        ),
    ),
    Mutant(
        "ex22-5",
        "absolute differences instead of squares",
        changed(SIM, (".square().mean()", ".abs().mean()")),
    ),
    Mutant(
        "ex22-5",
        "normalises the columns of the features",
        changed(SIM, ("dim=1, eps=1e-8", "dim=0, eps=1e-8")),
    ),
    # 22.6 Forward-Forward
    Mutant(
        "ex22-6",
        "negatives leak the true label: drawn from all classes",
        changed(
            FORWARD, ("(y + torch.randint(1, classes", "(y + torch.randint(0, classes")
        ),
    ),
    Mutant(
        "ex22-6",
        "negatives are the batch's labels in another order",
        changed(
            FORWARD,
            (
                "(y + torch.randint(1, classes, y.shape, generator=g)) % classes",
                "y[torch.randperm(len(y), generator=g)]",
            ),
        ),
    ),
    Mutant(
        "ex22-6",
        "the wrong label is always the next one",
        changed(FORWARD, ("torch.randint(1, classes, y.shape, generator=g)", "1")),
    ),
    Mutant(
        "ex22-6",
        "one shift for the whole batch",
        changed(FORWARD, ("y.shape, generator", "(1,), generator")),
    ),
    Mutant(
        "ex22-6",
        "draws from all and moves hits on by one: the next label comes twice as often",
        changed(
            FORWARD,
            (
                "    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
                "    drawn = torch.randint(0, classes, y.shape, generator=g)\n"
                "    return torch.where(drawn == y, (y + 1) % classes, drawn)",
            ),
        ),
    ),
    Mutant(
        "ex22-6",
        "both signs turned: right samples are made quiet",
        changed(
            FORWARD, ("theta - good", "good - theta"), ("bad - theta", "theta - bad")
        ),
    ),
    Mutant(
        "ex22-6",
        "goodness is a sum of squares: wide layers are over the threshold at once",
        changed(FORWARD, ("h.square().mean(dim=1)", "h.square().sum(dim=1)")),
    ),
    Mutant(
        "ex22-6",
        "an exponential that overflows",
        changed(
            FORWARD,
            ("F.softplus(theta - good)", "torch.log(1 + torch.exp(theta - good))"),
            ("F.softplus(bad - theta)", "torch.log(1 + torch.exp(bad - theta))"),
        ),
    ),
    Mutant(
        "ex22-6",
        "averages the goodness over the batch before the logistic loss",
        changed(FORWARD, (".mean(dim=1) for h", ".mean() for h")),
    ),
    Mutant(
        "ex22-6",
        "draws three times again, then moves hits on by one: the next label a little too often",
        changed(
            FORWARD,
            (
                "    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
                "    out = torch.randint(0, classes, y.shape, generator=g)\n"
                "    for _ in range(3):\n"
                "        bad = out == y\n"
                "        out[bad] = torch.randint(0, classes, (int(bad.sum()),), generator=g)\n"
                "    return torch.where(out == y, (y + 1) % classes, out)",
            ),
        ),
    ),
    Mutant(
        "ex22-6",
        "draws twice, then moves hits on by one",
        changed(
            FORWARD,
            (
                "    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
                "    drawn = torch.randint(0, classes, y.shape, generator=g)\n"
                "    again = torch.randint(0, classes, y.shape, generator=g)\n"
                "    drawn = torch.where(drawn == y, again, drawn)\n"
                "    return torch.where(drawn == y, (y + 1) % classes, drawn)",
            ),
        ),
    ),
    Mutant(
        "ex22-6",
        "samples share their shifts in pairs",
        changed(
            FORWARD,
            (
                "torch.randint(1, classes, y.shape, generator=g)",
                "torch.randint(1, classes, ((len(y) + 1) // 2,), generator=g)"
                ".repeat_interleave(2)[: len(y)]",
            ),
        ),
    ),
    Mutant(
        "ex22-6",
        "right value, gradient of a hinge: samples over the threshold learn nothing",
        changed(
            FORWARD,
            (
                "    return F.softplus(theta - good)",
                "    def logistic(t):\n"
                "        return F.relu(t) + (F.softplus(t) - F.relu(t)).detach()\n\n"
                "    return logistic(theta - good)",
            ),
            ("F.softplus(bad - theta)", "logistic(bad - theta)"),
        ),
    ),
    # 22.7 two schedules
    Mutant(
        "ex22-7",
        "finished modules are frozen for good: nobody can train on",
        changed(
            CHAIN,
            (
                "    for module in modules:\n        module.eval()\n",
                "    for module in modules:\n"
                "        module.eval()\n"
                "        module.requires_grad_(False)\n",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "frozen modules stay in training mode: BatchNorm goes on counting",
        changed(
            CHAIN, ("module.train(k in learning)", "module.train(k <= learning[-1])")
        ),
    ),
    Mutant(
        "ex22-7",
        "modules that have finished go on learning",
        changed(
            CHAIN,
            (
                "[[k] for k in range(len(modules))]",
                "[range(k + 1) for k in range(len(modules))]",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "greedy from the top down",
        changed(
            CHAIN,
            (
                "[[k] for k in range(len(modules))]",
                "[[k] for k in reversed(range(len(modules)))]",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "shares the batches among the modules instead of giving each all of them",
        changed(
            CHAIN,
            (
                "for x, y in batches:",
                "for x, y in batches[learning[0] :: len(phases)]:",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "a new optimiser in every step: Adam forgets",
        changed(
            CHAIN,
            (
                "                    optimisers[k].zero_grad()",
                "                    optimisers[k] = torch.optim.Adam(\n"
                "                        [*modules[k].parameters(), *heads[k].parameters()], lr=lr\n"
                "                    )\n"
                "                    optimisers[k].zero_grad()",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "one shared optimiser for everything, stepped after each loss",
        changed(
            CHAIN,
            (
                "    optimisers = [\n"
                "        torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both\n"
                "    ]\n",
                "    weights = [p for f, a in both for p in [*f.parameters(), *a.parameters()]]\n"
                "    optimisers = [torch.optim.Adam(weights, lr=lr)] * len(both)\n",
            ),
            (
                "                    optimisers[k].zero_grad()\n",
                "                    modules[k].zero_grad()\n                    heads[k].zero_grad()\n",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "later modules run along before their turn",
        changed(
            CHAIN,
            ("range(learning[-1] + 1)", "range(len(modules))"),
            ("module.train(k in learning)", "module.train(k >= learning[0])"),
        ),
    ),
    Mutant(
        "ex22-7",
        "no training mode: modules learn as they were left",
        changed(
            CHAIN,
            (
                "        for k, module in enumerate(modules):\n"
                "            module.train(k in learning)\n",
                "        for k, module in enumerate(modules):\n"
                "            if k < learning[0]:\n"
                "                module.eval()\n",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "every module is fed the data, not the features before it",
        changed(
            CHAIN,
            (
                "h = modules[k](h.detach())",
                "h = modules[k](F.pad(x, (0, 1)) if k else x)",
            ),
        ),
    ),
    Mutant(
        "ex22-7",
        "no detach: all losses of a pass go back end to end",
        changed(
            CHAIN,
            ("            h = x\n", "            h, total = x, 0\n"),
            ("h.detach()", "h"),
            ("                    optimisers[k].zero_grad()\n", ""),
            (
                "                    F.cross_entropy(heads[k](h), y).backward()\n"
                "                    optimisers[k].step()\n",
                "                    total = total + F.cross_entropy(heads[k](h), y)\n"
                "            for k in learning:\n"
                "                optimisers[k].zero_grad()\n"
                "            total.backward()\n"
                "            for k in learning:\n"
                "                optimisers[k].step()\n",
            ),
        ),
    ),
    slip(
        "ex22-1",
        "equal accuracies are a claim for the first",
        (
            "if abs(mean) <= quantile(len(a) - 1) * error:",
            "if abs(mean) < quantile(len(a) - 1) * error:",
        ),
    ),
    slip(
        "ex22-1",
        "divides by a standard error that may be zero",
        (
            "    if abs(mean) <= quantile(len(a) - 1) * error:",
            "    t = mean / error\n    if abs(t) <= quantile(len(a) - 1):",
        ),
        ("return 'b' if mean > 0 else 'a'", "return 'b' if t > 0 else 'a'"),
    ),
    Mutant(
        "ex22-1",
        "whoever is ahead with every seed",
        """def paired_difference(a, b):
    d = torch.tensor(b) - torch.tensor(a)
    return d.mean().item(), d.std().item() / math.sqrt(len(d))
def claim(a, b):
    mean, error = paired_difference(a, b)
    n=sum(y > x for x, y in zip(a, b)); m=sum(y < x for x, y in zip(a, b))
    return "b" if n == len(a) else "a" if m == len(a) else 'undecided'""",
    ),
    slip(
        "ex22-1",
        "the quantile of a one-sided test",
        (
            "if abs(mean) <= quantile(len(a) - 1) * error:",
            "if abs(mean) <= float(stats.t.ppf(0.95, len(a) - 1)) * error:",
        ),
    ),
    slip(
        "ex22-2",
        "puts the modules into evaluation mode",
        (
            "    for module, head, optimiser in zip(modules, heads, optimisers, strict=True):",
            "    for module, head, optimiser in zip(modules, heads, optimisers, strict=True):\n"
            "        module.eval()",
        ),
    ),
    slip(
        "ex22-2",
        "cross-entropy with smoothed labels",
        (
            "loss = F.cross_entropy(head(h), y)",
            "loss = F.cross_entropy(head(h), y, label_smoothing=0.01)",
        ),
    ),
    slip(
        "ex22-2",
        "cuts long gradients to length one",
        (
            "        loss.backward()",
            "        loss.backward()\n"
            "        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g['params']], 1.0)",
        ),
    ),
    slip(
        "ex22-2",
        "scores are taken for log-probabilities",
        ("loss = F.cross_entropy(head(h), y)", "loss = F.nll_loss(head(h), y)"),
    ),
    Mutant(
        "ex22-3",
        "adds the entries up: what cancels has reached nobody",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool(g.sum() != 0) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "only positive entries count",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool((g > 0).any()) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "a faint gradient is taken for rounding",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool(g.abs().max() > 1e-08) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "every entry must be other than zero",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool(g.all()) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "looks at the first entry only",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool(g.flatten()[0] != 0) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "squares of small entries vanish in rounding",
        changed(
            ISOLATION_2,
            (
                "matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "matrix[j, i] = any((g is not None and bool(g.square().sum() > 0) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "the last question uses the graph up",
        changed(
            ISOLATION_2,
            (
                "            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)\n"
                "            matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "            found = torch.autograd.grad(loss, own, retain_graph=j < len(losses) - 1, allow_unused=True)\n"
                "            matrix[j, i] = any((g is not None and bool(g.any()) for g in found))",
            ),
        ),
    ),
    Mutant(
        "ex22-3",
        "leaves the modules in evaluation mode",
        changed(
            ISOLATION_2,
            (
                "            matrix[j, i] = any((g is not None and bool(g.count_nonzero()) for g in found))",
                "            matrix[j, i] = any((g is not None and bool(g.any()) for g in found))\n"
                "    [m.eval() for m in modules]",
            ),
        ),
    ),
    slip(
        "ex22-4",
        "the row of the constants comes first",
        (
            "A = torch.cat([h, torch.ones(len(h), 1)], dim=1)",
            "A = torch.cat([torch.ones(len(h), 1), h], dim=1)",
        ),
        ("scores = h @ W[:-1] + W[-1]", "scores = h @ W[1:] + W[0]"),
    ),
    slip(
        "ex22-4",
        "as many columns as classes occur",
        ("Y = F.one_hot(y, classes).to(A.dtype)", "Y = F.one_hot(y).to(A.dtype)"),
    ),
    slip(
        "ex22-4",
        "targets of plus and minus one",
        (
            "Y = F.one_hot(y, classes).to(A.dtype)",
            "Y = F.one_hot(y, classes).to(A.dtype) * 2 - 1",
        ),
    ),
    slip(
        "ex22-4",
        "the largest score over the samples, not the classes",
        (
            "return (scores.argmax(dim=1) == y).double().mean().item()",
            "return (scores.argmax(dim=0)[:len(y)] == y[:scores.shape[1]]).double().mean().item()",
        ),
    ),
    slip(
        "ex22-4",
        "cuts off weak directions in place of the ridge",
        (
            "return torch.linalg.solve(gram, A.T @ Y / len(A))",
            "return torch.linalg.pinv(A, rtol=0.001) @ Y",
        ),
    ),
    slip(
        "ex22-4",
        "the ridge is always the default",
        (
            "gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])",
            "gram = A.T @ A / len(A) + 0.001 * torch.eye(A.shape[1])",
        ),
    ),
    slip(
        "ex22-5",
        "as many classes as occur in the batch",
        (
            "labels = F.one_hot(y, classes).to(h.dtype)",
            "labels = F.one_hot(y, int(y.max()) + 1).to(h.dtype)",
        ),
    ),
    slip(
        "ex22-5",
        "always ten classes",
        (
            "labels = F.one_hot(y, classes).to(h.dtype)",
            "labels = F.one_hot(y, max(10, classes)).to(h.dtype)",
        ),
    ),
    slip(
        "ex22-5",
        "a mean over pairs of different samples",
        (
            "return (similarity(h) - similarity(labels)).square().mean()",
            "return (similarity(h) - similarity(labels)).square().sum() / (len(h) * (len(h) - 1))",
        ),
    ),
    slip(
        "ex22-5",
        "adds a small number to every length",
        (
            "    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-08)",
            "    z = h - h.mean(dim=1, keepdim=True)\n"
            "    z = z / (z.norm(dim=1, keepdim=True) + 1e-06)",
        ),
    ),
    Mutant(
        "ex22-5",
        "centres the caller's features in place",
        """def similarity(h):
    h = h.sub_(h.mean(dim=1, keepdim=True)) if not h.requires_grad else h - h.mean(dim=1, keepdim=True); z = F.normalize(h, dim=1, eps=1e-8)
    return z @ z.T
def sim_loss(h, y, classes):
    labels = F.one_hot(y, classes).to(h.dtype)
    return (similarity(h) - similarity(labels)).square().mean()""",
    ),
    slip(
        "ex22-6",
        "the threshold of wrong samples is always two",
        (
            "return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()",
            "return F.softplus(theta - good).mean() + F.softplus(bad - 2.0).mean()",
        ),
    ),
    slip(
        "ex22-6",
        "the mean of the two terms, not their sum",
        (
            "return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()",
            "return (F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()) / 2",
        ),
    ),
    slip(
        "ex22-6",
        "compares right with wrong, without a threshold",
        (
            "return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()",
            "return F.softplus(bad.mean() - good).mean()",
        ),
    ),
    slip(
        "ex22-6",
        "a hinge in place of the logistic loss",
        (
            "return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()",
            "return F.relu(theta - good).mean() + F.relu(bad - theta).mean()",
        ),
    ),
    slip(
        "ex22-6",
        "one of the wrong labels never comes",
        (
            "return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
            "return (y + torch.randint(1, max(classes - 1, 2), y.shape, generator=g)) % classes",
        ),
    ),
    slip(
        "ex22-6",
        "changes the true labels in place",
        (
            "return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
            "return y.add_(torch.randint(1, classes, y.shape, generator=g)).remainder_(classes)",
        ),
    ),
    slip(
        "ex22-7",
        "goes through the last batch twice",
        (
            "for x, y in batches:",
            "for x, y in [*batches[:-1], batches[-1], batches[-1]]:",
        ),
    ),
    slip(
        "ex22-7",
        "later modules take the batches backwards",
        (
            "for x, y in batches:",
            "for x, y in batches if learning[0] == 0 else batches[::-1]:",
        ),
    ),
    slip(
        "ex22-7",
        "plain descent in place of Adam",
        (
            "optimisers = [torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both]",
            "optimisers = [torch.optim.SGD([*f.parameters(), *a.parameters()], lr=lr) for f, a in both]",
        ),
    ),
    slip(
        "ex22-7",
        "hands on what the module computes after its step",
        (
            "                h = modules[k](h.detach())",
            "                h_in = h.detach()\n                h = modules[k](h_in)",
        ),
        (
            "                    optimisers[k].step()",
            "                    optimisers[k].step()\n"
            "                    h = modules[k](x if k == 0 else h_in)",
        ),
    ),
    slip(
        "ex22-7",
        "later modules learn at a lower rate",
        (
            "    optimisers = [torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both]",
            "    optimisers = [torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both]\n"
            "    for k, o in enumerate(optimisers):\n"
            "        o.param_groups[0]['lr'] = lr / (k + 1)",
        ),
    ),
    slip(
        "ex22-7",
        "after the greedy phases one more for all",
        (
            "phases = [[k] for k in range(len(modules))] if greedy else [range(len(modules))]",
            "phases = [[k] for k in range(len(modules))] + [range(len(modules))] if greedy else [range(len(modules))]",
        ),
    ),
    Mutant(
        "ex22-4",
        "centres the features in place",
        """def fit_probe(h, y, classes=10, ridge=1e-3):
    h -= h.mean(dim=0)
    A = torch.cat([h, torch.ones(len(h), 1)], dim=1)
    Y = F.one_hot(y, classes).to(A.dtype)
    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])
    return torch.linalg.solve(gram, A.T @ Y / len(A))
def probe_accuracy(W, h, y):
    return ((h @ W[:-1] + W[-1]).argmax(dim=1) == y).double().mean().item()""",
    ),
    slip(
        "ex22-6",
        "squares the activities in place",
        (
            "    good, bad = (h.square().mean(dim=1) for h in (right, wrong))",
            "    if not right.requires_grad:\n"
            "        (right.square_(), wrong.square_())\n"
            "        good, bad = (right.mean(dim=1), wrong.mean(dim=1))\n"
            "    else:\n"
            "        good, bad = (right.square().mean(dim=1), wrong.square().mean(dim=1))",
        ),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex22-1",
        "plain Python sums",
        """def paired_difference(a, b):
    d = [v - u for u, v in zip(a, b, strict=True)]
    mean = sum(d) / len(d)
    square = sum((v - mean) ** 2 for v in d) / (len(d) - 1)
    return mean, (square / len(d)) ** 0.5


def claim(a, b):
    mean, error = paired_difference(a, b)
    reach = quantile(len(a) - 1) * error
    if mean > reach:
        return "b"
    return "a" if mean < -reach else "undecided"
""",
    ),
    Alternative(
        "ex22-1",
        "through a confidence interval",
        """def paired_difference(a, b):
    d = torch.tensor([v - u for u, v in zip(a, b, strict=True)])
    return float(d.mean()), float((d.var() / d.numel()).sqrt())


def claim(a, b):
    mean, error = paired_difference(a, b)
    half = quantile(len(b) - 1) * error
    low, high = mean - half, mean + half
    return "b" if low > 0 else ("a" if high < 0 else "undecided")
""",
    ),
    Alternative(
        "ex22-2",
        "one backward pass through the sum of losses that are cut apart",
        summed("h.detach()", "    sum(losses).backward()"),
    ),
    Alternative(
        "ex22-2",
        "hands on a detached state",
        changed(
            STEP,
            ("module(h.detach())", "module(h)"),
            ("        losses.append", "        h = h.detach()\n        losses.append"),
        ),
    ),
    Alternative(
        "ex22-2",
        "gradients by autograd.grad, written into the parameters",
        """def local_step(modules, heads, optimisers, x, y):
    losses, h = [], x
    for k, optimiser in enumerate(optimisers):
        out = modules[k](h)
        loss = F.cross_entropy(heads[k](out), y)
        weights = [*modules[k].parameters(), *heads[k].parameters()]
        for p, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            p.grad = grad
        optimiser.step()
        h = out.detach()
        losses.append(loss.item())
    return losses
""",
    ),
    Alternative(
        "ex22-3",
        "all parameters in one call per loss",
        """def isolation(losses, modules):
    rows = []
    for loss in losses:
        if not loss.requires_grad:
            rows.append([False] * len(modules))
            continue
        weights = [p for f in modules for p in f.parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        found = iter([g is not None and bool((g != 0).any()) for g in grads])
        rows.append(
            [any([next(found) for p in f.parameters() if p.requires_grad]) for f in modules]
        )
    return torch.tensor(rows)


def faults(found, declared):
    wrong = []
    for j, (row, other) in enumerate(zip(found.tolist(), declared.tolist())):
        for i, (is_there, should) in enumerate(zip(row, other)):
            if is_there != should:
                wrong.append((j, i, "none" if should else "leak"))
    return wrong
""",
    ),
    Alternative(
        "ex22-3",
        "with backward, the old gradients put aside and back",
        by_backward(
            kept="    kept = [p.grad for p in parameters]",
            clear="        for p in parameters:\n            p.grad = None",
            restore="    for p, grad in zip(parameters, kept, strict=True):\n"
            "        p.grad = grad",
        ),
    ),
    Alternative(
        "ex22-4",
        "as an ordinary least-squares problem with extra rows",
        """def fit_probe(h, y, classes=10, ridge=1e-3):
    A = F.pad(h, (0, 1), value=1.0) / math.sqrt(len(h))
    Y = torch.eye(classes)[y] / math.sqrt(len(h))
    n = A.shape[1]
    A = torch.cat([A, math.sqrt(ridge) * torch.eye(n)])
    return torch.linalg.lstsq(A, torch.cat([Y, torch.zeros(n, classes)])).solution


def probe_accuracy(W, h, y):
    found = (F.pad(h, (0, 1), value=1.0) @ W).max(dim=1).indices
    return int((found == y).sum()) / len(y)
""",
    ),
    Alternative(
        "ex22-4",
        "in the dual: one equation per sample",
        """def fit_probe(h, y, classes=10, ridge=1e-3):
    A = torch.hstack([h, torch.ones(len(h), 1)])
    kernel = A @ A.T + ridge * len(A) * torch.eye(len(A))
    return A.T @ torch.linalg.solve(kernel, F.one_hot(y, classes).double())


def probe_accuracy(W, h, y):
    scores = torch.hstack([h, torch.ones(len(h), 1)]) @ W
    return float((scores.argmax(1) == y).sum() / len(y))
""",
    ),
    Alternative(
        "ex22-5",
        "lengths kept away from zero by a maximum",
        """def similarity(h):
    c = h - h.mean(1, keepdim=True)
    length = c.square().sum(1, keepdim=True).clamp(min=1e-16).sqrt()
    return (c / length) @ (c / length).T


def sim_loss(h, y, classes):
    gap = similarity(h) - similarity(torch.eye(classes)[y])
    return (gap * gap).sum() / len(h) ** 2
""",
    ),
    Alternative(
        "ex22-5",
        "covariances divided by lengths, with the mean squared error of torch",
        """def similarity(h):
    c = h - h.mean(dim=1)[:, None]
    z = c / c.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return torch.einsum("in,jn->ij", z, z)


def sim_loss(h, y, classes):
    return F.mse_loss(similarity(h), similarity(F.one_hot(y, classes).double()))
""",
    ),
    Alternative(
        "ex22-6",
        "draws among the first labels and skips the right one",
        changed(
            FORWARD,
            (
                "    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes",
                "    drawn = torch.randint(classes - 1, y.shape, generator=g)\n"
                "    return drawn + (drawn >= y)",
            ),
        ),
    ),
    Alternative(
        "ex22-6",
        "logsigmoid, and weights that are zero for the right label",
        """def wrong_labels(y, classes, g):
    weights = 1.0 - F.one_hot(y, classes)
    return torch.multinomial(weights, 1, generator=g)[:, 0]


def goodness_loss(right, wrong, theta=2.0):
    good, bad = (right * right).mean(-1), (wrong * wrong).mean(-1)
    return -F.logsigmoid(good - theta).mean() - F.logsigmoid(theta - bad).mean()
""",
    ),
    Alternative(
        "ex22-7",
        "greedy on stored features of the finished modules",
        """def train_chain(modules, heads, batches, lr, greedy=False):
    K = len(modules)
    makers = [
        torch.optim.Adam([*modules[k].parameters(), *heads[k].parameters()], lr=lr)
        for k in range(K)
    ]

    def learn(k, h, y):
        out = modules[k](h)
        makers[k].zero_grad()
        F.cross_entropy(heads[k](out), y).backward()
        makers[k].step()
        return out.detach()

    for module in modules:
        module.train()
    if greedy:
        inputs = [x for x, _ in batches]
        for k in range(K):
            for h, (_, y) in zip(inputs, batches, strict=True):
                learn(k, h, y)
            modules[k].eval()
            with torch.no_grad():
                inputs = [modules[k](h) for h in inputs]
        return
    for x, y in batches:
        for k in range(K):
            x = learn(k, x, y)
    for module in modules:
        module.eval()
""",
    ),
    Alternative(
        "ex22-7",
        "through the local step, on the modules whose turn it is",
        """def train_chain(modules, heads, batches, lr, greedy=False):
    makers = optimisers_of(modules, heads, partial(torch.optim.Adam, lr=lr))
    spans = [(k, k + 1) for k in range(len(modules))] if greedy else [(0, len(modules))]
    for first, last in spans:
        for f in modules[first:last]:
            f.train()
        for x, y in batches:
            with torch.no_grad():
                for f in modules[:first]:
                    x = f(x)
            span = slice(first, last)
            local_step(modules[span], heads[span], makers[span], x, y)
        for f in modules[first:last]:
            f.eval()
""",
    ),
    Alternative(
        "ex22-3",
        "counts the entries",
        ISOLATION_2,
    ),
    Alternative(
        "ex22-4",
        "sample by sample, counted in Python",
        """def fit_probe(h, y, classes=10, ridge=1e-3):
    A = torch.cat([h, torch.ones(len(h), 1)], dim=1)
    Y = F.one_hot(y, classes).to(A.dtype)
    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])
    return torch.linalg.solve(gram, A.T @ Y / len(A))
def probe_accuracy(W, h, y):
    scores = h @ W[:-1] + W[-1]
    return sum(int(s.argmax()) == int(c) for s, c in zip(scores, y)) / len(y)""",
    ),
    Alternative(
        "ex22-5",
        "labels in single precision",
        """def similarity(h):
    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)
    return z @ z.T
def sim_loss(h, y, classes):
    labels = F.one_hot(y, classes).float()
    return (similarity(h) - similarity(labels)).square().mean()""",
    ),
    Alternative(
        "ex22-6",
        "draws again until none is right, and the logistic loss in two parts",
        """def wrong_labels(y, classes, g):
    d = torch.randint(classes, y.shape, generator=g)
    while (d == y).any():
        d = torch.where(d == y, torch.randint(classes, y.shape, generator=g), d)
    return d
def goodness_loss(right, wrong, theta=2.0):
    good, bad = (h.square().mean(dim=1) for h in (right, wrong))
    return torch.log1p(torch.exp(-(good-theta).abs())).mean() + F.relu(theta-good).mean() - F.logsigmoid(theta - bad).mean()""",
    ),
]
