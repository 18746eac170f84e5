"""Chapter 31: what students get wrong in their first PINN, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed

FD = """def finite_differences(s, n, left=0.0, right=0.0):
    h = 1 / (n + 1)
    x = torch.linspace(0, 1, n + 2)[:, None]
    A = 2 * torch.eye(n)
    if n > 1:
        A -= torch.diag(torch.ones(n - 1), 1) + torch.diag(torch.ones(n - 1), -1)
    b = h**2 * s(x[1:-1])
    b[0] += left
    b[-1] += right
    ends = torch.tensor([[left], [right]])
    return x, torch.cat([ends[:1], torch.linalg.solve(A, b), ends[1:]])


def observed_orders(h, errors):
    return (errors[:-1] / errors[1:]).log() / (h[:-1] / h[1:]).log()
"""

DERIVATIVES = """def derivatives(u, x):
    x = x.detach().requires_grad_()
    value = u(x)

    def slope(y):
        if not y.requires_grad:
            return torch.zeros_like(x)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True)
        return torch.zeros_like(x) if g is None else g

    gradient = slope(value)
    second = [slope(gradient[:, k])[:, k] for k in range(x.shape[1])]
    return value, gradient, torch.stack(second, dim=1)
"""

RESIDUAL = """def burgers_residual(u, x, nu):
    value, gradient, second = derivatives(u, x)
    return gradient[:, 1:] + value * gradient[:, :1] - nu * second[:, :1]
"""

LOSS = """def loss_terms(u, residual, x, conditions):
    terms = [residual(u, x).square().mean()]
    for points, values in conditions:
        terms.append((u(points)[:, 0] - values).square().mean())
    return torch.stack(terms)
"""

HARD = """def constrain(x, y):
    space, time = x[:, :1], x[:, 1:]
    return -torch.sin(math.pi * space) + (1 - space**2) * time * y
"""

FLUX = """def burgers_flux(x, u, p, nu):
    return torch.stack([u**2 / 2 - nu * p[:, :, 0], u], dim=2)


def flux_divergence(flux, u, x):
    x = x.detach().requires_grad_()
    value = u(x)
    (p,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    F = flux(x, value, p[:, None, :])
    total = torch.zeros(len(x), 1)
    for k in range(x.shape[1]):
        part = F[:, 0, k]
        if part.requires_grad:
            (slope,) = torch.autograd.grad(
                part.sum(), x, create_graph=True, allow_unused=True
            )
            if slope is not None:
                total = total + slope[:, k : k + 1]
    return total
"""

BOUND = """def error_bound(u, s, eps, a, b, left, right):
    x = torch.linspace(a, b, 2001)[:, None]
    value, _, second = derivatives(u, x)
    r = -eps * second - s(x)
    ends = max(abs(value[0].item() - left), abs(value[-1].item() - right))
    return ends + (b - a) ** 2 / (8 * eps) * r.abs().max().item()


def worst_error(delta, eps, a, b):
    return lambda x: delta * (x - a) * (b - x) / (2 * eps)
"""


def mutant(number: int, idea: str, code: str, *changes: tuple[str, str]) -> Mutant:
    """A wrong answer made from the right one."""
    return Mutant(f"ex31-{number}", idea, changed(code, *changes))


MUTANTS = [
    mutant(1, "takes the step 1 / n", FD, ("h = 1 / (n + 1)", "h = 1 / n")),
    mutant(1, "solves u'' = s", FD, ("b = h**2", "b = -(h**2)")),
    mutant(1, "forgets to multiply by h squared", FD, ("h**2 * s", "h * s")),
    mutant(1, "forgets the known value at the left", FD, ("    b[0] += left\n", "")),
    mutant(
        1,
        "swaps the ends in the equations",
        FD,
        ("b[0] += left", "b[0] += right"),
        ("b[-1] += right", "b[-1] += left"),
    ),
    mutant(
        1,
        "subtracts the known values",
        FD,
        ("b[0] += left", "b[0] -= left"),
        ("b[-1] += right", "b[-1] -= right"),
    ),
    mutant(
        1,
        "takes the source half a step off",
        FD,
        ("s(x[1:-1])", "s(x[1:-1] - h / 2)"),
    ),
    mutant(
        1,
        "supposes that every step is halved",
        FD,
        ("(h[:-1] / h[1:]).log()", "math.log(2)"),
    ),
    mutant(
        1, "order with the wrong sign", FD, ("(h[:-1] / h[1:])", "(h[1:] / h[:-1])")
    ),
    mutant(2, "averages instead of summing", DERIVATIVES, ("y.sum()", "y.mean()")),
    mutant(
        2,
        "mixes the cross derivatives in",
        DERIVATIVES,
        (
            "second = [slope(gradient[:, k])[:, k] for k in range(x.shape[1])]",
            "second = list(slope(gradient).unbind(1))",
        ),
    ),
    mutant(
        2,
        "detaches the gradient that it returns",
        DERIVATIVES,
        ("return value, gradient,", "return value, gradient.detach(),"),
    ),
    mutant(
        2,
        "no graph of the second derivatives",
        DERIVATIVES,
        ("torch.stack(second, dim=1)", "torch.stack(second, dim=1).detach()"),
    ),
    mutant(
        2,
        "no graph of the first derivative",
        DERIVATIVES,
        ("create_graph=True", "create_graph=False"),
    ),
    mutant(
        2,
        "switches gradients on in the caller's points",
        DERIVATIVES,
        ("x = x.detach().requires_grad_()", "x.requires_grad_()"),
    ),
    mutant(
        2,
        "fails on functions without curvature",
        DERIVATIVES,
        (
            "        if not y.requires_grad:\n            return torch.zeros_like(x)\n",
            "",
        ),
    ),
    mutant(
        2,
        "returns the slope of the slope's first column only",
        DERIVATIVES,
        (
            "[slope(gradient[:, k])[:, k] for k in range(x.shape[1])]",
            "[slope(gradient[:, 0])[:, k] for k in range(x.shape[1])]",
        ),
    ),
    mutant(
        2,
        "squares the slope for the second derivative",
        DERIVATIVES,
        ("slope(gradient[:, k])[:, k] for", "gradient[:, k] ** 2 for"),
    ),
    mutant(3, "viscosity with a plus", RESIDUAL, ("- nu", "+ nu")),
    mutant(3, "forgets the viscosity's number", RESIDUAL, ("- nu * ", "- ")),
    mutant(
        3,
        "swaps space and time",
        RESIDUAL,
        (
            "gradient[:, 1:] + value * gradient[:, :1]",
            "gradient[:, :1] + value * gradient[:, 1:]",
        ),
    ),
    mutant(
        3, "second derivative in time", RESIDUAL, ("second[:, :1]", "second[:, 1:]")
    ),
    mutant(3, "linear advection", RESIDUAL, ("value * gradient", "gradient")),
    mutant(3, "steady equation", RESIDUAL, ("gradient[:, 1:] + value", "value")),
    mutant(
        3,
        "half of the transport, as in the flux",
        RESIDUAL,
        ("value * gradient", "value / 2 * gradient"),
    ),
    mutant(
        3,
        "a table instead of a column",
        RESIDUAL,
        ("value * gradient[:, :1]", "value * gradient[:, 0]"),
    ),
    mutant(
        3,
        "freezes the velocity that transports",
        RESIDUAL,
        ("value * gradient", "value.detach() * gradient"),
    ),
    mutant(
        4,
        "a column minus a row",
        LOSS,
        ("u(points)[:, 0] - values", "u(points) - values"),
    ),
    mutant(4, "sums instead of means", LOSS, (".square().mean()", ".square().sum()")),
    mutant(
        4, "absolute values, not squares", LOSS, (".square().mean()", ".abs().mean()")
    ),
    mutant(
        4,
        "square of the mean",
        LOSS,
        ("residual(u, x).square().mean()", "residual(u, x).mean().square()"),
    ),
    mutant(
        4,
        "root of the mean square",
        LOSS,
        (".square().mean()", ".square().mean().sqrt()"),
    ),
    mutant(
        4,
        "no graph through the terms",
        LOSS,
        ("torch.stack(terms)", "torch.tensor([float(t) for t in terms])"),
    ),
    mutant(
        4,
        "the equation comes last",
        LOSS,
        ("torch.stack(terms)", "torch.stack(terms[1:] + terms[:1])"),
    ),
    mutant(
        4,
        "all conditions in one term",
        LOSS,
        (
            "torch.stack(terms)",
            "torch.stack([terms[0], sum(terms[1:], torch.tensor(0.0))])",
        ),
    ),
    mutant(
        4,
        "the network is taken at the collocation points",
        LOSS,
        ("u(points)[:, 0]", "u(x)[: len(points), 0]"),
    ),
    mutant(5, "leaves the ends free", HARD, ("(1 - space**2) * time", "time")),
    mutant(
        5,
        "leaves the beginning free",
        HARD,
        ("(1 - space**2) * time", "(1 - space**2)"),
    ),
    mutant(5, "a double zero in time", HARD, ("* time *", "* time**2 *")),
    mutant(
        5, "double zeros at the ends", HARD, ("(1 - space**2)", "(1 - space**2) ** 2")
    ),
    mutant(
        5,
        "takes the interval for 0 to 1",
        HARD,
        ("(1 - space**2)", "space * (1 - space)"),
    ),
    mutant(
        5,
        "B vanishes in the middle",
        HARD,
        ("(1 - space**2)", "torch.sin(math.pi * space)"),
    ),
    mutant(
        5, "forgets the initial value", HARD, ("-torch.sin(math.pi * space) + ", "")
    ),
    mutant(5, "initial value with a plus", HARD, ("-torch.sin", "torch.sin")),
    mutant(
        5,
        "only the network without B",
        HARD,
        ("(1 - space**2) * time * y", "0 * time + y"),
    ),
    mutant(5, "ignores the network", HARD, ("time * y", "time * 0 * y")),
    mutant(
        5,
        "B multiplies the initial value too",
        HARD,
        (
            "-torch.sin(math.pi * space) + (1 - space**2) * time * y",
            "(1 - space**2) * time * (y - torch.sin(math.pi * space))",
        ),
    ),
    mutant(5, "cuts the network off", HARD, ("time * y", "time * y.detach()")),
    mutant(6, "forgets the half", FLUX, ("u**2 / 2", "u**2")),
    mutant(6, "viscosity with the wrong sign", FLUX, ("- nu * p", "+ nu * p")),
    mutant(
        6, "the time derivative as viscous flux", FLUX, ("p[:, :, 0]", "p[:, :, 1]")
    ),
    mutant(
        6,
        "time first and space second",
        FLUX,
        (
            "torch.stack([u**2 / 2 - nu * p[:, :, 0], u], dim=2)",
            "torch.stack([u, u**2 / 2 - nu * p[:, :, 0]], dim=2)",
        ),
    ),
    mutant(
        6,
        "transport in place of its flux",
        FLUX,
        ("u**2 / 2", "u * p[:, :, 0]"),
    ),
    mutant(
        6,
        "the time derivative flows along time",
        FLUX,
        ("p[:, :, 0], u]", "p[:, :, 0], p[:, :, 1]]"),
    ),
    mutant(
        6,
        "differentiates every component by every coordinate",
        FLUX,
        ("slope[:, k : k + 1]", "slope.sum(dim=1, keepdim=True)"),
    ),
    mutant(
        6,
        "cuts the gradient off from the parameters",
        FLUX,
        (
            "F = flux(x, value, p[:, None, :])",
            "F = flux(x, value, p.detach()[:, None, :])",
        ),
    ),
    mutant(
        6,
        "forgets that the flux depends on the place",
        FLUX,
        ("F = flux(x, value", "F = flux(x.detach(), value"),
    ),
    mutant(
        6,
        "only the first coordinate",
        FLUX,
        ("range(x.shape[1])", "range(1)"),
    ),
    mutant(
        6,
        "no graph of the divergence",
        FLUX,
        ("    return total\n", "    return total.detach()\n"),
    ),
    mutant(7, "forgets epsilon in the bound", BOUND, ("(8 * eps)", "8")),
    mutant(7, "forgets epsilon in the residual", BOUND, ("-eps * second", "-second")),
    mutant(7, "forgets the ends", BOUND, ("return ends + ", "return ")),
    mutant(7, "forgets the length", BOUND, ("(b - a) ** 2 / (8", "1 / (8")),
    mutant(7, "length without the square", BOUND, ("(b - a) ** 2", "(b - a)")),
    mutant(
        7,
        "mean of the residual",
        BOUND,
        ("r.abs().max().item()", "r.abs().mean().item()"),
    ),
    mutant(7, "signed largest residual", BOUND, ("r.abs().max()", "r.max()")),
    mutant(
        7,
        "adds both ends",
        BOUND,
        ("max(abs(value[0].item() - left), abs", "(abs(value[0].item() - left) + abs"),
    ),
    mutant(7, "sign of the source", BOUND, ("- s(x)", "+ s(x)")),
    mutant(
        7,
        "swaps the two ends",
        BOUND,
        ("() - left", "() - right_"),
        ("() - right)", "() - left)"),
        ("right_", "right"),
    ),
    mutant(7, "parabola twice as high", BOUND, ("/ (2 * eps)", "/ eps")),
    mutant(
        7, "parabola upside down", BOUND, ("(x - a) * (b - x)", "(x - a) * (x - b)")
    ),
    mutant(
        7, "parabola of the unit interval", BOUND, ("(x - a) * (b - x)", "x * (1 - x)")
    ),
    mutant(
        7,
        "hides a sine",
        BOUND,
        (
            "(x - a) * (b - x) / (2 * eps)",
            "torch.sin(math.pi * (x - a) / (b - a)) * (b - a) ** 2 / (8 * eps)",
        ),
    ),
    # ideas that the tests let pass once
    mutant(
        1,
        "every order is measured from the first mesh",
        FD,
        (
            "(errors[:-1] / errors[1:]).log() / (h[:-1] / h[1:]).log()",
            "(errors[0] / errors[1:]).log() / (h[0] / h[1:]).log()",
        ),
    ),
    mutant(
        1,
        "one order for all pairs: the slope of a straight line through the table",
        FD,
        (
            "return (errors[:-1] / errors[1:]).log() / (h[:-1] / h[1:]).log()",
            "x, y = h.log() - h.log().mean(), errors.log()\n"
            "    return (x @ y / (x @ x)).repeat(len(h) - 1)",
        ),
    ),
    Mutant(
        "ex31-2",
        "difference quotients, with a step that is a power of two",
        """def derivatives(u, x):
    x, h, here = x.detach(), 2.0**-13, u(x)
    first, second = [], []
    for step in h * torch.eye(x.shape[1]):
        ahead, back = u(x + step), u(x - step)
        first.append((ahead - back)[:, 0] / (2 * h))
        second.append((ahead - 2 * here + back)[:, 0] / h**2)
    return here, torch.stack(first, dim=1), torch.stack(second, dim=1)
""",
    ),
    mutant(
        2,
        "fails on a function that does not read its points",
        DERIVATIVES,
        (
            "    value = u(x)\n\n",
            "    value = u(x)\n    torch.autograd.grad(value.sum(), x, retain_graph=True)\n\n",
        ),
    ),
    mutant(
        3,
        "no graph of the viscous part",
        RESIDUAL,
        ("- nu * second[:, :1]", "- nu * second[:, :1].detach()"),
    ),
    mutant(
        3,
        "no graph of the slope that is transported",
        RESIDUAL,
        ("value * gradient[:, :1]", "value * gradient[:, :1].detach()"),
    ),
    mutant(
        4,
        "one factor of every square is a constant: half of the gradient",
        LOSS,
        (".square().mean()", ".pow(2).mean()"),
        (
            "residual(u, x).pow(2).mean()",
            "(residual(u, x) * residual(u, x).detach()).mean()",
        ),
    ),
    mutant(
        4,
        "conditions are cut to the length of the shortest",
        LOSS,
        (
            "(u(points)[:, 0] - values)",
            "(u(points)[:, 0] - values)[: min(len(v) for _, v in conditions)]",
        ),
    ),
    mutant(
        5,
        "B and g from points without a graph: u_x and u_t are wrong",
        HARD,
        ("    space, time", "    x = x.detach()\n    space, time"),
    ),
    mutant(
        5,
        "an initial value that fades with a kink",
        HARD,
        ("(math.pi * space) +", "(math.pi * space) * (1 - 2 * time).clamp(min=0) +"),
    ),
    mutant(
        5,
        "half of the network's output without a graph",
        HARD,
        ("time * y", "time * (y + y.detach()) / 2"),
    ),
    mutant(
        6,
        "supposes that there are at most two coordinates",
        FLUX,
        ("range(x.shape[1])", "range(min(2, x.shape[1]))"),
    ),
    mutant(
        6,
        "fails where nothing is curved",
        FLUX,
        ("        if part.requires_grad:\n", "        if True:\n"),
    ),
    Mutant(
        "ex31-6",
        "divergence by difference quotients",
        """def burgers_flux(x, u, p, nu):
    return torch.stack([u**2 / 2 - nu * p[:, :, 0], u], dim=2)


def flux_divergence(flux, u, x):
    def through(x):
        x = x.detach().requires_grad_()
        value = u(x)
        (p,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return flux(x, value, p[:, None, :])[:, 0]

    h, total = 1e-5, 0.0
    for k, step in enumerate(h * torch.eye(x.shape[1])):
        total = total + (through(x + step) - through(x - step))[:, k] / (2 * h)
    return total[:, None]
""",
    ),
    mutant(
        7,
        "looks at 201 points, not at 2001",
        BOUND,
        ("2001", "201"),
    ),
    mutant(
        7,
        "looks at the middles, not at the ends",
        BOUND,
        ("second - s(x)", "second - s(x)\n    r = r[1:-1]"),
    ),
    mutant(
        7,
        "worst error of the size of delta, whatever its sign",
        BOUND,
        ("lambda x: delta *", "lambda x: abs(delta) *"),
    ),
    mutant(
        7,
        "the residual's size is rounded up by a tenth of a per mille, to be safe",
        BOUND,
        ("r.abs().max().item()", "r.abs().max().item() * 1.00005"),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex31-1",
        "elimination on three diagonals",
        """def finite_differences(s, n, left=0.0, right=0.0):
    h = 1 / (n + 1)
    x = torch.linspace(0, 1, n + 2)[:, None]
    b = [h**2 * v for v in s(x[1:-1])[:, 0].tolist()]
    b[0] += left
    b[-1] += right
    diagonal = [2.0]
    for i in range(1, n):
        diagonal.append(2 - 1 / diagonal[-1])
        b[i] += b[i - 1] / diagonal[i - 1]
    U = [right]
    for i in reversed(range(n)):
        U.append((b[i] + (U[-1] if i < n - 1 else 0.0)) / diagonal[i])
    return x, torch.tensor([*U, left])[:, None].flip(0)


def observed_orders(h, errors):
    return torch.log10(errors).diff() / torch.log10(h).diff()
""",
    ),
    Alternative(
        "ex31-1",
        "all nodes as unknowns, ends as equations",
        """def finite_differences(s, n, left=0.0, right=0.0):
    h = 1 / (n + 1)
    x = torch.linspace(0, 1, n + 2)[:, None]
    A, b = torch.zeros(n + 2, n + 2), s(x).clone()
    for i in range(1, n + 1):
        A[i, i - 1 : i + 2] = torch.tensor([-1.0, 2.0, -1.0]) / h**2
    A[0, 0] = A[-1, -1] = 1.0
    b[0], b[-1] = left, right
    return x, torch.linalg.solve(A, b)


def observed_orders(h, errors):
    pairs = zip(h[:-1], h[1:], errors[:-1], errors[1:], strict=True)
    return torch.tensor([math.log(e / f) / math.log(g / k) for g, k, e, f in pairs])
""",
    ),
    Alternative(
        "ex31-2",
        "functional transforms, point by point",
        """def derivatives(u, x):
    x = x.detach()
    def one(point):
        return u(point[None])[0, 0]
    def second(point):
        return torch.func.hessian(one)(point).diagonal()
    gradient = torch.func.vmap(torch.func.grad(one))(x)
    return u(x), gradient, torch.func.vmap(second)(x)
""",
    ),
    Alternative(
        "ex31-2",
        "one leaf per coordinate",
        """def derivatives(u, x):
    columns = [c.detach().clone().requires_grad_() for c in x.T]
    value = u(torch.stack(columns, dim=1))

    def by(y, column):
        if not y.requires_grad:
            return torch.zeros_like(column)
        g = torch.autograd.grad(
            y, column, torch.ones_like(y), create_graph=True, allow_unused=True
        )[0]
        return torch.zeros_like(column) if g is None else g

    first = [by(value, c) for c in columns]
    second = [by(g, c) for g, c in zip(first, columns, strict=True)]
    return value, torch.stack(first, dim=1), torch.stack(second, dim=1)
""",
    ),
    Alternative(
        "ex31-3",
        "conservative form, differentiated once more",
        """def burgers_residual(u, x, nu):
    _, gradient, second = derivatives(u, x)
    _, half, _ = derivatives(lambda x: u(x) ** 2 / 2, x)
    return (gradient[:, 1] + half[:, 0] - nu * second[:, 0])[:, None]
""",
    ),
    Alternative(
        "ex31-3",
        "with autograd alone",
        """def burgers_residual(u, x, nu):
    x = x.detach().clone().requires_grad_()
    v = u(x)
    v_x, v_t = torch.autograd.grad(v.sum(), x, create_graph=True)[0].split(1, dim=1)
    v_xx = torch.zeros_like(v)
    if v_x.requires_grad:
        v_xx = torch.autograd.grad(v_x.sum(), x, create_graph=True)[0][:, :1]
    return v_t + v * v_x - nu * v_xx
""",
    ),
    Alternative(
        "ex31-4",
        "values as columns",
        """def loss_terms(u, residual, x, conditions):
    errors = [residual(u, x)] + [u(p) - v[:, None] for p, v in conditions]
    return torch.stack([(e**2).sum() / len(e) for e in errors])
""",
    ),
    Alternative(
        "ex31-4",
        "with torch's own mean squared error",
        """def loss_terms(u, residual, x, conditions):
    r = residual(u, x)
    mse = nn.functional.mse_loss
    rest = [mse(u(p).reshape(-1), v) for p, v in conditions]
    return torch.stack([mse(r, torch.zeros_like(r)), *rest])
""",
    ),
    Alternative(
        "ex31-5",
        "a cosine and an exponential",
        """def constrain(x, y):
    g = -torch.sin(math.pi * x[:, :1])
    B = torch.cos(math.pi * x[:, :1] / 2) * (1 - torch.exp(-x[:, 1:]))
    return g + B * y
""",
    ),
    Alternative(
        "ex31-5",
        "an initial value that fades",
        """def constrain(x, y):
    space, time = x.split(1, dim=1)
    fading = -torch.sin(math.pi * space) * torch.exp(-time)
    return fading - (1 + space) * (1 - space) * torch.tanh(time) * y
""",
    ),
    Alternative(
        "ex31-6",
        "flux as one function of the points",
        """def burgers_flux(x, u, p, nu):
    F = torch.empty(len(u), 1, 2)
    F = torch.cat([u**2 / 2 - nu * p[:, 0, :1], u], dim=1)
    return F[:, None, :]


def flux_divergence(flux, u, x):
    x = x.detach().clone().requires_grad_()

    def along(x):
        value = u(x)
        p = torch.autograd.grad(value.sum(), x, create_graph=True)[0]
        return flux(x, value, p.unsqueeze(1))[:, 0]

    F = along(x)
    F = F + 0 * x  # a flux may be constant
    slopes = [
        torch.autograd.grad(F[:, k].sum(), x, create_graph=True)[0]
        for k in range(x.shape[1])
    ]
    return sum(s[:, k] for k, s in enumerate(slopes))[:, None]
""",
    ),
    Alternative(
        "ex31-6",
        "by the chain rule of the library",
        """def burgers_flux(x, u, p, nu):
    across = u * u * 0.5 - nu * p[..., 0]
    return torch.stack((across, u), dim=-1)


def flux_divergence(flux, u, x):
    jet = pinn.jet_of(u, x.detach(), pinn.Wanted.all(x.shape[1]))
    return pinn.divergence(flux, x.detach(), jet)
""",
    ),
    Alternative(
        "ex31-7",
        "written as height of the parabola",
        """def worst_error(delta, eps, a, b):
    middle, half = (a + b) / 2, (b - a) / 2
    return lambda x: delta / (2 * eps) * (half**2 - (x - middle) ** 2)


def error_bound(u, s, eps, a, b, left, right):
    x = torch.linspace(a, b, 2001).reshape(-1, 1)
    value, _, second = derivatives(u, x)
    rho = (eps * second + s(x)).abs().max()
    height = worst_error(rho, eps, a, b)(torch.tensor([[(a + b) / 2]]))
    wrong = value[[0, -1], 0] - torch.tensor([left, right])
    return float((height + wrong.abs().max()).detach())
""",
    ),
    Alternative(
        "ex31-7",
        "in chunks of points",
        """def error_bound(u, s, eps, a, b, left, right):
    points = torch.linspace(a, b, 2001)[:, None]
    largest = 0.0
    for x in points.split(500):
        r = eps * derivatives(u, x)[2] + s(x)
        largest = max(largest, float(r.abs().max().detach()))
    with torch.no_grad():
        at = u(torch.tensor([[a], [b]]))[:, 0]
    ends = max(abs(float(at[0]) - left), abs(float(at[1]) - right))
    return ends + largest * (b - a) ** 2 / eps / 8


def worst_error(delta, eps, a, b):
    def hidden(x):
        return delta / eps * ((b - a) * (x - a) - (x - a) ** 2) / 2

    return hidden
""",
    ),
    Alternative(
        "ex31-1",
        "in numpy, with rows of a full matrix",
        """def finite_differences(s, n, left=0.0, right=0.0):
    x = np.linspace(0, 1, n + 2)
    A = np.zeros((n, n + 2))
    for i in range(n):
        A[i, i : i + 3] = -1, 2, -1
    b = s(torch.tensor(x)[:, None]).numpy()[1:-1, 0] / (n + 1) ** 2
    b = b - A[:, 0] * left - A[:, -1] * right
    inner = np.linalg.solve(A[:, 1:-1], b)
    return torch.tensor(x)[:, None], torch.tensor([left, *inner, right])[:, None]


def observed_orders(h, errors):
    return torch.tensor(np.diff(np.log(errors.numpy())) / np.diff(np.log(h.numpy())))
""",
    ),
    Alternative(
        "ex31-2",
        "rows of whole Jacobians",
        """def derivatives(u, x):
    x = x.detach()

    def slopes(x):
        J = torch.func.jacrev(lambda x: u(x).sum(0))(x)
        return J[0]

    H = torch.func.jacrev(lambda x: slopes(x).sum(0))(x)
    second = [H[k, :, k] for k in range(x.shape[1])]
    return u(x), slopes(x), torch.stack(second, dim=1)
""",
    ),
    Alternative(
        "ex31-3",
        "forward mode, twice along space",
        """def burgers_residual(u, x, nu):
    def along(f, axis):
        way = torch.zeros_like(x)
        way[:, axis] = 1.0
        return lambda x: torch.func.jvp(f, (x,), (way,))[1]

    return along(u, 1)(x) + u(x) * along(u, 0)(x) - nu * along(along(u, 0), 0)(x)
""",
    ),
    Alternative(
        "ex31-7",
        "sum of the ends' error and the parabola's height, in plain numbers",
        """def error_bound(u, s, eps, a, b, left, right):
    x = a + (b - a) * torch.arange(2001.0)[:, None] / 2000
    value, _, second = derivatives(u, x)
    r = [abs(v) for v in (eps * second + s(x)).flatten().tolist()]
    ends = [abs(value[0].item() - left), abs(value[-1].item() - right)]
    return max(ends) + max(r) * (b - a) ** 2 / 8 / eps


def worst_error(delta, eps, a, b):
    def e(x):
        return (delta / eps) * (-(x**2) / 2 + (a + b) / 2 * x - a * b / 2)

    return e
""",
    ),
    Alternative(
        "ex31-4",
        "squared lengths over the number of points, point by point",
        """def loss_terms(u, residual, x, conditions):
    errors = [residual(u, x).flatten()]
    for points, values in conditions:
        at = torch.cat([u(p[None]).flatten() for p in points])
        errors.append(at - torch.as_tensor(values, dtype=at.dtype))
    return torch.cat([(e @ e / e.numel()).reshape(1) for e in errors])
""",
    ),
    Alternative(
        "ex31-5",
        "written with powers of both distances, and a factor that is not a polynomial",
        """def constrain(x, y):
    left, right, t = 1 + x[:, [0]], 1 - x[:, [0]], x[:, [1]]
    B = left * right * t / (1 + t + left**2)
    return torch.sin(math.pi * left) * torch.cos(t) + B * (2 * y - 1)
""",
    ),
    Alternative(
        "ex31-6",
        "trace of the Jacobian, point by point",
        """def burgers_flux(x, u, p, nu):
    u_x = p[:, 0, 0]
    return torch.stack([u[:, 0].square() / 2 - nu * u_x, u[:, 0]], dim=1)[:, None]


def flux_divergence(flux, u, x):
    def one(point):
        value = u(point[None])
        p = torch.func.jacrev(lambda z: u(z[None])[0])(point)
        return flux(point[None], value, p[None])[0, 0]

    return torch.stack([torch.func.jacrev(one)(z).trace() for z in x.detach()])[:, None]
""",
    ),
]
