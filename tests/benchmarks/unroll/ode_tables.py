"""A table of neural ODEs with adaptive steps, and what is said of stiff ones."""

from statistics import median

from tests.benchmarks.record import where


def adaptive(record: dict) -> str:
    """Seconds and exactness with adaptive steps, a row each; then the reactions."""
    lines = [
        "| gradient | a step of training | in parts of odeint_adjoint | error |",
        "|---|---|---|---|",
    ]
    rows, stiff = record["adaptive"], record["robertson"]
    slowest = rows["torchdiffeq odeint_adjoint"]["ms"]
    for name, row in rows.items():
        pairs = zip(row["ms"], slowest, strict=True)
        share = median(one / other for one, other in pairs)
        errors = row["gradient_error"]
        error = "0" if not any(errors) else f"{median(errors):.1e}"
        lines.append(f"| {name} | {median(row['ms']):.0f} ms | {share:.2f} | {error} |")
    told = "; ".join(f"{name}: {text}" for name, text in stiff["explicit"].items())
    before = ", ".join(f"{100 * one:.0f}" for one in stiff["error_before"])
    after = ", ".join(f"{100 * one:.2g}" for one in stiff["error_after"])
    lines += [
        "",
        "Dormand and Prince's fifth order at a relative tolerance of 1e-5, the same "
        "field with weights three times as large, CPU time of a busy machine; the "
        "error is the relative distance from autograd through the same steps. "
        "Robertson's reactions, explicit methods: "
        f"{told}. SDIRK of order 2 with the discrete adjoint, {stiff['steps']} steps, "
        "fitted to SciPy's Radau solution: the three rate constants are off by "
        f"{before} % before and {after} % after. {where(record)}.",
    ]
    return "\n".join(lines)
