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
    slip("ex47-1", "rounds up", (".round()", ".ceil()")),
    Mutant(
        "ex47-1",
        "lays steps from the least weight to the largest",
        """
def codes_of(w, bits):
    step = (w.max() - w.min()) / (2**bits - 2)
    if step == 0:
        step = step + 1
    return (w / step).round().long(), step
""",
    ),
    Mutant(
        "ex47-1",
        "divides the caller's weights",
        """
def codes_of(w, bits):
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    if step == 0:
        step = step + 1
    return w.div_(step).round().long(), step
""",
    ),
    Mutant(
        "ex47-1",
        "leaves the step zero",
        """
def codes_of(w, bits):
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    return (w / step).nan_to_num().round().long(), step
""",
    ),
    Mutant(
        "ex47-1",
        "adds a little to the step",
        """
def codes_of(w, bits):
    step = w.abs().max() / (2 ** (bits - 1) - 1) + 1e-8
    if not w.any():
        step = torch.tensor(1.0)
    return (w / step).round().long(), step
""",
    ),
    Mutant(
        "ex47-1",
        "computes in single precision",
        """
def codes_of(w, bits):
    w = w.float()
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    if step == 0:
        step = step + 1
    return (w / step).round().long(), step
""",
    ),
    Mutant(
        "ex47-1",
        "shifts codes to start at zero",
        """
def codes_of(w, bits):
    most = 2 ** (bits - 1) - 1
    step = w.abs().max() / most
    if step == 0:
        step = step + 1
    return (w / step).round().long() + most, step
""",
    ),
    Mutant(
        "ex47-1",
        "returns the step first",
        """
def codes_of(w, bits):
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    if step == 0:
        step = step + 1
    return step, (w / step).round().long()
""",
    ),
    slip(
        "ex47-1", "flattens the codes", (".round().long()", ".round().long().flatten()")
    ),
    slip(
        "ex47-2",
        "stops the gradient at the last level itself",
        (
            "return inside + (level - inside).detach()",
            "free = w * (w.abs() < most * step)\n    return free + (level - free).detach()",
        ),
    ),
    slip(
        "ex47-2",
        "cuts above only",
        ("w.clamp(-most * step, most * step)", "w.clamp(max=most * step)"),
    ),
    slip(
        "ex47-2",
        "has one level more below zero",
        ("w.clamp(-most * step,", "w.clamp(-(most + 1) * step,"),
    ),
    slip("ex47-2", "rounds towards zero", (".round()", ".trunc()")),
    slip(
        "ex47-2",
        "rounds without the step",
        ("(inside / step).round() * step", "inside.round()"),
    ),
    slip(
        "ex47-2",
        "returns codes",
        (
            "return inside + (level - inside).detach()",
            "v = inside / step\n    return v + (v.round() - v).detach()",
        ),
    ),
    slip(
        "ex47-2",
        "detaches the wrong side",
        ("inside + (level - inside).detach()", "level + (inside - level).detach()"),
    ),
    slip(
        "ex47-2",
        "gives the value that was not rounded",
        (
            "inside + (level - inside).detach()",
            "level.detach() + inside - level.detach()",
        ),
    ),
    slip(
        "ex47-2",
        "turns the gradient of negative weights around",
        (
            "return inside + (level - inside).detach()",
            "free = inside.abs()\n    return free + (level - free).detach()",
        ),
    ),
    slip(
        "ex47-2",
        "passes the gradient where rounding was small",
        (
            "return inside + (level - inside).detach()",
            "free = inside * ((level - inside).abs() < 0.25 * step)\n    return free + (level - free).detach()",
        ),
    ),
    Mutant(
        "ex47-3",
        "gives Q beyond on both sides",
        """
def lsq(w, step, most):
    v = (w / step).clamp(-most, most)
    level = (v + (v.round() - v).detach())
    beyond = (w / step).abs() > most
    return torch.where(beyond, level.detach() * step.detach() + most * (step - step.detach()), level * step)
""",
    ),
    Mutant(
        "ex47-3",
        "gives the step no gradient beyond",
        """
def lsq(w, step, most):
    v = (w / step).clamp(-most, most)
    level = (v + (v.round() - v).detach())
    beyond = (w / step).abs() > most
    return torch.where(beyond, level.detach() * step.detach(), level * step)
""",
    ),
    Mutant(
        "ex47-3",
        "gives the step no gradient inside",
        """
def lsq(w, step, most):
    inside = w.clamp(-most * step.detach(), most * step.detach())
    code = (inside / step.detach()).round().detach()
    beyond = (w / step).abs() > most
    return torch.where(beyond, code * step, inside + (code * step - inside).detach())
""",
    ),
    slip(
        "ex47-3",
        "divides the gradient of the weights by the step",
        (
            "return (v + (v.round() - v).detach()) * step",
            "out = (v + (v.round() - v).detach()) * step\n    return out + v - v.detach() - (v.detach() * 0)",
        ),
    ),
    Mutant(
        "ex47-3",
        "takes the mean over the weights",
        """
def lsq(w, step, most):
    slow = step / w.numel() + (step * (1 - 1 / w.numel())).detach()
    v = (w / slow).clamp(-most, most)
    return (v + (v.round() - v).detach()) * slow
""",
    ),
    Mutant(
        "ex47-3",
        "makes a Python number of the step",
        """
def lsq(w, step, most):
    step = float(step)
    v = (w / step).clamp(-most, most)
    return (v + (v.round() - v).detach()) * step
""",
    ),
    Mutant(
        "ex47-3",
        "rounds down",
        """
def lsq(w, step, most):
    v = (w / step).clamp(-most, most)
    return (v + (v.floor() - v).detach()) * step
""",
    ),
    Mutant(
        "ex47-3",
        "turns the gradient of the step around",
        """
def lsq(w, step, most):
    v = (w / step).clamp(-most, most)
    out = (v + (v.round() - v).detach()) * step
    by_step = (v.round() - v).detach() + v.detach() * (v.abs() == most)
    return out - 2 * by_step * (step - step.detach())
""",
    ),
    Mutant(
        "ex47-3",
        "takes one step for granted without a shape",
        """
class Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, step, most):
        ctx.v, ctx.most = w / step, most
        return step * ctx.v.clamp(-most, most).round()

    @staticmethod
    def backward(ctx, g):
        inside = ctx.v.abs() <= ctx.most
        slope = torch.where(inside, ctx.v.round() - ctx.v, ctx.most * ctx.v.sign())
        return g * inside, (g * slope).sum(), None


def lsq(w, step, most):
    return Learned.apply(w, step, most)
""",
    ),
    slip(
        "ex47-4",
        "takes the median",
        (
            "W.abs().mean(dim=1, keepdim=True)",
            "W.abs().median(dim=1, keepdim=True).values",
        ),
    ),
    slip(
        "ex47-4",
        "divides by one less",
        (
            "W.abs().mean(dim=1, keepdim=True)",
            "W.abs().sum(dim=1, keepdim=True) / max(1, W.shape[1] - 1)",
        ),
    ),
    slip(
        "ex47-4",
        "sends the gradient of the signs without the size",
        (
            "return sign * W.abs().mean(dim=1, keepdim=True)",
            "size = W.abs().mean(dim=1, keepdim=True)\n    level = torch.where(W >= 0, 1.0, -1.0)\n    return level * size + inside - inside.detach()",
        ),
    ),
    slip(
        "ex47-4",
        "stops the gradient beyond the size of the row",
        ("W.clamp(-1, 1)", "W.clamp(-W.abs().mean().item(), W.abs().mean().item())"),
    ),
    slip(
        "ex47-4",
        "returns the signs",
        ("return sign * W.abs().mean(dim=1, keepdim=True)", "return sign"),
    ),
    slip("ex47-4", "counts zero as negative", ("W >= 0", "W > 0")),
    slip(
        "ex47-4",
        "writes a small number over the caller's zeros",
        ("    inside =", "    W.data[W.data == 0] = 1e-300\n    inside ="),
    ),
    slip(
        "ex47-4",
        "sends the whole gradient straight through",
        (
            "return sign * W.abs().mean(dim=1, keepdim=True)",
            "out = (sign * W.abs().mean(dim=1, keepdim=True)).detach()\n    return W + (out - W).detach()",
        ),
    ),
    slip(
        "ex47-4",
        "leaves the row that is zero without a shape",
        ("mean(dim=1, keepdim=True)", "mean(dim=1)"),
    ),
    slip(
        "ex47-5",
        "multiplies sums in place of summing products",
        (
            "sum((-w * g for w, g in history))",
            "-sum(w for w, _ in history) * sum(g for _, g in history)",
        ),
    ),
    slip(
        "ex47-5",
        "compares the last weight with the first",
        (
            "sum((-w * g for w, g in history))",
            "history[-1][0].abs() - history[0][0].abs() if len(history) > 1 else -history[0][0] * history[0][1]",
        ),
    ),
    slip(
        "ex47-5",
        "goes column by column among equals",
        (
            "    order = score.flatten().argsort(stable=True)\n",
            "    across = torch.arange(score.numel()).view(score.shape).movedim(-1, 0).flatten()\n    order = across[score.flatten()[across].argsort(stable=True)]\n",
        ),
    ),
    slip(
        "ex47-5",
        "rounds the number to the nearest",
        ("int(share * score.numel())", "round(share * score.numel())"),
    ),
    slip(
        "ex47-5",
        "takes out every falling weight",
        (
            "    mask[order[:int(share * score.numel())]] = False",
            "    mask = score.flatten() >= 0",
        ),
    ),
    slip(
        "ex47-5",
        "counts down the caller's gradients",
        (
            "    score =",
            "    for _, g in history:\n        g.neg_().neg_().mul_(1 + 1e-15)\n    score =",
        ),
    ),
    slip("ex47-5", "flattens the mask", ("mask.view(score.shape)", "mask")),
    slip("ex47-5", "returns which weights go", ("return mask", "return ~mask")),
    slip(
        "ex47-5",
        "takes the largest size of all steps",
        (
            "sum((-w * g for w, g in history))",
            "torch.stack([-w * g for w, g in history]).amax(dim=0)",
        ),
    ),
    slip(
        "ex47-5",
        "forgets old steps",
        (
            "sum((-w * g for w, g in history))",
            "sum(0.5 ** (len(history) - 1 - t) * -w * g for t, (w, g) in enumerate(history))",
        ),
    ),
    slip(
        "ex47-6",
        "looks at the first of those that go only",
        ("W1[gone].any()", "gone and W1[gone[0]].any()"),
    ),
    slip(
        "ex47-6",
        "cuts the graph to the first weights",
        ("return (W1[stay]", "return (W1.detach()[stay]"),
    ),
    slip(
        "ex47-6",
        "applies the ReLU after the second layer",
        ("W2[:, gone] @ b1[gone].relu()", "(W2[:, gone] @ b1[gone]).relu()"),
    ),
    Mutant(
        "ex47-6",
        "takes rows out one by one, in the order given",
        """
def without(W1, b1, W2, b2, gone):
    if W1[gone].any():
        raise ValueError("one looks at its input")
    b2 = b2 + W2[:, gone] @ b1[gone].relu()
    for j in gone:
        W1 = torch.cat([W1[:j], W1[j + 1 :]])
        b1 = torch.cat([b1[:j], b1[j + 1 :]])
        W2 = torch.cat([W2[:, :j], W2[:, j + 1 :]], dim=1)
    return W1, b1, W2, b2
""",
    ),
    slip(
        "ex47-6", "raises another error", ("raise ValueError(", "raise RuntimeError(")
    ),
    slip(
        "ex47-6",
        "refuses neurons that have a bias",
        ("if W1[gone].any()", "if W1[gone].any() or b1[gone].any()"),
    ),
    slip("ex47-6", "keeps those that go", ("not in gone]", "in gone]")),
    slip(
        "ex47-6",
        "adds what all neurons say to zero",
        ("W2[:, gone] @ b1[gone].relu()", "W2 @ b1.relu()"),
    ),
    slip(
        "ex47-6",
        "cuts the graph to the second weights",
        ("W2[:, stay], b2", "W2.detach()[:, stay], b2"),
    ),
    slip(
        "ex47-6",
        "refuses if any neuron looks at its input",
        ("if W1[gone].any()", "if W1.any()"),
    ),
    slip(
        "ex47-7",
        "takes logarithms to the base of two",
        ("(wanted - said)", "((wanted - said) / math.log(2))"),
    ),
    slip(
        "ex47-7",
        "clips probabilities away from zero",
        ("(z / T).log_softmax(dim=1)", "(z / T).softmax(dim=1).clamp(min=1e-12).log()"),
    ),
    slip(
        "ex47-7",
        "takes the size of each term",
        ("(wanted - said))", "(wanted - said).abs())"),
    ),
    slip(
        "ex47-7",
        "multiplies in place of dividing",
        ("(z / T)", "(z * T)"),
        ("teacher.detach() / T", "teacher.detach() * T"),
    ),
    slip(
        "ex47-7",
        "takes the squares of the gaps",
        (
            "(wanted.exp() * (wanted - said)).sum",
            "((wanted.exp() - said.exp()) ** 2).sum",
        ),
    ),
    slip("ex47-7", "returns a Python number", (".mean()", ".mean().item()")),
    slip("ex47-7", "holds the student fixed", ("(z / T)", "(z.detach() / T)")),
    slip(
        "ex47-7",
        "uses both directions",
        (
            "wanted.exp() * (wanted - said)",
            "0.5 * (wanted.exp() - said.exp()) * (wanted - said)",
        ),
    ),
    slip(
        "ex47-7",
        "computes in single precision",
        ("(z / T)", "(z.float() / T)"),
        ("teacher.detach()", "teacher.detach().float()"),
    ),
    slip(
        "ex47-7",
        "forgets the exponent of the teacher",
        ("wanted.exp() * (wanted - said)", "wanted * (wanted - said)"),
    ),
    slip(
        "ex47-8",
        "stores a mask only where it pays",
        (
            "total += math.ceil(stay * bits / 8) + 4 * m",
            "sparse = math.ceil(stay * bits / 8) + math.ceil(m * n / 8)\n        total += 4 * m + (min(sparse, math.ceil(m * n * bits / 8)) if stay < m * n else math.ceil(stay * bits / 8))",
        ),
        ("        total += math.ceil(m * n / 8) if stay < m * n else 0\n", ""),
    ),
    slip(
        "ex47-8",
        "stores an index of two bytes for each weight",
        ("math.ceil(m * n / 8) if", "2 * stay if"),
    ),
    slip("ex47-8", "gives each row a step", ("4 if bits < 32", "4 * m if bits < 32")),
    slip(
        "ex47-8",
        "needs no step where nothing stays",
        ("4 if bits < 32", "4 if bits < 32 and stay"),
    ),
    slip(
        "ex47-8",
        "fills whole bytes in each row",
        ("math.ceil(stay * bits / 8)", "m * math.ceil(stay * bits / (8 * m))"),
    ),
    slip(
        "ex47-8",
        "returns a number with a point",
        ("return total", "return float(total)"),
    ),
    slip(
        "ex47-8",
        "gives the mask the bits of a weight",
        ("math.ceil(m * n / 8) if", "math.ceil(m * n * bits / 8) if"),
    ),
    slip(
        "ex47-8",
        "counts the last layer only",
        ("total += math.ceil(stay", "total = math.ceil(stay"),
    ),
    slip(
        "ex47-8",
        "masks only what is rounded",
        ("if stay < m * n else 0", "if stay < m * n and bits < 32 else 0"),
    ),
    slip("ex47-8", "gives biases two bytes", ("4 * m", "2 * m")),
    Mutant(
        "ex47-2",
        "stops the gradient of hardtanh at Q steps",
        """
def through(w, step, most):
    v = functional.hardtanh(w / step, -float(most), float(most))
    return (v + (v.round() - v).detach()) * step
""",
    ),
    Mutant(
        "ex47-7",
        "takes distributions that cut their probabilities",
        """
def soft_loss(z, teacher, T):
    from torch.distributions import Categorical, kl_divergence
    with torch.no_grad():
        right = Categorical(logits=teacher / T)
    return kl_divergence(right, Categorical(logits=z / T)).mean().mul(T).mul(T)
""",
    ),
    Mutant(
        "ex47-8",
        "returns a whole number of NumPy",
        """
def stored_bytes(layers):
    import numpy as np
    total = np.int64(0)
    for m, n, bits, stay in layers:
        total += np.int64(-(-stay * bits // 8) + 4 * m + (bits < 32) * 4)
        total += np.int64(-(-m * n // 8)) * (stay != m * n)
    return total
""",
    ),
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
    Alternative(
        "ex47-1",
        "floor of a half more, an infinity norm",
        """
def codes_of(w, bits):
    step = torch.linalg.vector_norm(w, ord=math.inf).item() / (2 ** bits // 2 - 1)
    step = step if step else 1
    return torch.floor(w / step + 0.5).to(torch.int64), step
""",
    ),
    Alternative(
        "ex47-1",
        "in place on a copy, short whole numbers",
        """
def codes_of(w, bits):
    q = w.clone()
    step = torch.maximum(q.max(), -q.min()).div(2 ** (bits - 1) - 1)
    step = torch.where(step == 0, torch.ones_like(step), step)
    q.div_(step).round_()
    return q.short(), step
""",
    ),
    Alternative(
        "ex47-2",
        "a mask of truth values",
        """
def through(w, step, most):
    stays = (w.abs() <= most * step).to(w.dtype)
    with torch.no_grad():
        level = torch.round(torch.clip(w / step, min=-most, max=most)) * step
    return level + (w - w.detach()) * stays
""",
    ),
    Alternative(
        "ex47-2",
        "torch.where, with tensors for the numbers",
        """
def through(w, step, most):
    step, edge = torch.tensor(step), torch.tensor(most * step)
    kept = torch.where(w > edge, edge, torch.where(w < -edge, -edge, w))
    return kept + (step * torch.round(kept.detach() / step) - kept.detach())
""",
    ),
    Alternative(
        "ex47-3",
        "the formula as an added term without value",
        """
def lsq(w, step, most):
    with torch.no_grad():
        v = w / step
        q = v.round().clamp(-most, most)
        stays = v.abs() <= most
        slope = torch.where(stays, q - v, q)
    return step.detach() * q + (w - w.detach()) * stays + slope * (step - step.detach())
""",
    ),
    Alternative(
        "ex47-3",
        "47.2 in units of the step",
        """
def lsq(w, step, most):
    return step * through(w / step, 1.0, most)
""",
    ),
    Alternative(
        "ex47-4",
        "copysign and einsum",
        """
def one_bit(W):
    size = torch.einsum("ij->i", W.abs()) / W.size(1)
    sign = torch.copysign(torch.ones_like(W), W + 0.0)
    sign = torch.where(W == 0, torch.ones_like(sign), sign)
    through = functional.hardtanh(W)
    return torch.mul(size.unsqueeze(1), through - through.detach() + sign)
""",
    ),
    Alternative(
        "ex47-4",
        "product rule by hand",
        """
def one_bit(W):
    sign = (W.detach() >= 0).double().mul(2).sub(1)
    size = W.detach().abs().mean(1, keepdim=True)
    return sign * W.abs().mean(1, keepdim=True) + size * (W.clamp(-1.0, 1.0) - W.detach().clamp(-1.0, 1.0))
""",
    ),
    Alternative(
        "ex47-5",
        "einsum, and a mask written in place",
        """
def staying(history, share):
    ws, gs = (torch.stack(list(part)) for part in zip(*history))
    score = torch.einsum("t...,t...->...", ws, gs).mul(-1)
    count = int(share * score.numel())
    stays = torch.full(score.shape, True)
    _, order = torch.sort(score.reshape(-1), stable=True)
    stays.reshape(-1)[order[:count]] = False
    return stays
""",
    ),
    Alternative(
        "ex47-5",
        "in single precision, by NumPy",
        """
def staying(history, share):
    import numpy as np
    score = -sum((w.numpy() * g.numpy()) for w, g in history)
    order = np.argsort(score.ravel(), kind="stable")
    mask = np.ones(score.size, dtype=bool)
    mask[order[:int(share * score.size)]] = False
    return torch.from_numpy(mask.reshape(score.shape))
""",
    ),
    Alternative(
        "ex47-5",
        "the mean over steps, with .float()",
        """
def staying(history, share):
    score = torch.stack([(-w * g).float() for w, g in history]).mean(dim=0)
    order = score.ravel().argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank.ge(int(share * len(order))).unflatten(0, score.shape)
""",
    ),
    Alternative(
        "ex47-6",
        "a ones matrix that selects",
        """
def without(W1, b1, W2, b2, gone):
    if any(bool(W1[j, i] != 0) for j in gone for i in range(W1.shape[1])):
        raise ValueError("incoming weights")
    keep = torch.eye(len(b1))[[j for j in range(len(b1)) if j not in gone]]
    drop = torch.eye(len(b1))[list(gone)]
    return keep @ W1, keep @ b1, W2 @ keep.T, b2 + (W2 @ drop.T) @ torch.clamp(drop @ b1, min=0)
""",
    ),
    Alternative(
        "ex47-6",
        "a loop from behind with index_select",
        """
def without(W1, b1, W2, b2, gone):
    for j in sorted(gone, reverse=True):
        if torch.count_nonzero(W1[j]).item():
            raise ValueError(j)
        b2 = torch.add(b2, W2[:, j] * max(b1[j], torch.zeros(())))
        stay = torch.tensor([i for i in range(len(b1)) if i != j], dtype=torch.int)
        W1, b1, W2 = W1.index_select(0, stay), b1.index_select(0, stay), W2.index_select(1, stay)
    return [W1, b1, W2, b2]
""",
    ),
    Alternative(
        "ex47-6",
        "torch.isin and a generator",
        """
def without(W1, b1, W2, b2, gone):
    g = torch.isin(torch.arange(len(b1)), torch.tensor(gone, dtype=torch.long))
    if (W1[g] != 0).any():
        raise ValueError
    return (t for t in (W1[~g], b1[~g], W2[:, ~g], b2 + (W2[:, g] * b1[g].clamp_min(0)).sum(-1)))
""",
    ),
    Alternative(
        "ex47-7",
        "logsumexp by hand, sample by sample",
        """
def soft_loss(z, teacher, T):
    losses = []
    for one, other in zip(z, teacher.detach()):
        a, b = one / T, other / T
        a, b = a - a.logsumexp(0), b - b.logsumexp(0)
        losses.append(torch.dot(b.exp(), b - a))
    return T * T * sum(losses) / len(losses)
""",
    ),
    Alternative(
        "ex47-7",
        "cross entropy of PyTorch less entropy",
        """
def soft_loss(z, teacher, T):
    p = functional.softmax(teacher.data / T, -1)
    own = functional.cross_entropy(teacher.data / T, p)
    return (functional.cross_entropy(z / T, p) - own) * T**2
""",
    ),
    Alternative(
        "ex47-8",
        "divmod and recursion",
        """
def stored_bytes(layers):
    if not layers:
        return 0
    m, n, bits, stay = layers[0]
    q, rest = divmod(stay * bits, 8)
    size = q + bool(rest) + (4 if bits != 32 else 0) + 4 * m
    if m * n - stay:
        size += math.ceil(m * n / 8)
    return size + stored_bytes(layers[1:])
""",
    ),
    Alternative(
        "ex47-8",
        "bits of a string",
        """
def stored_bytes(layers):
    total = 0
    for m, n, bits, stay in layers:
        total += len(range(0, stay * bits, 8))
        total += len(range(0, m * n, 8)) * int(stay < m * n)
        total += [4, 0][bits >= 32] + m * 4
    return int(total)
""",
    ),
]
