"""Wrong and other right answers to the exercises of chapter 47."""

from tests.course.mutants import Alternative, Mutant, slip

MUTANTS = [
    slip(
        "ex47-1", "takes a byte for codes of any size", (".long()", ".to(torch.int8)")
    ),
    slip("ex47-1", "counts a level too many", ("(bits - 1) - 1", "(bits - 1)")),
    slip(
        "ex47-1", "takes all bits for one side", ("2 ** (bits - 1) - 1", "2**bits - 1")
    ),
    slip("ex47-1", "cuts instead of rounding", (".round()", "")),
    slip("ex47-1", "rounds down", (".round()", ".floor()")),
    slip(
        "ex47-1", "forgets that weights may be negative", ("w.abs().max()", "w.max()")
    ),
    Mutant(
        "ex47-1",
        "takes a step for each row",
        """
def codes_of(w, bits):
    most = 2 ** (bits - 1) - 1
    step = w.abs().amax(dim=-1, keepdim=True) / most
    step = torch.where(step > 0, step, 1.0)
    return (w / step).round().long(), step.max()
""",
    ),
    slip(
        "ex47-1",
        "divides by zero",
        ("    if step == 0:\n        step = step + 1\n", ""),
    ),
    slip(
        "ex47-1",
        "takes small steps for zero",
        ("if step == 0:\n        step = step + 1", "step = step.clamp(min=1e-6)"),
    ),
    slip(
        "ex47-1",
        "uses the spread and not the largest",
        ("w.abs().max() / most", "2 * w.std() / most"),
        (".round()", ".round().clamp(-most, most)"),
    ),
    slip("ex47-1", "returns the levels", (".round().long()", ".round() * step")),
    slip("ex47-2", "cuts the graph", ("inside + (level - inside).detach()", "level")),
    slip("ex47-2", "does not cut", ("w.clamp(-most * step, most * step)", "w")),
    slip(
        "ex47-2",
        "lets the gradient through where it was cut",
        ("inside + (level - inside).detach()", "w + (level - w).detach()"),
    ),
    slip(
        "ex47-2",
        "scales the gradient by the step",
        (
            "inside + (level - inside).detach()",
            "level.detach() + step * (inside - inside.detach())",
        ),
    ),
    slip(
        "ex47-2",
        "cuts half a step later",
        (
            "inside = w.clamp(-most * step, most * step)",
            "inside = w.clamp(-(most + 0.5) * step, (most + 0.5) * step)",
        ),
        ("(inside / step).round()", "(inside / step).round().clamp(-most, most)"),
    ),
    slip(
        "ex47-2",
        "cuts at Q and not at Q steps",
        ("-most * step, most * step", "-most, most"),
    ),
    slip(
        "ex47-2",
        "stops the gradient one level early",
        (
            "return inside + (level - inside).detach()",
            "free = inside * (level.abs() < (most - 0.5) * step)\n"
            "    return free + (level - free).detach()",
        ),
    ),
    slip(
        "ex47-2",
        "changes the caller's weights",
        ("w.clamp(", "w.data.clamp_(-1e9, 1e9).add_(1e-13) * 0 + w.clamp("),
    ),
    slip(
        "ex47-3",
        "does not send the gradient through",
        ("v + (v.round() - v).detach()", "v.round()"),
    ),
    Mutant(
        "ex47-3",
        "holds the codes fixed",
        """
def lsq(w, step, most):
    fixed = (w / step.detach()).clamp(-most, most)
    free = (fixed - fixed.detach()) * step.detach()
    return fixed.detach().round() * step + free
""",
    ),
    slip("ex47-3", "holds the step fixed", ("* step", "* step.detach()")),
    slip(
        "ex47-3",
        "detaches the step where it divides",
        ("w / step", "w / step.detach()"),
    ),
    slip("ex47-3", "does not cut", (".clamp(-most, most)", "")),
    slip(
        "ex47-3",
        "divides the gradient of the step as the paper does",
        (
            "    v = ",
            "    slow = (w.numel() * most) ** -0.5\n"
            "    step = step * slow + (step * (1 - slow)).detach()\n    v = ",
        ),
    ),
    slip(
        "ex47-3",
        "lets all gradients through",
        (
            "v = (w / step).clamp(-most, most)",
            "free = w / step\n    v = free + (free.clamp(-most, most) - free).detach()",
        ),
    ),
    slip("ex47-3", "sends none to the weights", ("(w / step)", "(w.detach() / step)")),
    slip("ex47-4", "lets zero be zero", ("torch.where(W >= 0, 1.0, -1.0)", "W.sign()")),
    slip(
        "ex47-4",
        "takes one size for the whole matrix",
        ("W.abs().mean(dim=1, keepdim=True)", "W.abs().mean()"),
    ),
    slip("ex47-4", "takes a size for each input", ("dim=1", "dim=0")),
    slip(
        "ex47-4",
        "takes the largest size",
        ("W.abs().mean(dim=1, keepdim=True)", "W.abs().amax(dim=1, keepdim=True)"),
    ),
    slip(
        "ex47-4",
        "takes the root of the mean square",
        (
            "W.abs().mean(dim=1, keepdim=True)",
            "W.square().mean(dim=1, keepdim=True).sqrt()",
        ),
    ),
    slip("ex47-4", "holds the size fixed", ("W.abs()", "W.detach().abs()")),
    slip(
        "ex47-4",
        "sends no gradient through the signs",
        ("inside + (sign - inside).detach()", "sign"),
    ),
    slip("ex47-4", "sends all gradients through the signs", ("W.clamp(-1, 1)", "W")),
    slip(
        "ex47-4",
        "adds the weights before it takes the size",
        ("W.abs().mean(dim=1, keepdim=True)", "W.mean(dim=1, keepdim=True).abs()"),
    ),
    slip(
        "ex47-5",
        "prunes by size",
        ("sum((-w * g for w, g in history))", "history[-1][0].abs()"),
    ),
    slip("ex47-5", "takes the sign the other way", ("-w * g", "w * g")),
    slip(
        "ex47-5",
        "looks at the last step only",
        ("for w, g in history", "for w, g in history[-1:]"),
    ),
    slip(
        "ex47-5",
        "looks at the first step only",
        ("for w, g in history", "for w, g in history[:1]"),
    ),
    slip("ex47-5", "takes the sizes of the terms", ("-w * g", "(w * g).abs()")),
    slip("ex47-5", "looks at the gradient only", ("-w * g", "-g")),
    slip("ex47-5", "uses signs only", ("-w * g", "-(w * g).sign()")),
    slip(
        "ex47-5",
        "keeps the share that should go",
        ("= False", "= True"),
        ("torch.ones", "torch.zeros"),
    ),
    slip(
        "ex47-5",
        "rounds the number up",
        ("int(share * score.numel())", "math.ceil(share * score.numel())"),
    ),
    slip(
        "ex47-5",
        "takes the last of equals",
        (
            "order = score.flatten().argsort(stable=True)",
            "order = score.numel() - 1 - score.flatten().flip(0).argsort(stable=True)",
        ),
    ),
    slip(
        "ex47-5",
        "cuts at a quantile, with all equals",
        (
            "    mask = torch.ones(score.numel(), dtype=torch.bool)\n",
            "    count = int(share * score.numel())\n"
            "    last = score.flatten().sort().values[count]\n"
            "    return score >= last\n"
            "    mask = torch.ones(score.numel(), dtype=torch.bool)\n",
        ),
    ),
    slip(
        "ex47-5",
        "prunes row by row",
        (
            "    mask = torch.ones(score.numel(), dtype=torch.bool)\n",
            "    if score.ndim > 1:\n"
            "        ranks = score.argsort(dim=1).argsort(dim=1)\n"
            "        return ranks >= int(share * score.shape[1])\n"
            "    mask = torch.ones(score.numel(), dtype=torch.bool)\n",
        ),
    ),
    slip(
        "ex47-5",
        "returns numbers",
        ("mask.view(score.shape)", "mask.view(score.shape).double()"),
    ),
    slip("ex47-6", "loses what silent neurons say", ("b2 + constant", "b2")),
    slip(
        "ex47-6", "adds biases that the ReLU would cut", ("b1[gone].relu()", "b1[gone]")
    ),
    slip("ex47-6", "adds sizes", ("b1[gone].relu()", "b1[gone].abs()")),
    slip(
        "ex47-6",
        "adds biases without their weights",
        ("W2[:, gone] @ b1[gone].relu()", "b1[gone].relu().sum()"),
    ),
    slip(
        "ex47-6",
        "puts the constant into the first bias",
        (
            "b1[stay], W2[:, stay], b2 + constant",
            "b1[stay] + constant.sum(), W2[:, stay], b2",
        ),
    ),
    slip("ex47-6", "refuses nothing", ("if W1[gone].any()", "if False")),
    slip("ex47-6", "refuses by the sum", ("W1[gone].any()", "W1[gone].sum() != 0")),
    slip(
        "ex47-6",
        "takes small weights for zero",
        ("W1[gone].any()", "(W1[gone].abs() > 1e-6).any()"),
    ),
    slip(
        "ex47-6",
        "looks for positive weights only",
        ("W1[gone].any()", "(W1[gone] > 0).any()"),
    ),
    slip(
        "ex47-6",
        "turns the order of the others around",
        ("W1[stay], b1[stay], W2[:, stay]", "W1[stay].flip(0), b1[stay], W2[:, stay]"),
    ),
    slip(
        "ex47-6",
        "holds the constant fixed",
        ("b2 + constant", "b2 + constant.detach()"),
    ),
    slip(
        "ex47-6",
        "adds to the caller's bias",
        ("b2 + constant", "b2.data.add_(constant)"),
    ),
    slip(
        "ex47-6",
        "only masks",
        ("W1[stay], b1[stay], W2[:, stay], b2 + constant", "W1, b1, W2, b2"),
    ),
    slip("ex47-7", "forgets the square of the temperature", ("T ** 2 * ", "")),
    slip("ex47-7", "takes the temperature once", ("T ** 2", "T")),
    slip(
        "ex47-7",
        "exchanges student and teacher",
        ("wanted.exp() * (wanted - said)", "said.exp() * (said - wanted)"),
    ),
    slip("ex47-7", "takes the cross entropy", ("(wanted - said)", "-said")),
    slip("ex47-7", "averages over classes, too", (".sum(dim=1).mean()", ".mean()")),
    slip("ex47-7", "sums over the batch", (".sum(dim=1).mean()", ".sum()")),
    slip("ex47-7", "teaches the teacher", ("teacher.detach()", "teacher")),
    slip(
        "ex47-7", "softens over the batch", ("log_softmax(dim=1)", "log_softmax(dim=0)")
    ),
    slip("ex47-7", "leaves the student hard", ("(z / T)", "z")),
    slip(
        "ex47-7",
        "leaves the teacher hard",
        ("(teacher.detach() / T)", "teacher.detach()"),
    ),
    slip(
        "ex47-7",
        "takes the log of a softmax",
        ("(z / T).log_softmax(dim=1)", "(z / T).softmax(dim=1).log()"),
    ),
    slip(
        "ex47-7",
        "matches logits at every temperature",
        (
            "return T ** 2 * (wanted.exp() * (wanted - said)).sum(dim=1).mean()",
            "gap = (z - z.mean(dim=1, keepdim=True)) - (teacher - teacher.mean(dim=1, keepdim=True)).detach()\n"
            "    return (gap ** 2).mean(dim=1).mean() / 2",
        ),
    ),
    slip(
        "ex47-8",
        "forgets the mask",
        ("math.ceil(m * n / 8) if stay < m * n else 0", "0"),
    ),
    slip("ex47-8", "stores a mask where nothing went", (" if stay < m * n else 0", "")),
    slip("ex47-8", "counts all weights", ("stay * bits / 8", "m * n * bits / 8")),
    slip("ex47-8", "forgets the biases", ("+ 4 * m", "")),
    slip(
        "ex47-8",
        "gives biases the bits of weights",
        ("4 * m", "math.ceil(m * bits / 8)"),
    ),
    slip("ex47-8", "counts a bias for each input", ("4 * m", "4 * n")),
    slip("ex47-8", "forgets the step", ("4 if bits < 32 else 0", "0")),
    slip("ex47-8", "gives 32 bits a step", ("4 if bits < 32 else 0", "4")),
    slip("ex47-8", "rounds down", ("math.ceil(stay * bits / 8)", "stay * bits // 8")),
    slip(
        "ex47-8",
        "rounds each weight up to bytes",
        ("math.ceil(stay * bits / 8)", "stay * math.ceil(bits / 8)"),
    ),
    slip(
        "ex47-8",
        "fills bytes with weights and mask together",
        (
            "math.ceil(stay * bits / 8) + 4 * m",
            "math.ceil((stay * bits + (m * n if stay < m * n else 0)) / 8) + 4 * m",
        ),
        ("math.ceil(m * n / 8) if stay < m * n else 0", "0"),
    ),
    slip(
        "ex47-8",
        "rounds up once, at the end",
        ("math.ceil(stay * bits / 8)", "stay * bits / 8"),
        ("math.ceil(m * n / 8)", "m * n / 8"),
        ("return total", "return math.ceil(total)"),
    ),
    slip("ex47-8", "returns bits", ("return total", "return 8 * total")),
]

ALTERNATIVES = [
    Alternative(
        "ex47-1",
        "whole numbers of 32 bits, a step that is a Python number",
        """
def codes_of(w, bits):
    most = 2 ** (bits - 1) - 1
    largest = float(w.abs().max())
    step = largest / most if largest > 0 else 1.0
    return torch.round(w / step).to(torch.int32), step
""",
    ),
    Alternative(
        "ex47-1",
        "a loop over all weights",
        """
def codes_of(w, bits):
    most = (1 << bits - 1) - 1
    values = w.flatten().tolist()
    step = max(abs(v) for v in values) / most or 1
    return torch.tensor([round(v / step) for v in values]).view(w.shape), step
""",
    ),
    Alternative(
        "ex47-2",
        "an autograd function",
        """
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, step, most):
        ctx.save_for_backward(w.abs() <= most * step)
        return step * (w / step).round().clamp(-most, most)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None, None


def through(w, step, most):
    return Through.apply(w, step, most)
""",
    ),
    Alternative(
        "ex47-2",
        "in units of the step",
        """
def through(w, step, most):
    v = torch.clamp(w / step, -most, most)
    return step * (v - v.detach() + v.detach().round())
""",
    ),
    Alternative(
        "ex47-3",
        "an autograd function",
        """
class Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, step, most):
        v = w / step
        ctx.save_for_backward(v)
        ctx.most, ctx.shape = most, step.shape
        return step * v.clamp(-most, most).round()

    @staticmethod
    def backward(ctx, g):
        (v,) = ctx.saved_tensors
        inside = v.abs() <= ctx.most
        slope = torch.where(inside, v.round() - v, ctx.most * v.sign())
        return g * inside, (g * slope).sum().reshape(ctx.shape), None


def lsq(w, step, most):
    return Learned.apply(w, step, most)
""",
    ),
    Alternative(
        "ex47-3",
        "value and gradient apart",
        """
def lsq(w, step, most):
    v = torch.minimum(torch.maximum(w / step, torch.tensor(-1.0 * most)), torch.tensor(1.0 * most))
    error = v.detach().round() - v.detach()
    return v * step + error * step
""",
    ),
    Alternative(
        "ex47-4",
        "size from the norm",
        """
def one_bit(W):
    inside = W.clamp(-1, 1)
    sign = 2.0 * (W >= 0) - 1.0
    size = W.norm(p=1, dim=1, keepdim=True) / W.shape[1]
    return size * (sign.detach() + inside - inside.detach())
""",
    ),
    Alternative(
        "ex47-4",
        "row by row",
        """
def one_bit(W):
    rows = []
    for row in W:
        inside = row.clamp(-1, 1)
        sign = torch.where(row < 0, -torch.ones_like(row), torch.ones_like(row))
        rows.append(row.abs().sum() / len(row) * (inside + (sign - inside).detach()))
    return torch.stack(rows)
""",
    ),
    Alternative(
        "ex47-5",
        "places by Python's sort",
        """
def staying(history, share):
    score = torch.stack([w * g for w, g in history]).sum(dim=0).neg()
    flat = score.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda i: flat[i])
    gone = set(order[: int(share * len(flat))])
    return torch.tensor([i not in gone for i in range(len(flat))]).reshape(score.shape)
""",
    ),
    Alternative(
        "ex47-5",
        "ranks",
        """
def staying(history, share):
    score = torch.zeros_like(history[0][0])
    for w, g in history:
        score = score - w * g
    rank = score.reshape(-1).sort(stable=True).indices.argsort()
    return (rank >= int(share * rank.numel())).reshape(score.shape)
""",
    ),
    Alternative(
        "ex47-6",
        "a mask of truth values",
        """
def without(W1, b1, W2, b2, gone):
    stay = torch.ones(len(b1), dtype=torch.bool)
    for j in gone:
        stay[j] = False
        if not torch.equal(W1[j], torch.zeros_like(W1[j])):
            raise ValueError("it looks at its input")
        b2 = b2 + W2[:, j] * functional.relu(b1[j])
    return W1[stay], b1[stay], W2[:, stay], b2
""",
    ),
    Alternative(
        "ex47-6",
        "what the network says to zero, before and after",
        """
def without(W1, b1, W2, b2, gone):
    if len(gone) and W1[torch.tensor(gone)].abs().max() > 0:
        raise ValueError("a weight is not zero")
    stay = torch.tensor([j for j in range(W1.shape[0]) if j not in set(gone)], dtype=torch.long)
    said = W2 @ b1.relu()
    left = W2[:, stay] @ b1[stay].relu()
    return W1[stay], b1[stay], W2[:, stay], b2 + said - left
""",
    ),
    Alternative(
        "ex47-7",
        "torch's own divergence",
        """
def soft_loss(z, teacher, T):
    said = functional.log_softmax(z / T, dim=1)
    wanted = functional.log_softmax(teacher.detach() / T, dim=1)
    return T * T * functional.kl_div(said, wanted, reduction="batchmean", log_target=True)
""",
    ),
    Alternative(
        "ex47-7",
        "cross entropy less the teacher's own",
        """
def soft_loss(z, teacher, T):
    with torch.no_grad():
        p = (teacher / T).softmax(dim=-1)
        own = (p * (teacher / T).log_softmax(dim=-1)).sum(dim=-1)
    return ((own - (p * (z / T).log_softmax(dim=-1)).sum(dim=-1)) * T**2).mean()
""",
    ),
    Alternative(
        "ex47-8",
        "whole numbers only",
        """
def stored_bytes(layers):
    def whole(bits):
        return (bits + 7) // 8
    return sum(
        whole(stay * bits) + 4 * m + 4 * (bits < 32) + (stay < m * n) * whole(m * n)
        for m, n, bits, stay in layers
    )
""",
    ),
    Alternative(
        "ex47-8",
        "parts in a list",
        """
def stored_bytes(layers):
    parts = []
    for m, n, bits, stay in layers:
        parts.append(-(-stay * bits // 8))
        parts += [m * 4]
        if bits != 32:
            parts.append(4)
        if stay != m * n:
            parts.append(-(-m * n // 8))
    return sum(parts)
""",
    ),
]
