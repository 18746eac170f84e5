"""Chapter 11: what students get wrong in ISTA and FISTA, and other right answers."""

from tests.course.mutants import Alternative, Mutant, slip

SOFT = "def soft_threshold(v, theta):\n    "

MUTANTS = [
    # 11.1 soft threshold
    Mutant(
        "ex11-1",
        "hard threshold: survivors are not moved",
        SOFT + "return v * (v.abs() > theta)",
    ),
    Mutant(
        "ex11-1",
        "forgets the sign",
        SOFT + "return (v.abs() - theta).clamp(min=0)",
    ),
    Mutant(
        "ex11-1",
        "one-sided: negative values are lost",
        SOFT + "return (v - theta).clamp(min=0)",
    ),
    Mutant(
        "ex11-1",
        "no maximum with zero: small values change their sign",
        SOFT + "return v.sign() * (v.abs() - theta)",
    ),
    Mutant(
        "ex11-1",
        "moves survivors away from zero",
        SOFT + "return torch.where(v.abs() > theta, v + theta * v.sign(), 0 * v)",
    ),
    Mutant(
        "ex11-1",
        "threshold 2 theta: the factor one half of the square is forgotten",
        SOFT + "return v.sign() * (v.abs() - 2 * theta).clamp(min=0)",
    ),
    Mutant(
        "ex11-1",
        "threshold theta / 2: the cost is taken for (x - v)^2 + theta |x|",
        SOFT + "return v.sign() * (v.abs() - theta / 2).clamp(min=0)",
    ),
    Mutant(
        "ex11-1",
        "clips instead of what is left after clipping",
        SOFT + "return torch.maximum(torch.minimum(v, v * 0 + theta), v * 0 - theta)",
    ),
    Mutant(
        "ex11-1",
        "divides by |v| and returns NaN at zero",
        SOFT + "return v / v.abs() * (v.abs() - theta).clamp(min=0)",
    ),
    Mutant(
        "ex11-1",
        "ridge shrinkage: everything shrinks, nothing is zero",
        SOFT + "return v / (1 + theta)",
    ),
    Mutant(
        "ex11-1",
        "works in place and spoils its argument",
        """def soft_threshold(v, theta):
    sign = v.sign()
    v.abs_().sub_(theta).clamp_(min=0)
    return v.mul_(sign)""",
    ),
    Mutant(
        "ex11-1",
        "one threshold for all: a tensor of thresholds is averaged",
        """def soft_threshold(v, theta):
    theta = float(torch.as_tensor(theta).mean())
    return v.sign() * (v.abs() - theta).clamp(min=0)""",
    ),
    # 11.2 gradient and Lipschitz constant
    slip(
        "ex11-2",
        "gradient has the wrong sign",
        ("return (x @ A.T - b) @ A", "return (b - x @ A.T) @ A"),
    ),
    slip(
        "ex11-2",
        "gradient of the square without its factor one half",
        ("return (x @ A.T - b) @ A", "return 2 * (x @ A.T - b) @ A"),
    ),
    slip(
        "ex11-2",
        "gradient averaged over the batch, as a training loss is",
        ("return (x @ A.T - b) @ A", "return (x @ A.T - b) @ A / len(b)"),
    ),
    slip(
        "ex11-2",
        "forgets the data b",
        ("return (x @ A.T - b) @ A", "return x @ A.T @ A"),
    ),
    slip(
        "ex11-2",
        "A in place of its transpose: rows taken for columns",
        ("return (x @ A.T - b) @ A", "return (A @ (A @ x.T - b.T)).T"),
    ),
    slip(
        "ex11-2",
        "uses the residual of the first sample for all",
        (
            "return (x @ A.T - b) @ A",
            "return ((x[:1] @ A.T - b[:1]) @ A).expand(x.shape)",
        ),
    ),
    Mutant(
        "ex11-2",
        "L is the norm of A, not its square",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    return torch.linalg.matrix_norm(A, 2)""",
    ),
    Mutant(
        "ex11-2",
        "L from the Frobenius norm, PyTorch's default: safe but far too large",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    return torch.linalg.matrix_norm(A) ** 2""",
    ),
    Mutant(
        "ex11-2",
        "L is the largest squared column norm",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    return A.square().sum(dim=0).max()""",
    ),
    Mutant(
        "ex11-2",
        "L is the step: one over the eigenvalue",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    return 1 / torch.linalg.matrix_norm(A, 2) ** 2""",
    ),
    Mutant(
        "ex11-2",
        "L is twice the largest eigenvalue",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    return 2 * torch.linalg.matrix_norm(A, 2) ** 2""",
    ),
    # 11.3 one step
    Mutant(
        "ex11-3",
        "threshold before the gradient step",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(x, step * lam) - step * gradient(A, b, x)""",
    ),
    Mutant(
        "ex11-3",
        "uphill: adds the gradient",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(x + step * gradient(A, b, x), step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "lam not scaled by the step",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(x - step * gradient(A, b, x), lam)""",
    ),
    Mutant(
        "ex11-3",
        "lam divided by the step",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(x - step * gradient(A, b, x), lam / step)""",
    ),
    Mutant(
        "ex11-3",
        "gradient not scaled by the step",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(x - gradient(A, b, x), step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "ignores the caller's step and takes 1 / L",
        """def ista_step(A, b, x, lam, step):
    step = 1 / lipschitz(A)
    return soft_threshold(x - step * gradient(A, b, x), step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "subgradient step on the penalty in place of its prox",
        """def ista_step(A, b, x, lam, step):
    return x - step * (gradient(A, b, x) + lam * x.sign())""",
    ),
    Mutant(
        "ex11-3",
        "thresholds the move and not the point",
        """def ista_step(A, b, x, lam, step):
    return x - soft_threshold(step * gradient(A, b, x), step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "works in place and spoils its argument",
        """def ista_step(A, b, x, lam, step):
    x -= step * gradient(A, b, x)
    return soft_threshold(x, step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "always starts from zero",
        """def ista_step(A, b, x, lam, step):
    return soft_threshold(step * (b @ A), step * lam)""",
    ),
    # 11.4 the loop
    slip(
        "ex11-4",
        "step of 2 / L and slightly beyond",
        ("step = 1 / lipschitz(A)", "step = 2.05 / lipschitz(A)"),
    ),
    slip(
        "ex11-4",
        "step of one over the norm, not its square",
        ("step = 1 / lipschitz(A)", "step = 1 / lipschitz(A) ** 0.5"),
    ),
    slip(
        "ex11-4",
        "fixed small step whatever A is",
        ("    step = 1 / lipschitz(A)\n", ""),
        ("x = ista_step(A, b, x, lam, step)", "x = ista_step(A, b, x, lam, 0.001)"),
    ),
    slip(
        "ex11-4",
        "history without the start",
        ("history = [measure(x)]", "history = []"),
    ),
    Mutant(
        "ex11-4",
        "measures before the step: the last iterate is missing",
        """def ista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = torch.zeros(b.shape[0], A.shape[1])
    history = []
    for _ in range(iterations + 1):
        history.append(measure(x))
        x = ista_step(A, b, x, lam, step)
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-4",
        "starts from the correlations A^T b",
        ("x = torch.zeros(b.shape[0], A.shape[1])", "x = b @ A"),
    ),
    Mutant(
        "ex11-4",
        "never renews x: every step starts at zero",
        """def ista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    start = torch.zeros(b.shape[0], A.shape[1])
    x, history = start, [measure(start)]
    for _ in range(iterations):
        x = ista_step(A, b, start, lam, step)
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-4",
        "one history for the batch: sums over samples",
        ("history = [measure(x)]", "history = [measure(x).sum()]"),
        ("history.append(measure(x))", "history.append(measure(x).sum())"),
    ),
    slip(
        "ex11-4",
        "solves the first sample and copies it",
        (
            "x = ista_step(A, b, x, lam, step)",
            "x = ista_step(A, b[:1], x[:1], lam, step).expand(x.shape)",
        ),
    ),
    Mutant(
        "ex11-4",
        "history of views: every entry shows the last iterate",
        """def ista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = torch.zeros(b.shape[0], A.shape[1])
    seen = [x]
    for _ in range(iterations):
        x[:] = ista_step(A, b, x, lam, step)
        seen.append(x)
    return x, torch.stack([measure(y) for y in seen])""",
    ),
    slip(
        "ex11-4",
        "threshold shrinks with the iterations",
        (
            "    for _ in range(iterations):\n"
            "        x = ista_step(A, b, x, lam, step)",
            "    for k in range(iterations):\n"
            "        x = ista_step(A, b, x, lam / (k + 1), step)",
        ),
    ),
    # 11.5 FISTA
    slip(
        "ex11-5",
        "ISTA in disguise: the momentum is computed and not used",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "x_last, x = (x, ista_step(A, b, z, lam, step))",
            "x_last, x = (x, ista_step(A, b, x, lam, step))",
        ),
    ),
    slip(
        "ex11-5",
        "x overwritten too early: its last move is always zero",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "        x_last, x = (x, ista_step(A, b, z, lam, step))",
            "        x = ista_step(A, b, z, lam, step)\n        x_last = x",
        ),
    ),
    slip(
        "ex11-5",
        "momentum from the wrong iterate: x minus z",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "x_last, x = (x, ista_step(A, b, z, lam, step))",
            "x = ista_step(A, b, z, lam, step)",
        ),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x + (t_last - 1) / t * (x - z)",
        ),
    ),
    Mutant(
        "ex11-5",
        "t renewed before use: (t - 1) / t with the new t twice",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = z = torch.zeros(b.shape[0], A.shape[1])
    t, history = 1.0, [measure(x)]
    for _ in range(iterations):
        x_last, x = x, ista_step(A, b, z, lam, step)
        t = (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + (t - 1) / t * (x - x_last)
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "one index ahead: t starts one renewal too late in the sequence",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = ((1 + math.sqrt(5)) / 2, [measure(x)])",
        ),
    ),
    slip(
        "ex11-5",
        "square root missing in the rule for t",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "t_last, t = (t, (1 + math.sqrt(1 + 4 * t ** 2)) / 2)",
            "t_last, t = (t, min((1 + (1 + 4 * t ** 2)) / 2, 1000000000.0))",
        ),
    ),
    slip(
        "ex11-5",
        "factor four missing under the square root",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "t_last, t = (t, (1 + math.sqrt(1 + 4 * t ** 2)) / 2)",
            "t_last, t = (t, (1 + math.sqrt(1 + t ** 2)) / 2)",
        ),
    ),
    slip(
        "ex11-5",
        "minus one missing: full momentum t / t_next",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x + t_last / t * (x - x_last)",
        ),
    ),
    slip(
        "ex11-5",
        "brakes: momentum with the wrong sign",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x - (t_last - 1) / t * (x - x_last)",
        ),
    ),
    slip(
        "ex11-5",
        "returns and measures z, the extrapolated point",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(z)])",
        ),
        (
            "        history.append(measure(x))\n    return (x, torch.stack(history))",
            "        history.append(measure(z))\n    return (z, torch.stack(history))",
        ),
    ),
    slip(
        "ex11-5",
        "measures z but returns x",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(z)])",
        ),
        ("history.append(measure(x))", "history.append(measure(z))"),
    ),
    Mutant(
        "ex11-5",
        "gradient at x and momentum added after it, as in heavy ball",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = x_last = torch.zeros(b.shape[0], A.shape[1])
    t, beta, history = 1.0, 0.0, [measure(x)]
    for _ in range(iterations):
        w = x - step * gradient(A, b, x) + beta * (x - x_last)
        x_last, x = x, soft_threshold(w, step * lam)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        beta = (t_last - 1) / t
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "momentum of the first sample for the whole batch",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x + (t_last - 1) / t * (x - x_last)[:1]",
        ),
    ),
    # 11.6 duality gap
    Mutant(
        "ex11-6",
        "infeasible dual point: the residual as it is",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    dual = 0.5 * b.square().sum(dim=1) - 0.5 * (r - b).square().sum(dim=1)
    return lasso(A, b, x, lam) - dual""",
    ),
    slip(
        "ex11-6",
        "one scale for the batch: the worst sample decides for all",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = (lam / (r @ A).abs().max()).clamp(max=1)",
        ),
    ),
    slip(
        "ex11-6",
        "scale not limited by one: beyond lambda_max the gap stays open",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = lam / (r @ A).abs().amax(dim=1, keepdim=True).clamp(min=1e-300)",
        ),
    ),
    slip(
        "ex11-6",
        "Euclidean norm in place of the largest entry",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = (lam / (r @ A).norm(dim=1, keepdim=True)).clamp(max=1)",
        ),
    ),
    slip(
        "ex11-6",
        "largest entry without its absolute value",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = (lam / (r @ A).amax(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)",
        ),
    ),
    slip(
        "ex11-6",
        "constraint on the residual in place of its correlations",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = (lam / r.abs().amax(dim=1, keepdim=True)).clamp(max=1)",
        ),
    ),
    slip(
        "ex11-6",
        "residual with the wrong sign as dual point",
        ("r = b - x @ A.T", "r = x @ A.T - b"),
    ),
    slip(
        "ex11-6",
        "factor one half missing in the dual",
        (
            "dual = 0.5 * b.square().sum(dim=1) - 0.5 * (s * r - b).square().sum(dim=1)",
            "dual = b.square().sum(dim=1) - (s * r - b).square().sum(dim=1)",
        ),
    ),
    Mutant(
        "ex11-6",
        "dual without the square of b: only the distance",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)
    return lasso(A, b, x, lam) + 0.5 * (s * r - b).square().sum(dim=1)""",
    ),
    slip(
        "ex11-6",
        "penalty missing in the primal",
        (
            "return lasso(A, b, x, lam) - dual",
            "return 0.5 * r.square().sum(dim=1) - dual",
        ),
    ),
    slip(
        "ex11-6",
        "one number for the batch: the mean of the gaps",
        (
            "    return lasso(A, b, x, lam) - dual",
            "    gap = lasso(A, b, x, lam) - dual\n"
            "    return gap.mean().expand(len(b))",
        ),
    ),
    Mutant(
        "ex11-6",
        "measures the last step instead of a gap",
        """def duality_gap(A, b, x, lam):
    y = ista_step(A, b, x, lam, 1 / lipschitz(A))
    return lasso(A, b, x, lam) - lasso(A, b, y, lam)""",
    ),
    # 11.7 restore
    slip(
        "ex11-7",
        "mean over all pixels, missing ones included",
        (
            "mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "mean = (mask * patches).mean(dim=1, keepdim=True)",
        ),
    ),
    Mutant(
        "ex11-7",
        "holes are coded as if they were grey: mask on the data only",
        """def restore(D, patches, known, lam, iterations):
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    b = mask * (patches - mean)
    x, _ = fista(D, b, lam, iterations, lambda x: x[:, 0])
    return x @ D.T + mean""",
    ),
    Mutant(
        "ex11-7",
        "no mask on the data: garbage in the holes is coded",
        """def restore(D, patches, known, lam, iterations):
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    x, _ = fista(D, patches - mean, lam, iterations, lambda x: x[:, 0])
    return x @ D.T + mean""",
    ),
    slip(
        "ex11-7",
        "mean subtracted and never added back",
        (
            "mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)",
        ),
        ("return x @ D.T + mean", "return x @ D.T"),
    ),
    slip(
        "ex11-7",
        "mean not subtracted at all",
        (
            "    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)\n"
            "    b = mask * (patches - mean)",
            "    b = mask * patches",
        ),
        ("return x @ D.T + mean", "return x @ D.T"),
    ),
    slip(
        "ex11-7",
        "one mask for the whole batch",
        (
            "    mask = known.to(patches.dtype)\n"
            "    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "    mask = known[:1].to(patches.dtype)\n"
            "    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)",
        ),
    ),
    slip(
        "ex11-7",
        "mask inverted: codes the missing pixels",
        (
            "    mask = known.to(patches.dtype)\n"
            "    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "    mask = 1 - known.to(patches.dtype)\n"
            "    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)",
        ),
    ),
    slip(
        "ex11-7",
        "returns zeros in the holes: fills known pixels only",
        (
            "mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)",
        ),
        ("return x @ D.T + mean", "return mask * (x @ D.T) + mean"),
    ),
    slip(
        "ex11-7",
        "one mean for the whole batch",
        (
            "mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "mean = (mask * patches).sum() / mask.sum()",
        ),
    ),
    Mutant(
        "ex11-7",
        "plain ISTA: no momentum",
        """def restore(D, patches, known, lam, iterations):
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    b = mask * (patches - mean)
    step = 1 / lipschitz(D)
    x = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (x @ D.T) - b) @ D
        x = soft_threshold(x - step * slope, step * lam)
    return x @ D.T + mean""",
    ),
    slip(
        "ex11-7",
        "threshold not scaled by the step",
        (
            "mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)",
            "mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)",
        ),
        (
            "x_last, x = (x, soft_threshold(z - step * slope, step * lam))",
            "x_last, x = (x, soft_threshold(z - step * slope, lam))",
        ),
    ),
    # values, properties and data that only an exact comparison tells apart
    Mutant(
        "ex11-1",
        "flattens: the shape of v is lost",
        """def soft_threshold(v, theta):
    flat, theta = torch.broadcast_tensors(v, torch.as_tensor(theta))
    flat, theta = flat.reshape(-1), theta.reshape(-1)
    return flat.sign() * (flat.abs() - theta).clamp(min=0)""",
    ),
    Mutant(
        "ex11-1",
        "one threshold per sample only: a row of thresholds is taken for a column",
        """def soft_threshold(v, theta):
    theta = torch.as_tensor(theta)
    if theta.ndim == 1:
        theta = theta[: len(v), None]
    return v.sign() * (v.abs() - theta).clamp(min=0)""",
    ),
    Mutant(
        "ex11-1",
        "works in single precision",
        """def soft_threshold(v, theta):
    v, theta = v.float(), torch.as_tensor(theta).float()
    return v.sign() * (v.abs() - theta).clamp(min=0)""",
    ),
    Mutant(
        "ex11-2",
        "L by ten steps of the power method: close, and too small",
        """def gradient(A, b, x):
    return (x @ A.T - b) @ A

def lipschitz(A):
    d = torch.ones(A.shape[1])
    for _ in range(10):
        d = A.T @ (A @ d)
        d = d / d.norm()
    return (A @ d).norm() ** 2""",
    ),
    Mutant(
        "ex11-2",
        "gradient scaled to length one: the direction is right",
        """def gradient(A, b, x):
    slope = (x @ A.T - b) @ A
    return slope / slope.norm(dim=1, keepdim=True)

def lipschitz(A):
    return torch.linalg.matrix_norm(A, 2) ** 2""",
    ),
    Mutant(
        "ex11-3",
        "cuts the caller's step to 1 / L",
        """def ista_step(A, b, x, lam, step):
    step = min(float(step), float(1 / lipschitz(A)))
    return soft_threshold(x - step * gradient(A, b, x), step * lam)""",
    ),
    Mutant(
        "ex11-3",
        "halves the step until F falls: a line search nobody asked for",
        """def ista_step(A, b, x, lam, step):
    y = soft_threshold(x - step * gradient(A, b, x), step * lam)
    while (lasso(A, b, y, lam) > lasso(A, b, x, lam) + 1e-9).any():
        step = step / 2
        y = soft_threshold(x - step * gradient(A, b, x), step * lam)
    return y""",
    ),
    Mutant(
        "ex11-3",
        "stays at x where F would rise",
        """def ista_step(A, b, x, lam, step):
    y = soft_threshold(x - step * gradient(A, b, x), step * lam)
    worse = lasso(A, b, y, lam) > lasso(A, b, x, lam)
    return torch.where(worse[:, None], x, y)""",
    ),
    Mutant(
        "ex11-4",
        "first step 1 / L, all others nearly twice as long",
        """def ista(A, b, lam, iterations, measure):
    L = lipschitz(A)
    x = torch.zeros(b.shape[0], A.shape[1])
    history = [measure(x)]
    for k in range(iterations):
        x = ista_step(A, b, x, lam, (1.9 if k else 1.0) / L)
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-4",
        "L guessed two per cent too small: the step is a little too long",
        ("step = 1 / lipschitz(A)", "step = 1.02 / lipschitz(A)"),
    ),
    Mutant(
        "ex11-4",
        "momentum sneaked in: arrives at the same minimum, sooner",
        """def ista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = last = torch.zeros(b.shape[0], A.shape[1])
    history = [measure(x)]
    for _ in range(iterations):
        y = ista_step(A, b, x + 0.3 * (x - last), lam, step)
        better = lasso(A, b, y, lam) <= lasso(A, b, x, lam)
        y = torch.where(better[:, None], y, ista_step(A, b, x, lam, step))
        last, x = x, y
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "momentum for the support only: zeros stay put",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = torch.where(x == 0, x, x + (t_last - 1) / t * (x - x_last))",
        ),
    ),
    Mutant(
        "ex11-5",
        "monotone: a point with a larger F is thrown away",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = z = torch.zeros(b.shape[0], A.shape[1])
    t, history = 1.0, [measure(x)]
    for _ in range(iterations):
        y = ista_step(A, b, z, lam, step)
        worse = lasso(A, b, y, lam) > lasso(A, b, x, lam)
        x_last, x = x, torch.where(worse[:, None], x, y)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + t_last / t * (y - x) + (t_last - 1) / t * (x - x_last)
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "restarts the momentum as soon as F rises",
        (
            "    t = 1.0\n    history = [measure(x)]",
            "    t, history = (1.0, [measure(x)])",
        ),
        (
            "        x_last, x = (x, ista_step(A, b, z, lam, step))",
            "        x_last, x = (x, ista_step(A, b, z, lam, step))\n"
            "        if (lasso(A, b, x, lam) > lasso(A, b, x_last, lam)).any():\n"
            "            t = 1.0",
        ),
    ),
    slip(
        "ex11-5",
        "a larger threshold at first, as in continuation",
        (
            "    t = 1.0\n"
            "    history = [measure(x)]\n"
            "    for _ in range(iterations):\n"
            "        x_last, x = (x, ista_step(A, b, z, lam, step))",
            "    t, history = (1.0, [measure(x)])\n"
            "    for k in range(iterations):\n"
            "        x_last, x = (x, ista_step(A, b, z, lam * (1 + 0.5 / (k + 1) ** 2), step))",
        ),
    ),
    Mutant(
        "ex11-6",
        "all factors one half forgotten: twice the gap",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)
    primal = r.square().sum(dim=1) + 2 * lam * x.abs().sum(dim=1)
    dual = b.square().sum(dim=1) - (s * r - b).square().sum(dim=1)
    return primal - dual""",
    ),
    slip(
        "ex11-6",
        "a shorter dual point than needed: still a bound, not the one of the text",
        (
            "s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)",
            "s = (lam / (1.01 * (r @ A).abs().amax(dim=1, keepdim=True) - 0.01 * lam)).clamp(max=1)",
        ),
    ),
    slip(
        "ex11-6",
        "zero where the residual is zero: nothing to bound",
        (
            "return lasso(A, b, x, lam) - dual",
            "return torch.where((r == 0).all(dim=1), 0.0, lasso(A, b, x, lam) - dual)",
        ),
    ),
    Mutant(
        "ex11-7",
        "step close to 2 / L: arrives at the same fit",
        """def restore(D, patches, known, lam, iterations):
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    b = mask * (patches - mean)
    step = 1.9 / lipschitz(D)
    x = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (x @ D.T) - b) @ D
        x = soft_threshold(x - step * slope, step * lam)
    return x @ D.T + mean""",
    ),
    Mutant(
        "ex11-7",
        "momentum of a constant 0.9",
        """def restore(D, patches, known, lam, iterations):
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    b = mask * (patches - mean)
    step = 1 / lipschitz(D)
    x = z = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (z @ D.T) - b) @ D
        x_last, x = x, soft_threshold(z - step * slope, step * lam)
        z = x + 0.9 * (x - x_last)
    return x @ D.T + mean""",
    ),
    Mutant(
        "ex11-1",
        "the largest threshold for all entries",
        """def soft_threshold(v, theta):
    t = torch.as_tensor(theta).max()
    return v.sign()*(v.abs()-t).clamp(min=0)""",
    ),
    slip(
        "ex11-2",
        "subtracts from b in place",
        ("    return (x @ A.T - b) @ A", "    b -= x @ A.T\n    return -b @ A"),
    ),
    Mutant(
        "ex11-2",
        "scales A in place before it measures",
        """def gradient(A,b,x):
    return (x@A.T-b)@A
def lipschitz(A):
    s=torch.linalg.matrix_norm(A,2)
    A /= s
    return s**2""",
    ),
    Mutant(
        "ex11-2",
        "L is the largest sum of magnitudes in a row of the Gram matrix",
        """def gradient(A,b,x):
    return (x@A.T-b)@A
def lipschitz(A):
    return (A.T@A).abs().sum(dim=1).max()""",
    ),
    Mutant(
        "ex11-2",
        "L is the sum of all eigenvalues",
        """def gradient(A,b,x):
    return (x@A.T-b)@A
def lipschitz(A):
    return torch.trace(A.T@A)""",
    ),
    Mutant(
        "ex11-2",
        "A is not transposed if it is square",
        """def gradient(A,b,x):
    return (x@A-b)@A if A.shape[0]==A.shape[1] else (x@A.T-b)@A
def lipschitz(A):
    return torch.linalg.matrix_norm(A,2)**2""",
    ),
    Mutant(
        "ex11-3",
        "subtracts from b in place",
        """def ista_step(A,b,x,lam,step):
    b.sub_(x@A.T)
    return soft_threshold(x+step*b@A,step*lam)""",
    ),
    Mutant(
        "ex11-3",
        "the caller's step for the threshold, 1 / L for the gradient",
        """def ista_step(A,b,x,lam,step):
    return soft_threshold(x-gradient(A,b,x)/lipschitz(A),step*lam)""",
    ),
    Mutant(
        "ex11-3",
        "makes two steps at once",
        """def ista_step(A,b,x,lam,step):
    for _ in range(2):
        x=soft_threshold(x-step*gradient(A,b,x),step*lam)
    return x""",
    ),
    Mutant(
        "ex11-3",
        "the mean gradient of the batch for every sample",
        """def ista_step(A,b,x,lam,step):
    return soft_threshold(x-step*gradient(A,b,x).mean(0,keepdim=True),step*lam)""",
    ),
    slip(
        "ex11-4",
        "stops as soon as nothing moves: the history is too short",
        (
            "x = ista_step(A, b, x, lam, step)",
            "last, x = (x, ista_step(A, b, x, lam, step))",
        ),
        (
            "        history.append(measure(x))",
            "        history.append(measure(x))\n"
            "        if (x - last).abs().max() < 1e-300:\n"
            "            break",
        ),
    ),
    Mutant(
        "ex11-4",
        "stops when little moves, and repeats the last number",
        """def ista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = torch.zeros(b.shape[0], A.shape[1])
    history = [measure(x)]
    for _ in range(iterations):
        last, x = x, ista_step(A, b, x, lam, step)
        history.append(measure(x))
        if (x - last).abs().max() < 1e-9:
            history += [history[-1]] * (iterations + 1 - len(history))
            break
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "momentum (k - 1) / (k + 2), the rule of another variant",
        ("for _ in range(iterations):", "for k in range(1, iterations + 1):"),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x + (k - 1) / (k + 2) * (x - x_last)",
        ),
    ),
    Mutant(
        "ex11-5",
        "restarts the momentum when it points uphill",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = z = torch.zeros(b.shape[0], A.shape[1])
    t = 1.0
    history = [measure(x)]
    for k in range(1, iterations+1):
        x_last, x = x, ista_step(A, b, z, lam, step)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        zz=z; z = x + (t_last-1)/t * (x - x_last)
        history.append(measure(x))
        if ((zz-x)*(x_last-x)).sum() < 0: t, z = 1.0, x
    return x, torch.stack(history)""",
    ),
    slip(
        "ex11-5",
        "momentum is switched off after fifty steps",
        ("for _ in range(iterations):", "for k in range(1, iterations + 1):"),
        (
            "z = x + (t_last - 1) / t * (x - x_last)",
            "z = x + (t_last - 1) / t if k < 55 else 0 * (x - x_last)",
        ),
    ),
    Mutant(
        "ex11-6",
        "the data in place of the residual as dual point",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    s = (lam / (b @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)
    dual = 0.5 * b.square().sum(dim=1) - 0.5 * (s * b - b).square().sum(dim=1)
    return lasso(A, b, x, lam) - dual""",
    ),
    slip(
        "ex11-6",
        "the gap relative to the objective",
        (
            "return lasso(A, b, x, lam) - dual",
            "return (lasso(A, b, x, lam) - dual) / lasso(A, b, x, lam)",
        ),
    ),
    slip(
        "ex11-6",
        "subtracts from b in place",
        ("r = b - x @ A.T", "r = b.sub_(x @ A.T)"),
    ),
    slip(
        "ex11-6",
        "the scale enters the square only once",
        (
            "dual = 0.5 * b.square().sum(dim=1) - 0.5 * (s * r - b).square().sum(dim=1)",
            "dual = (s * (r * b)).sum(dim=1) - 0.5 * (s * r.square()).sum(1)",
        ),
    ),
    slip(
        "ex11-6",
        "a smallest gap that is larger than rounding",
        (
            "return lasso(A, b, x, lam) - dual",
            "return (lasso(A, b, x, lam) - dual).clamp(min=1e-07)",
        ),
    ),
    slip(
        "ex11-7",
        "writes zeros into the caller's missing pixels",
        (
            "def restore(D, patches, known, lam, iterations):",
            "def restore(D, patches, known, lam, iterations):\n    patches[~known] = 0",
        ),
    ),
    slip(
        "ex11-7",
        "leaves the known pixels as they came",
        ("return x @ D.T + mean", "return torch.where(known, patches, x @ D.T + mean)"),
    ),
    slip(
        "ex11-7",
        "returns the extrapolated point",
        ("return x @ D.T + mean", "return z @ D.T + mean"),
    ),
    slip(
        "ex11-7",
        "cuts the mean to between 0 and 1",
        ("return x @ D.T + mean", "return x @ D.T + mean.clamp(0, 1)"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex11-1",
        "Moreau: what is left after clipping",
        SOFT + "return v - torch.clamp(v, -theta, theta)",
    ),
    Alternative(
        "ex11-1",
        "two ramps",
        SOFT + "return torch.relu(v - theta) - torch.relu(-v - theta)",
    ),
    Alternative(
        "ex11-1",
        "three cases",
        """def soft_threshold(v, theta):
    zero = torch.zeros_like(v)
    left = torch.where(v < -theta, v + theta, zero)
    return torch.where(v > theta, v - theta, left)""",
    ),
    Alternative(
        "ex11-1",
        "a switch in single precision, 0 or 1, times the moved value",
        SOFT + "return (v.abs() > theta).float() * (v - theta * v.sign())",
    ),
    Alternative(
        "ex11-2",
        "autograd and eigenvalues",
        """def gradient(A, b, x):
    x = x.detach().clone().requires_grad_(True)
    f = 0.5 * (b - x @ A.T).square().sum()
    return torch.autograd.grad(f, x)[0]

def lipschitz(A):
    return torch.linalg.eigvalsh(A.T @ A)[-1]""",
    ),
    Alternative(
        "ex11-2",
        "einsum and singular values",
        """def gradient(A, b, x):
    residual = torch.einsum("mn,kn->km", A, x) - b
    return torch.einsum("mn,km->kn", A, residual)

def lipschitz(A):
    return float(torch.linalg.svdvals(A)[0]) ** 2""",
    ),
    Alternative(
        "ex11-2",
        "sample by sample, Gram matrix of the rows",
        """def gradient(A, b, x):
    return torch.stack([A.T @ (A @ xi - bi) for xi, bi in zip(x, b)])

def lipschitz(A):
    return torch.linalg.eigvalsh(A @ A.T).max().item()""",
    ),
    Alternative(
        "ex11-3",
        "written out in one formula",
        """def ista_step(A, b, x, lam, step):
    w = x + step * (b - x @ A.T) @ A
    return torch.sign(w) * torch.relu(w.abs() - step * lam)""",
    ),
    Alternative(
        "ex11-3",
        "scaled problem: divide by the step, threshold with lam, multiply",
        """def ista_step(A, b, x, lam, step):
    w = x / step - gradient(A, b, x)
    return step * soft_threshold(w, lam)""",
    ),
    Alternative(
        "ex11-4",
        "preallocated history and Gram matrix",
        """def ista(A, b, lam, iterations, measure):
    L = lipschitz(A)
    gram, data = A.T @ A / L, b @ A / L
    x = torch.zeros(len(b), A.shape[1])
    history = torch.empty(iterations + 1, len(b))
    history[0] = measure(x)
    for k in range(1, iterations + 1):
        x = soft_threshold(x - x @ gram + data, lam / L)
        history[k] = measure(x)
    return x, history""",
    ),
    Alternative(
        "ex11-4",
        "keeps the iterates, measures at the end",
        """def ista(A, b, lam, iterations, measure):
    step, iterates = 1 / lipschitz(A), [b.new_zeros(len(b), A.shape[1])]
    while len(iterates) <= iterations:
        iterates.append(ista_step(A, b, iterates[-1], lam, step))
    return iterates[-1], torch.stack([measure(x) for x in iterates])""",
    ),
    Alternative(
        "ex11-5",
        "extrapolation before the step, t one index behind",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = x_last = torch.zeros(len(b), A.shape[1])
    t_last, t = 1.0, 1.0
    history = [measure(x)]
    for _ in range(iterations):
        z = x + (t_last - 1) / t * (x - x_last)
        x_last, x = x, soft_threshold(z - step * gradient(A, b, z), step * lam)
        t_last, t = t, (1 + (1 + 4 * t * t) ** 0.5) / 2
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    Alternative(
        "ex11-5",
        "two sequences: z is a mean of x and of an aggressive point",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = v = torch.zeros(len(b), A.shape[1])
    t, history = 1.0, [measure(x)]
    for _ in range(iterations):
        z = (1 - 1 / t) * x + v / t
        x_new = ista_step(A, b, z, lam, step)
        v = x + t * (x_new - x)
        x, t = x_new, (1 + math.sqrt(1 + 4 * t * t)) / 2
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    Alternative(
        "ex11-5",
        "gradient extrapolated instead of the point",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = torch.zeros(len(b), A.shape[1])
    w_last, t, beta, history = None, torch.ones(()), 0.0, [measure(x)]
    for _ in range(iterations):
        w = x - step * gradient(A, b, x)
        point = w if w_last is None else w + beta * (w - w_last)
        x, w_last = soft_threshold(point, step * lam), w
        t_next = (1 + (1 + 4 * t.square()).sqrt()) / 2
        beta, t = (t - 1) / t_next, t_next
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    Alternative(
        "ex11-6",
        "large parts cancelled on paper",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    g = r @ A
    largest = g.abs().max(dim=1).values
    s = torch.where(largest > lam, lam / largest, torch.ones_like(largest))
    quadratic = 0.5 * (1 - s) ** 2 * (r * r).sum(1)
    return quadratic + lam * x.abs().sum(1) - s * (x * g).sum(1)""",
    ),
    Alternative(
        "ex11-6",
        "best feasible multiple of the residual, not only a shrunken one",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    limit = lam / (r @ A).abs().amax(dim=1).clamp(min=1e-300)
    wish = (b * r).sum(dim=1) / r.square().sum(dim=1).clamp(min=1e-300)
    s = torch.maximum(torch.minimum(wish, limit), -limit)[:, None]
    dual = (s * r * b).sum(dim=1) - 0.5 * (s * r).square().sum(dim=1)
    return lasso(A, b, x, lam) - dual""",
    ),
    Alternative(
        "ex11-6",
        "sample by sample",
        """def duality_gap(A, b, x, lam):
    gaps = []
    for bi, xi in zip(b, x):
        r = bi - A @ xi
        largest = torch.linalg.vector_norm(A.T @ r, ord=float("inf"))
        u = r * min(1.0, lam / max(largest.item(), 1e-300))
        primal = 0.5 * r @ r + lam * xi.abs().sum()
        gaps.append(primal - (u @ bi - 0.5 * u @ u))
    return torch.stack(gaps)""",
    ),
    Alternative(
        "ex11-7",
        "patch by patch, missing rows thrown away",
        """def restore(D, patches, known, lam, iterations):
    restored = torch.empty_like(patches)
    for i, rows in enumerate(known):
        mean = patches[i, rows].mean()
        b = (patches[i, rows] - mean)[None]
        x, _ = fista(D[rows], b, lam, iterations, lambda x: x[:, 0])
        restored[i] = (x @ D.T)[0] + mean
    return restored""",
    ),
    Alternative(
        "ex11-7",
        "missing pixels refilled with the current fit in every step",
        """def restore(D, patches, known, lam, iterations):
    hidden = patches.masked_fill(~known, 0.0)
    mean = hidden.sum(1, keepdim=True) / known.sum(1, keepdim=True)
    x = z = torch.zeros(len(patches), D.shape[1])
    step, t = 1 / lipschitz(D), 1.0
    for _ in range(iterations):
        filled = torch.where(known, patches - mean, z @ D.T)
        x_new = ista_step(D, filled, z, lam, step)
        t_new = (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x_new + (t - 1) / t_new * (x_new - x)
        x, t = x_new, t_new
    return mean + x @ D.T""",
    ),
    Alternative(
        "ex11-1",
        "NumPy arrays in between",
        """import numpy as np
def soft_threshold(v, theta):
    t = theta.numpy() if torch.is_tensor(theta) else theta
    a = v.numpy()
    return torch.as_tensor(np.sign(a)*np.maximum(np.abs(a)-t,0))""",
    ),
    Alternative(
        "ex11-5",
        "t as a tensor",
        """def fista(A, b, lam, iterations, measure):
    step = 1 / lipschitz(A)
    x = z = torch.zeros(b.shape[0], A.shape[1])
    t = torch.tensor(1.0)
    history = [measure(x)]
    for k in range(1, iterations+1):
        x_last, x = x, ista_step(A, b, z, lam, step)
        t_last, t = t, (1 + (1 + 4 * t**2).sqrt()) / 2
        z = x + (t_last-1)/t * (x - x_last)
        history.append(measure(x))
    return x, torch.stack(history)""",
    ),
    Alternative(
        "ex11-6",
        "never negative, and a quotient that is guarded",
        """def duality_gap(A, b, x, lam):
    r = b - x @ A.T
    s = (lam / (r @ A).abs().amax(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
    dual = 0.5 * b.square().sum(dim=1) - 0.5 * (s * r - b).square().sum(dim=1)
    return (lasso(A, b, x, lam) - dual).clamp(min=0)""",
    ),
    Alternative(
        "ex11-7",
        "the mask in single precision",
        """def restore(D, patches, known, lam, iterations):
    mask = known.float()
    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
    b = mask * (patches - mean)
    step, t = 1 / lipschitz(D), 1.0
    x = z = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (z @ D.T) - b) @ D
        x_last, x = x, soft_threshold(z - step * slope, step * lam)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + (t_last - 1) / t * (x - x_last)
    return x @ D.T + mean""",
    ),
    Alternative(
        "ex11-7",
        "missing pixels are replaced before anything else",
        """def restore(D, patches, known, lam, iterations):
    patches = torch.where(known, patches, 0.0)
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
    b = mask * (patches - mean)
    step, t = 1 / lipschitz(D), 1.0
    x = z = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (z @ D.T) - b) @ D
        x_last, x = x, soft_threshold(z - step * slope, step * lam)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + (t_last - 1) / t * (x - x_last)
    return x @ D.T + mean""",
    ),
]
