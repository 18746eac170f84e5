"""Chapter 24: what students get wrong in kernel modules, and other right answers."""

from tests.course.mutants import Alternative, Mutant, slip


def function(head: str, body: str) -> str:
    """A function from its signature and its body."""
    lines = "\n".join(" " * 4 + line for line in body.splitlines())
    return f"def {head}:\n{lines}\n"


UNIT = "return h / h.norm(dim=1, keepdim=True).clamp(min=1e-12)"
GRAM = "z = unit(h)\nreturn z @ z.T"


def features(unit: str = UNIT, gram: str = GRAM) -> str:
    """Both functions of exercise 24.1, one of them with another body."""
    return function("unit(h)", unit) + "\n\n" + function("gram(h)", gram)


def output(body: str) -> str:
    """The function of exercise 24.2."""
    return function("kernel_output(G, Y, G_new, lam)", "n = len(G)\n" + body)


def places(body: str) -> str:
    """The function of exercise 24.3."""
    return function("farthest(classes, nonnegative)", body)


RISK = """centred, target = z - z.mean(dim=0), y - y.mean()
d = z.shape[1]
w = torch.linalg.solve(
    centred.T @ centred / len(z) + lam * torch.eye(d), centred.T @ target / len(z)
)
return (target - centred @ w).square().mean() + lam * w.square().sum()"""

BOUND = """sign = 2.0 * same - 1
squared = 4 * (sign * G).sum() / len(G) ** 2
return lam / (lam + squared / 4)"""


def bounds(risk: str = RISK, bound: str = BOUND) -> str:
    """Both functions of exercise 24.4, one of them with another body."""
    return (
        function("output_risk(z, y, lam)", risk)
        + "\n\n"
        + function("risk_bound(G, same, lam)", bound)
    )


ALL = """ideal = same.to(G.dtype)
return (G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)"""

UPPER = """i, j = torch.triu_indices(*G.shape, offset=1)
values, ideal = G[i, j], same[i, j].to(G.dtype)
return (values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)"""


def alignments(whole: str = ALL, upper: str = UPPER) -> str:
    """Both functions of exercise 24.5, one of them with another body."""
    return (
        function("alignment(G, same)", whole)
        + "\n\n"
        + function("upper_alignment(G, same)", upper)
    )


CONTRAST = """i, j = torch.triu_indices(*G.shape, offset=1)
values, alike = G[i, j], same[i, j]
return values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)"""

SQUARES = "return -G[~same].square().mean()"


def contrasts(contrast: str = CONTRAST, squares: str = SQUARES) -> str:
    """Both functions of exercise 24.6, one of them with another body."""
    return (
        function("log_contrastive(G, same)", contrast)
        + "\n\n"
        + function("negative_squares(G, same)", squares)
    )


TRAIN = """def pair_train(hidden, draw, proxy, steps, lr=2e-3):
    optimiser = torch.optim.Adam(hidden.parameters(), lr=lr)
    values = []
    hidden.train()
    for _ in range(steps):
        x, same = draw()
        value = proxy(gram(hidden(x)), same)
        optimiser.zero_grad()
        (-value).backward()
        optimiser.step()
        values.append(value.item())
    hidden.eval()
    hidden.requires_grad_(False)
    return values
"""


def training(*changes: tuple[str, str]) -> str:
    """The loop of exercise 24.7 with some of its lines changed."""
    code = TRAIN
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return code


RANKS = """ranks = []
for v in (a, b):
    below = (v[:, None] > v).double().sum(dim=1)
    equal = (v[:, None] == v).double().sum(dim=1)
    rank = below + (equal + 1) / 2
    ranks.append(rank - rank.mean())
return (ranks[0] @ ranks[1]) / (ranks[0].norm() * ranks[1].norm())"""

CHANCE = """observed, count = spearman(a, b), 0
for _ in range(draws):
    order = torch.randperm(len(a), generator=generator)
    count += bool(spearman(a[order], b) >= observed - 1e-9)
return (1 + count) / (1 + draws)"""


def statistics(
    ranks: str = RANKS,
    chance: str = CHANCE,
    changes: tuple[tuple[str, str], ...] = (),
) -> str:
    """Both functions of exercise 24.8, with other bodies or some of the lines changed."""
    code = (
        function("spearman(a, b)", ranks)
        + "\n\n"
        + function("permutation_p(a, b, draws, generator)", chance)
    )
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return code


MUTANTS = [
    # 24.1 unit-norm features and their kernel
    Mutant(
        "ex24-1",
        "inner products without unit norm: long samples count more",
        features(gram="return h @ h.T"),
    ),
    Mutant(
        "ex24-1",
        "normalises features over the batch instead of samples",
        features(unit="return h / h.norm(dim=0, keepdim=True).clamp(min=1e-12)"),
    ),
    Mutant(
        "ex24-1",
        "adds a constant to the length, so that small samples have less than norm 1",
        features(unit="return h / (h.norm(dim=1, keepdim=True) + 1e-6)"),
    ),
    Mutant(
        "ex24-1",
        "divides silent samples by zero",
        features(unit="return h / h.norm(dim=1, keepdim=True)"),
    ),
    Mutant(
        "ex24-1",
        "divides by the squared norm",
        features(
            unit="return h / h.square().sum(dim=1, keepdim=True).clamp(min=1e-12)"
        ),
    ),
    Mutant(
        "ex24-1",
        "correlation instead of cosine: subtracts each sample's mean",
        features(
            gram="z = unit(h - h.mean(dim=1, keepdim=True))\nreturn z @ z.T",
        ),
    ),
    Mutant(
        "ex24-1",
        "treats the length as a constant when differentiating",
        features(
            unit="return h / h.norm(dim=1, keepdim=True).detach().clamp(min=1e-12)"
        ),
    ),
    Mutant(
        "ex24-1",
        "compares features with features: z.T @ z",
        features(gram="z = unit(h)\nreturn z.T @ z"),
    ),
    Mutant(
        "ex24-1",
        "scales by the largest entry, not by the length",
        features(unit="return h / h.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)"),
    ),
    Mutant(
        "ex24-1",
        "one side of the product is cut: half of the gradient",
        features(gram="z = unit(h)\nreturn z @ z.detach().T"),
    ),
    Mutant(
        "ex24-1",
        "the gradient of plain inner products behind the values of cosines",
        features(
            gram="z = unit(h)\nraw = h @ h.T\nreturn raw + (z @ z.T - raw).detach()"
        ),
    ),
    # 24.2 an output module that never sees a feature
    Mutant(
        "ex24-2",
        "the ridge grows with new samples: n counts the wrong side",
        output(
            "return G_new @ torch.linalg.solve(G + lam * len(G_new) * torch.eye(n), Y)"
        ),
    ),
    Mutant(
        "ex24-2",
        "forgets that the loss is a mean: ridge without n",
        output("return G_new @ torch.linalg.solve(G + lam * torch.eye(n), Y)"),
    ),
    Mutant(
        "ex24-2",
        "no ridge at all: interpolates the labels",
        output("return G_new @ torch.linalg.pinv(G) @ Y"),
    ),
    Mutant(
        "ex24-2",
        "sums the labels of similar samples instead of solving",
        output("return G_new @ Y"),
    ),
    Mutant(
        "ex24-2",
        "averages labels with the cosines as weights",
        output("return G_new @ Y / (n * (1 + lam))"),
    ),
    Mutant(
        "ex24-2",
        "keeps a factor G that the gradient's equation loses",
        output(
            "return G_new @ torch.linalg.solve(G @ G + lam * n * torch.eye(n), G @ Y)"
        ),
    ),
    Mutant(
        "ex24-2",
        "divides the ridge by n instead of multiplying",
        output("return G_new @ torch.linalg.solve(G + lam / n * torch.eye(n), Y)"),
    ),
    Mutant(
        "ex24-2",
        "centres the targets, as with a bias that is not there",
        output(
            "A = torch.linalg.solve(G + lam * n * torch.eye(n), Y - Y.mean(dim=0))\n"
            "return G_new @ A + Y.mean(dim=0)"
        ),
    ),
    # 24.3 as far apart as the kernel allows
    Mutant(
        "ex24-3",
        "orthogonal vectors are the farthest, also for free features",
        places("return torch.eye(classes)"),
    ),
    Mutant(
        "ex24-3",
        "opposite pairs: some at -1, but the others at 0",
        places(
            "points = torch.eye(classes)\n"
            "if not nonnegative:\n"
            "    points[1::2] = -points[: 2 * (classes // 2) : 2]\n"
            "return points"
        ),
    ),
    Mutant(
        "ex24-3",
        "a regular polygon in the plane: neighbours are near",
        places(
            "if nonnegative:\n"
            "    return torch.eye(classes)\n"
            "points = torch.zeros(classes, classes)\n"
            "angle = 2 * math.pi * torch.arange(classes) / classes\n"
            "points[:, 0], points[:, 1] = angle.cos(), angle.sin()\n"
            "return points"
        ),
    ),
    Mutant(
        "ex24-3",
        "seen from the centre, but no longer of length 1",
        places(
            "points = torch.eye(classes)\n"
            "return points if nonnegative else points - 1 / classes"
        ),
    ),
    Mutant(
        "ex24-3",
        "the simplex with its negative entries cut off by ReLU",
        places(
            "points = unit(torch.eye(classes) - 1 / classes)\n"
            "return unit(points.relu()) if nonnegative else -points.abs()"
        ),
    ),
    Mutant(
        "ex24-3",
        "the simplex also for non-negative features",
        places("return unit(torch.eye(classes) - 1 / classes)"),
    ),
    Mutant(
        "ex24-3",
        "random directions, in the hope that high dimensions keep them apart",
        places(
            "g = torch.Generator().manual_seed(0)\n"
            "points = unit(torch.randn(classes, classes, generator=g))\n"
            "return points.abs() if nonnegative else points"
        ),
    ),
    # 24.4 the bound
    Mutant(
        "ex24-4",
        "two hundred steps of descent in place of the solution",
        bounds(
            risk="centred, target = z - z.mean(dim=0), y - y.mean()\n"
            "w = torch.zeros(z.shape[1])\n"
            "for _ in range(200):\n"
            "    step = centred.T @ (centred @ w - target) / len(z) + lam * w\n"
            "    w = w - step / (1 + lam)\n"
            "return (target - centred @ w).square().mean() + lam * w.square().sum()"
        ),
    ),
    Mutant(
        "ex24-4",
        "no bias: the features are not centred",
        bounds(risk=RISK.replace("z - z.mean(dim=0), y - y.mean()", "z, y")),
    ),
    Mutant(
        "ex24-4",
        "the bias pays ridge too",
        bounds(
            risk="z = torch.cat([z, torch.ones(len(z), 1)], dim=1)\n"
            + RISK.replace("z - z.mean(dim=0), y - y.mean()", "z, y")
        ),
    ),
    Mutant(
        "ex24-4",
        "leaves the ridge term out of the risk",
        bounds(risk=RISK.replace(" + lam * w.square().sum()", "")),
    ),
    Mutant(
        "ex24-4",
        "sums the loss instead of averaging it",
        bounds(risk=RISK.replace(".square().mean()", ".square().sum()")),
    ),
    Mutant(
        "ex24-4",
        "the ridge of a sum with the loss of a mean",
        bounds(risk=RISK.replace(" / len(z)", "")),
    ),
    Mutant(
        "ex24-4",
        "the bound of the best module instead of the one for this G",
        bounds(bound="return lam / (lam + 1.0)"),
    ),
    Mutant(
        "ex24-4",
        "leaves out the diagonal, which belongs to the class means",
        bounds(
            bound=BOUND.replace("(sign * G)", "(sign * (G - torch.diag(G.diag())))")
        ),
    ),
    Mutant(
        "ex24-4",
        "looks at different classes only, as if each were one point already",
        bounds(
            bound="squared = 2 - 2 * G[~same].mean()\nreturn lam / (lam + squared / 4)"
        ),
    ),
    Mutant(
        "ex24-4",
        "takes D where the theorem has D squared",
        bounds(bound=BOUND.replace("squared / 4", "squared.clamp(min=0).sqrt() / 4")),
    ),
    Mutant(
        "ex24-4",
        "forgets that n / 2 samples make a class mean: a factor of four",
        bounds(bound=BOUND.replace("4 * (sign", "(sign")),
    ),
    # 24.5 alignment, and the diagonal
    Mutant(
        "ex24-5",
        "the diagonal still counts in the upper alignment",
        alignments(upper=UPPER.replace("offset=1", "offset=0")),
    ),
    Mutant(
        "ex24-5",
        "norms over all entries, the inner product over pairs only",
        alignments(
            upper=UPPER.replace(
                "values.norm() * ideal.norm()", "G.norm() * same.to(G.dtype).norm()"
            )
        ),
    ),
    Mutant(
        "ex24-5",
        "not divided by the length of G: longer is better",
        alignments(
            whole="ideal = same.to(G.dtype)\nreturn (G * ideal).sum() / ideal.norm()"
        ),
    ),
    Mutant(
        "ex24-5",
        "matrix product instead of the product of entries",
        alignments(whole=ALL.replace("G * ideal", "G @ ideal")),
    ),
    Mutant(
        "ex24-5",
        "mean cosine of like pairs, blind to unlike ones",
        alignments(whole="return G[same].mean()"),
    ),
    Mutant(
        "ex24-5",
        "spectral norm for the length of a matrix",
        alignments(
            whole=ALL.replace("G.norm()", "torch.linalg.matrix_norm(G, 2)").replace(
                "ideal.norm()", "torch.linalg.matrix_norm(ideal, 2)"
            )
        ),
    ),
    Mutant(
        "ex24-5",
        "an ideal of plus and minus one, although the best cosine is not negative",
        alignments(
            upper=UPPER.replace("same[i, j].to(G.dtype)", "2.0 * same[i, j] - 1")
        ),
    ),
    Mutant(
        "ex24-5",
        "divides zero by zero",
        alignments(whole=ALL.replace(".clamp(min=1e-12)", "")),
    ),
    Mutant(
        "ex24-5",
        "cuts the gradient: a number instead of a tensor",
        alignments(upper=UPPER.replace("G[i, j], same", "G[i, j].detach(), same")),
    ),
    Mutant(
        "ex24-5",
        "the length of G is taken for a constant when differentiating",
        alignments(
            whole=ALL.replace("G.norm()", "G.norm().detach()"),
        ),
    ),
    Mutant(
        "ex24-5",
        "over pairs, too, the length is a constant for the gradient",
        alignments(upper=UPPER.replace("values.norm()", "values.norm().detach()")),
    ),
    Mutant(
        "ex24-5",
        "the gradient of the mean cosine of like pairs behind the right value",
        alignments(
            upper=UPPER.replace("return ", "value = ")
            + "\neasy = values[ideal > 0].mean()"
            + "\nreturn easy + (value - easy).detach()"
        ),
    ),
    # 24.6 contrast, and negative pairs only
    Mutant(
        "ex24-6",
        "the total is cut: like pairs are drawn together, unlike ones not pushed apart",
        contrasts(
            contrast=CONTRAST.replace(
                "- values.logsumexp(dim=0)", "- values.logsumexp(dim=0).detach()"
            )
        ),
    ),
    Mutant(
        "ex24-6",
        "the largest cosine is taken out and forgotten in the gradient",
        contrasts(
            contrast=CONTRAST.replace(
                "return values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)",
                "top = values.max()\n"
                "return (values[alike] - top.detach()).logsumexp(dim=0) "
                "- (values - top).logsumexp(dim=0)",
            )
        ),
    ),
    Mutant(
        "ex24-6",
        "squares with the gradient of half of them",
        contrasts(squares="return -(G * G.detach())[~same].mean()"),
    ),
    Mutant(
        "ex24-6",
        "a sample paired with itself counts as alike",
        contrasts(contrast=CONTRAST.replace("offset=1", "offset=0")),
    ),
    Mutant(
        "ex24-6",
        "like pairs against unlike ones, not against all",
        contrasts(contrast=CONTRAST.replace("- values.log", "- values[~alike].log")),
    ),
    Mutant(
        "ex24-6",
        "exponentials that overflow",
        contrasts(
            contrast=CONTRAST.replace(
                "values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)",
                "(values[alike].exp().sum() / values.exp().sum()).log()",
            )
        ),
    ),
    Mutant(
        "ex24-6",
        "means instead of sums: the share of like pairs is lost",
        contrasts(
            contrast=CONTRAST + " - math.log(alike.double().mean())",
        ),
    ),
    Mutant(
        "ex24-6",
        "the share itself, without its logarithm",
        contrasts(
            contrast=CONTRAST.replace("return values", "return (values").replace(
                "- values.logsumexp(dim=0)", "- values.logsumexp(dim=0)).exp()"
            )
        ),
    ),
    Mutant(
        "ex24-6",
        "pulls like pairs together although only unlike ones shall be seen",
        contrasts(squares="return -(G - 1.0 * same).square().mean()"),
    ),
    Mutant(
        "ex24-6",
        "cosines instead of squares: obtuse angles are rewarded",
        contrasts(squares="return -G[~same].mean()"),
    ),
    Mutant(
        "ex24-6",
        "a mean over all pairs, so that the number of classes changes the scale",
        contrasts(squares="return -(G * ~same).square().mean()"),
    ),
    Mutant(
        "ex24-6",
        "the wrong sign: unlike pairs are drawn together",
        contrasts(squares="return G[~same].square().mean()"),
    ),
    # 24.7 pairs in, a frozen module out
    Mutant("ex24-7", "minimises the proxy", training(("(-value)", "value"))),
    Mutant(
        "ex24-7",
        "freezes by eval only: the parameters still ask for gradients",
        training(("    hidden.requires_grad_(False)\n", "")),
    ),
    Mutant(
        "ex24-7",
        "stays in training mode: BatchNorm keeps moving",
        training(("    hidden.eval()\n", "")),
    ),
    Mutant(
        "ex24-7",
        "learns in evaluation mode, with the running means of BatchNorm",
        training(("    hidden.train()\n", "    hidden.eval()\n")),
    ),
    Mutant(
        "ex24-7",
        "takes the mode the module comes in",
        training(("    hidden.train()\n", "")),
    ),
    Mutant(
        "ex24-7",
        "gradients pile up over the steps",
        training(("        optimiser.zero_grad()\n", "")),
    ),
    Mutant(
        "ex24-7",
        "gives the proxy plain features' products instead of cosines",
        training(
            ("proxy(gram(hidden(x)), same)", "proxy(hidden(x) @ hidden(x).T, same)")
        ),
    ),
    Mutant(
        "ex24-7",
        "uses one batch for all steps",
        training(
            ("    hidden.train()\n", "    hidden.train()\n    x, same = draw()\n"),
            ("        x, same = draw()\n", ""),
        ),
    ),
    Mutant(
        "ex24-7",
        "measures after the step instead of before",
        training(
            (
                "values.append(value.item())",
                "values.append(proxy(gram(hidden(x)), same).item())",
            )
        ),
    ),
    Mutant(
        "ex24-7",
        "keeps tensors with their graphs instead of numbers",
        training(("value.item()", "value")),
    ),
    Mutant(
        "ex24-7",
        "forgets to let the optimiser step",
        training(("        optimiser.step()\n", "")),
    ),
    Mutant(
        "ex24-7",
        "proxy asked twice in a step, so that running means move twice",
        training(
            (
                "values.append(value.item())",
                "values.append(value.item())\n        hidden(x)",
            )
        ),
    ),
    # 24.8 ranks and chance
    Mutant(
        "ex24-8",
        "permutes with the correlation of the values",
        statistics(
            chance="observed = (a * b).sum()\n"
            "count = sum(\n"
            "    bool((a[torch.randperm(len(a), generator=generator)] * b).sum()\n"
            "         >= observed - 1e-9)\n"
            "    for _ in range(draws)\n"
            ")\n"
            "return (1 + count) / (1 + draws)"
        ),
    ),
    Mutant(
        "ex24-8",
        "permutes with the correlation of a's values and b's ranks",
        statistics(
            chance="r = (b[:, None] > b).double().sum(1) + (b[:, None] == b).double().sum(1) / 2\n"
            "observed, count = (a * r).sum(), 0\n"
            "for _ in range(draws):\n"
            "    order = torch.randperm(len(a), generator=generator)\n"
            "    count += bool((a[order] * r).sum() >= observed - 1e-9)\n"
            "return (1 + count) / (1 + draws)"
        ),
    ),
    Mutant(
        "ex24-8",
        "correlates the values, not their ranks",
        statistics(
            ranks="a, b = a - a.mean(), b - b.mean()\n"
            "return (a @ b) / (a.norm() * b.norm())"
        ),
    ),
    Mutant(
        "ex24-8",
        "sorting order taken for ranks",
        statistics(
            ranks="r = [v.argsort().double() for v in (a, b)]\n"
            "return torch.corrcoef(torch.stack(r))[0, 1]"
        ),
    ),
    Mutant(
        "ex24-8",
        "ties get different ranks, by their place in the list",
        statistics(
            ranks="r = [v.argsort(stable=True).argsort().double() for v in (a, b)]\n"
            "return torch.corrcoef(torch.stack(r))[0, 1]"
        ),
    ),
    Mutant(
        "ex24-8",
        "ties share the lowest of their ranks",
        statistics(changes=(("below + (equal + 1) / 2", "below + 1"),)),
    ),
    Mutant(
        "ex24-8",
        "dense ranks: a tie takes one place instead of several",
        statistics(
            ranks="r = [torch.unique(v, return_inverse=True)[1].double() "
            "for v in (a, b)]\n"
            "return torch.corrcoef(torch.stack(r))[0, 1]"
        ),
    ),
    Mutant(
        "ex24-8",
        "p may be zero: the observed pairing is not counted",
        statistics(changes=(("(1 + count) / (1 + draws)", "count / draws"),)),
    ),
    Mutant(
        "ex24-8",
        "equal correlations do not count",
        statistics(changes=((">= observed - 1e-9", "> observed + 1e-9"),)),
    ),
    Mutant(
        "ex24-8",
        "two-sided: a strong negative relation counts as evidence",
        statistics(
            changes=(
                (
                    "spearman(a[order], b) >= observed - 1e-9",
                    "abs(spearman(a[order], b)) >= abs(observed) - 1e-9",
                ),
            )
        ),
    ),
    Mutant(
        "ex24-8",
        "draws with repetition: a bootstrap instead of a permutation",
        statistics(
            changes=(
                (
                    "torch.randperm(len(a), generator=generator)",
                    "torch.randint(len(a), (len(a),), generator=generator)",
                ),
            )
        ),
    ),
    Mutant(
        "ex24-8",
        "shuffles both lists in the same order, which re-pairs nothing",
        statistics(
            changes=(("spearman(a[order], b)", "spearman(a[order], b[order])"),)
        ),
    ),
    Mutant(
        "ex24-8",
        "counts the draws that are worse",
        statistics(changes=((">= observed - 1e-9", "<= observed + 1e-9"),)),
    ),
    Mutant(
        "ex24-8",
        "ignores the generator",
        statistics(changes=(("generator=generator", "generator=None"),)),
    ),
    Mutant(
        "ex24-1",
        "scales the caller's features in place",
        """def unit(h):
    return h.div_(h.norm(dim=1,keepdim=True).clamp(min=1e-12)) if not h.requires_grad else h/h.norm(dim=1,keepdim=True).clamp(min=1e-12)
def gram(h):
    z = unit(h)
    return z @ z.T""",
    ),
    Mutant(
        "ex24-1",
        "the sum of magnitudes for the length, in unit only",
        """def unit(h):
    return h / h.abs().sum(dim=1, keepdim=True).clamp(min=1e-12)
def gram(h):
    z = unit(h)
    return functional.normalize(h,dim=1)@functional.normalize(h,dim=1).T""",
    ),
    Mutant(
        "ex24-1",
        "a smallest length that swallows tiny samples",
        """def unit(h):
    return h / h.norm(dim=1, keepdim=True).clamp(min=1e-6)
def gram(h):
    z = unit(h)
    return z @ z.T""",
    ),
    slip(
        "ex24-1",
        "negative cosines are set to zero",
        ("return z @ z.T", "return (z @ z.T).clamp(0, 1)"),
    ),
    slip(
        "ex24-1",
        "every sample has cosine one with itself, silent ones too",
        ("return z @ z.T", "return (z @ z.T).fill_diagonal_(1.0)"),
    ),
    Mutant(
        "ex24-1",
        "the length is a constant for the gradient of unit, not of gram",
        """def unit(h):
    return h / h.norm(dim=1, keepdim=True).clamp(min=1e-12).detach()
def gram(h):
    z = functional.normalize(h, dim=1, eps=1e-12)
    return z @ z.T""",
    ),
    Mutant(
        "ex24-2",
        "the ridge is squared",
        """def kernel_output(G, Y, G_new, lam):
    n = len(G)
    return G_new @ torch.linalg.solve(G + lam**2 * n * torch.eye(n), Y)""",
    ),
    Mutant(
        "ex24-2",
        "the ridge twice",
        """def kernel_output(G, Y, G_new, lam):
    n = len(G)
    return G_new @ torch.linalg.solve(G + 2*lam * n * torch.eye(n), Y)""",
    ),
    Mutant(
        "ex24-2",
        "the trace of G in place of the number of samples",
        """def kernel_output(G, Y, G_new, lam):
    n = len(G)
    return G_new @ torch.linalg.solve(G + lam * G.trace() * torch.eye(n), Y)""",
    ),
    Mutant(
        "ex24-2",
        "scores are turned into shares",
        """def kernel_output(G, Y, G_new, lam):
    n = len(G)
    return (G_new @ torch.linalg.solve(G + lam * n * torch.eye(n), Y)).softmax(1)""",
    ),
    Mutant(
        "ex24-3",
        "the last vector against the sum of all others",
        """def farthest(classes, nonnegative):
    p=torch.eye(classes)
    if nonnegative: return p
    p[-1]=-p[:-1].sum(0)
    return unit(p)""",
    ),
    Mutant(
        "ex24-3",
        "seen from a point that is not the centre",
        """def farthest(classes, nonnegative):
    p=torch.eye(classes)
    return p if nonnegative else unit(p-1/(classes-1))""",
    ),
    slip(
        "ex24-4",
        "the ridge of the length, not of its square",
        (
            "return (target - centred @ w).square().mean() + lam * w.square().sum()",
            "return (target - centred @ w).square().mean() + lam * w.norm()",
        ),
    ),
    slip(
        "ex24-4",
        "half of the ridge term",
        (
            "return (target - centred @ w).square().mean() + lam * w.square().sum()",
            "return (target - centred @ w).square().mean() + lam / 2 * w.square().sum()",
        ),
    ),
    slip(
        "ex24-4",
        "the whole squared distance, not a quarter of it",
        ("return lam / (lam + squared / 4)", "return lam / (lam + squared)"),
    ),
    slip(
        "ex24-4",
        "centres the caller's features in place",
        (
            "centred, target = (z - z.mean(dim=0), y - y.mean())",
            "centred, target = (z.sub_(z.mean(dim=0)), y - y.mean())",
        ),
    ),
    slip(
        "ex24-5",
        "centres both matrices first",
        (
            "return (G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)",
            "return (lambda g, k: (g * k).sum() / (g.norm() * k.norm()).clamp(min=1e-12))(G - G.mean(), ideal - ideal.mean())",
        ),
    ),
    Mutant(
        "ex24-5",
        "the square of the cosine",
        """def alignment(G, same):
    ideal = same.to(G.dtype)
    return ((G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12))**2
def upper_alignment(G, same):
    i, j = torch.triu_indices(*G.shape, offset=1)
    values, ideal = G[i, j], same[i, j].to(G.dtype)
    return ((values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12))**2""",
    ),
    slip(
        "ex24-5",
        "adds a small number to the product of the lengths",
        (
            "return (G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)",
            "return (G * ideal).sum() / (G.norm() * ideal.norm() + 0.001)",
        ),
    ),
    Mutant(
        "ex24-5",
        "opposite samples count as alike",
        """def alignment(G, same):
    ideal = same.to(G.dtype)
    return (G.abs() * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)
def upper_alignment(G, same):
    i, j = torch.triu_indices(*G.shape, offset=1)
    values, ideal = G[i, j], same[i, j].to(G.dtype)
    return (values.abs() * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)""",
    ),
    slip(
        "ex24-5",
        "an alignment below zero is set to zero",
        (
            "return (values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)",
            "return ((values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)).clamp(min=0)",
        ),
    ),
    slip(
        "ex24-6",
        "a softmax for every sample, averaged",
        (
            "return values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)",
            "return (G.masked_fill(torch.eye(len(G)).bool(), -math.inf).log_softmax(1).exp() * same).sum(1).clamp(min=1e-12).log().mean()",
        ),
    ),
    slip(
        "ex24-6",
        "only acute angles are punished",
        (
            "return -G[~same].square().mean()",
            "return -G[~same].clamp(min=0).square().mean()",
        ),
    ),
    slip(
        "ex24-6",
        "the root of the mean square",
        ("return -G[~same].square().mean()", "return -G[~same].square().mean().sqrt()"),
    ),
    slip(
        "ex24-6",
        "the logarithm to base ten",
        (
            "return values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)",
            "return (values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)) / math.log(10)",
        ),
    ),
    slip(
        "ex24-7",
        "draws the proxy towards one by squares",
        ("(-value).backward()", "((1 - value) ** 2).backward()"),
    ),
    slip(
        "ex24-7",
        "raises the logarithm of the proxy",
        ("(-value).backward()", "(-(value + 2).log()).backward()"),
    ),
    slip(
        "ex24-7",
        "freezes linear layers only",
        (
            "hidden.requires_grad_(False)",
            "[p.requires_grad_(False) for m in hidden.modules() if isinstance(m, nn.Linear) for p in m.parameters()]",
        ),
    ),
    slip(
        "ex24-7",
        "puts the parts into evaluation mode, not the whole",
        ("hidden.eval()", "[m.eval() for m in hidden.children()]"),
    ),
    slip(
        "ex24-7",
        "draws one more batch at the end",
        (
            "        values.append(value.item())",
            "        values.append(value.item())\n    draw()",
        ),
    ),
    slip(
        "ex24-8",
        "the formula with squared differences, which knows no ties",
        (
            "return ranks[0] @ ranks[1] / (ranks[0].norm() * ranks[1].norm())",
            "return 1 - 6 * (ranks[0] - ranks[1]).square().sum() / (len(a) * (len(a) ** 2 - 1))",
        ),
    ),
    slip(
        "ex24-8",
        "Kendall's correlation: the share of pairs in the same order",
        (
            "return ranks[0] @ ranks[1] / (ranks[0].norm() * ranks[1].norm())",
            "return ((a[:, None] - a).sign() * (b[:, None] - b).sign()).sum() / ((a[:, None] - a).sign().norm() * (b[:, None] - b).sign().norm())",
        ),
    ),
    slip(
        "ex24-8",
        "shuffles both lists",
        (
            "count += bool(spearman(a[order], b) >= observed - 1e-09)",
            "count += bool(spearman(a[order], b[order.flip(0)]) >= observed - 1e-09)",
        ),
    ),
    slip(
        "ex24-8",
        "adds one draw too many below the line",
        ("return (1 + count) / (1 + draws)", "return (1 + count) / (2 + draws)"),
    ),
    slip(
        "ex24-8",
        "only shifts the list round",
        (
            "count += bool(spearman(a[order], b) >= observed - 1e-09)",
            "count += bool(spearman(a.roll(int(order[0])), b) >= observed - 1e-09)",
        ),
    ),
    slip(
        "ex24-8",
        "only exchanges two of the values",
        (
            "        order = torch.randperm(len(a), generator=generator)",
            "        p = torch.randperm(len(a), generator=generator)\n"
            "        order = torch.arange(len(a))\n"
            "        order[p[0]], order[p[1]] = (int(p[1]), int(p[0]))",
        ),
    ),
    Mutant(
        "ex24-3",
        "only the first vector is turned round",
        """def farthest(classes, nonnegative):
    p=torch.eye(classes)
    if nonnegative: return p
    return unit(torch.cat([p[:1]*-1, p[1:]-p[:1]/classes]))""",
    ),
    Mutant(
        "ex24-4",
        "multiplies the signs into G in place",
        """def output_risk(z, y, lam):
    centred, target = z - z.mean(dim=0), y - y.mean()
    w = torch.linalg.solve(
        centred.T @ centred / len(z) + lam * torch.eye(z.shape[1]),
        centred.T @ target / len(z),
    )
    return (target - centred @ w).square().mean() + lam * w.square().sum()
def risk_bound(G, same, lam):
    G *= 2.0 * same - 1
    return lam / (lam + G.sum() / len(G) ** 2)""",
    ),
    Mutant(
        "ex24-6",
        "writes minus infinity into the diagonal of G",
        """def log_contrastive(G, same):
    if not G.requires_grad:
        G.fill_diagonal_(-math.inf)
    else:
        G = G.masked_fill(torch.eye(len(G), dtype=torch.bool), -math.inf)
    return G[same].logsumexp(dim=0) - G.flatten().logsumexp(dim=0)
def negative_squares(G, same):
    return -G[~same].square().mean()""",
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex24-1",
        "with torch's normalize",
        features(unit="return functional.normalize(h, dim=1, eps=1e-12)"),
    ),
    Alternative(
        "ex24-1",
        "with where, and the Gram matrix by einsum",
        features(
            unit="size = h.norm(dim=1, keepdim=True)\n"
            "return h / torch.where(size > 0, size, torch.ones_like(size))",
            gram='return torch.einsum("if,jf->ij", unit(h), unit(h))',
        ),
    ),
    Alternative(
        "ex24-2",
        "by eigenvectors of G",
        output(
            "values, vectors = torch.linalg.eigh(G)\n"
            "A = vectors @ ((vectors.T @ Y) / (values + lam * n)[:, None])\n"
            "return G_new @ A"
        ),
    ),
    Alternative(
        "ex24-2",
        "with everything divided by n, by an inverse",
        output("return G_new @ torch.inverse(G / n + lam * torch.eye(n)) @ (Y / n)"),
    ),
    Alternative(
        "ex24-3",
        "as the root of its own Gram matrix",
        places(
            "if nonnegative:\n"
            "    return torch.eye(classes)\n"
            "G = (torch.eye(classes) * classes - 1) / (classes - 1)\n"
            "values, vectors = torch.linalg.eigh(G)\n"
            "return vectors * values.clamp(min=0).sqrt()"
        ),
    ),
    Alternative(
        "ex24-3",
        "permuted axes and a factor in closed form",
        places(
            "points = torch.eye(classes).flip(0)\n"
            "if nonnegative:\n"
            "    return points\n"
            "return (points - 1 / classes) * math.sqrt(classes / (classes - 1))"
        ),
    ),
    Alternative(
        "ex24-4",
        "with a column of ones that pays nothing, and class means by the signs of a row",
        bounds(
            risk="n, d = z.shape\n"
            "one = torch.cat([z, torch.ones(n, 1)], dim=1)\n"
            "price = lam * torch.eye(d + 1)\n"
            "price[d, d] = 0\n"
            "w = torch.linalg.solve(one.T @ one / n + price, one.T @ y / n)\n"
            "return ((y - one @ w) ** 2).mean() + lam * (w[:d] ** 2).sum()",
            bound="sign = 2.0 * same[0] - 1\n"
            "squared = 4 * (sign @ G @ sign) / len(G) ** 2\n"
            "return lam / (lam + squared / 4)",
        ),
    ),
    Alternative(
        "ex24-4",
        "from the kernel's side, and with mean cosines",
        bounds(
            risk="n = len(z)\n"
            "z, y = z - z.mean(dim=0), y - y.mean()\n"
            "a = torch.linalg.solve(z @ z.T + n * lam * torch.eye(n), y)\n"
            "return lam * (y @ a)",
            bound="squared = 2 * G[same].mean() - 2 * G[~same].mean()\n"
            "return 1 / (1 + squared / (4 * lam))",
        ),
    ),
    Alternative(
        "ex24-5",
        "with a mask and cosine similarity",
        alignments(
            whole="return functional.cosine_similarity(\n"
            "    G.flatten(), same.flatten().double(), dim=0, eps=1e-12\n"
            ")",
            upper="mask = torch.ones_like(G).triu(1).bool()\n"
            "return functional.cosine_similarity(\n"
            "    G[mask], same[mask].double(), dim=0, eps=1e-12\n"
            ")",
        ),
    ),
    Alternative(
        "ex24-5",
        "off the diagonal on both sides, each pair twice",
        alignments(
            upper="ideal = same.double()\n"
            "ideal = ideal - torch.diag(ideal.diagonal())\n"
            "G = G - torch.diag(G.diagonal())\n"
            "return (G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)"
        ),
    ),
    Alternative(
        "ex24-6",
        "by log_softmax over the pairs, and a sum over a count",
        contrasts(
            contrast="mask = torch.ones_like(same).tril(-1)\n"
            "return G[mask].log_softmax(dim=0)[same[mask]].logsumexp(dim=0)",
            squares="return -((G * ~same) ** 2).sum() / (~same).sum()",
        ),
    ),
    Alternative(
        "ex24-6",
        "with the largest cosine taken out by hand, over all ordered pairs",
        contrasts(
            contrast="off = ~torch.eye(len(G), dtype=torch.bool)\n"
            "top, low = G[off].max(), G[off & same].max()\n"
            "like = (G[off & same] - low).exp().sum().log() + low\n"
            "return like - (G[off] - top).exp().sum().log() - top",
            squares="i, j = torch.triu_indices(*G.shape, offset=1)\n"
            "return -(G[i, j][~same[i, j]] ** 2).mean()",
        ),
    ),
    Alternative(
        "ex24-7",
        "gradients cleared at the end of a step, parameters frozen one by one",
        training(
            ("        optimiser.zero_grad()\n", ""),
            (
                "        optimiser.step()\n",
                "        optimiser.step()\n        hidden.zero_grad()\n",
            ),
            (
                "    hidden.requires_grad_(False)\n",
                "    for p in hidden.parameters():\n        p.requires_grad = False\n",
            ),
        ),
    ),
    Alternative(
        "ex24-7",
        "a loss with a minus, in a while loop",
        training(
            ("    for _ in range(steps):\n", "    while len(values) < steps:\n"),
            (
                "value = proxy(gram(hidden(x)), same)",
                "loss = -proxy(gram(hidden(x)), same)",
            ),
            ("(-value).backward()", "loss.backward()"),
            ("value.item()", "-loss.item()"),
            ("hidden.eval()", "hidden.train(False)"),
        ),
    ),
    Alternative(
        "ex24-8",
        "the second list is shuffled, and correlated by corrcoef",
        statistics(
            ranks="r = []\n"
            "for v in (a, b):\n"
            "    less = (v < v[:, None]).double().sum(1)\n"
            "    more = (v > v[:, None]).double().sum(1)\n"
            "    r.append(less - more)\n"
            "return torch.corrcoef(torch.stack(r))[0, 1]",
            changes=(("spearman(a[order], b)", "spearman(a, b[order])"),),
        ),
    ),
    Alternative(
        "ex24-8",
        "with SciPy's ranks, all correlations first",
        statistics(
            ranks="from scipy.stats import spearmanr\n\n"
            "return torch.tensor(float(spearmanr(a, b).statistic))",
            chance="found = [spearman(a, b)]\n"
            "for _ in range(draws):\n"
            "    found.append(spearman(a[torch.randperm(len(a), generator=generator)], b))\n"
            "found = torch.stack(found)\n"
            "return (found >= found[0] - 1e-9).double().mean().item()",
        ),
    ),
    Alternative(
        "ex24-4",
        "one minus the mean product of targets and scores",
        """def output_risk(z, y, lam):
    centred, target = z - z.mean(dim=0), y - y.mean()
    d = z.shape[1]
    w = torch.linalg.solve(centred.T @ centred / len(z) + lam * torch.eye(d), centred.T @ target / len(z))
    return 1-(target*(centred @ w)).mean()
def risk_bound(G, same, lam):
    sign = 2.0 * same - 1
    squared = 4 * (sign * G).sum() / len(G) ** 2
    return lam / (lam + squared / 4)""",
    ),
    Alternative(
        "ex24-4",
        "one minus what the class means explain",
        """def output_risk(z, y, lam):
    centred, target = z - z.mean(dim=0), y - y.mean()
    d = z.shape[1]
    w = torch.linalg.solve(centred.T @ centred / len(z) + lam * torch.eye(d), centred.T @ target / len(z))
    return (target - centred @ w).square().mean() + lam * w.square().sum()
def risk_bound(G, same, lam):
    sign = 2.0 * same - 1
    squared = 4 * (sign * G).sum() / len(G) ** 2
    return 1 - squared/4/(lam+squared/4)""",
    ),
    Alternative(
        "ex24-5",
        "in single precision",
        """def alignment(G, same):
    ideal = same.to(G.dtype)
    return ((G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)).float()
def upper_alignment(G, same):
    i, j = torch.triu_indices(*G.shape, offset=1)
    values, ideal = G[i, j], same[i, j].to(G.dtype)
    return ((values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)).float()""",
    ),
    Alternative(
        "ex24-7",
        "gradients cleared behind the step",
        """def pair_train(hidden, draw, proxy, steps, lr=2e-3):
    optimiser = torch.optim.Adam(hidden.parameters(), lr=lr)
    values = []
    hidden.train()
    for _ in range(steps):
        x, same = draw()
        value = proxy(gram(hidden(x)), same)
        (-value).backward()
        optimiser.step(); optimiser.zero_grad()
        values.append(value.item())
    hidden.eval()
    hidden.requires_grad_(False)
    return values""",
    ),
    Alternative(
        "ex24-3",
        "the centring matrix with rows of length one",
        """def farthest(classes, nonnegative):
    p=torch.eye(classes)
    if nonnegative: return p.flip(0)
    c=torch.eye(classes)-torch.ones(classes,classes)/classes
    return c/c.norm(dim=1,keepdim=True)""",
    ),
]
