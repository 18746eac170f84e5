"""What the prior is worth: Bayes-AMP, VAMP and a learned VAMP beside the LISTA family.

    python -m tests.benchmarks.unroll.bayes [--only ROW ...]

The dictionary 250 x 500, its test set of 10 000 codes and 16 iterations or layers are
those of ``lista.py``, so that rows of both can be compared: float32, one thread,
"ratio" NMSE in dB. "told" is what a method knows: of the prior (density and variance of
the codes) and of the noise. The learned network starts from twice the density and an
SNR that is wrong by 10 dB, and learns from samples.

Ill-conditioned: the same singular vectors, singular values that fall geometrically to
a hundredth, columns of norm 1 in the mean. Unknown: every sample has its own density,
0.05 to 0.15, and SNR, 20 to 40 dB. Times are CPU seconds.

A row is written to ``results/bayes.json`` as soon as it is measured, and not measured
again while it is there; ``--only`` measures the named rows afresh.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

import unroll as u
from tests.benchmarks import record
from tests.benchmarks.unroll import lista
from tests.benchmarks.unroll.lines import refit

DEPTH, CODES, PART = 16, 10_000, 1000
Row = dict[str, Any]
Solve = Callable[[Tensor], Tensor]
"""Maps measurements to every iterate."""


@cache
def ill_conditioned() -> u.SparseCoding:
    """Condition number 100, SNR 40."""
    U, _, V = torch.linalg.svd(lista.problem().A.double(), full_matrices=False)
    A = (U * torch.logspace(0, -2, 250, dtype=torch.float64)) @ V
    return u.SparseCoding((A * (500 / A.square().sum()).sqrt()).float(), 0.1, 40.0)


class Unknown:
    """Samples whose density and SNR nobody is told, drawn for each."""

    A = lista.problem().A

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw measurements and codes."""
        share, level = torch.rand(2, batch, 1, generator=generator)
        x = self.A.new_empty(batch, 500).normal_(generator=generator)
        uniform = torch.rand(x.shape, generator=generator)
        x *= uniform < 0.05 + 0.1 * share
        b = x @ self.A.T
        noise = torch.randn(b.shape, generator=generator)
        sigma = b.std(dim=1, keepdim=True) * 10 ** (-(20 + 20 * level) / 20)
        return b + sigma * noise, x


@cache
def setting(name: str) -> Any:
    """Where samples come from."""
    known = {"SNR 40": lista.problem(40.0), "SNR 20": lista.problem(20.0)}
    return (
        known.get(name)
        or {
            "condition number 100": ill_conditioned,
            "unknown": Unknown,
        }[name]()
    )


@cache
def test_set(name: str) -> tuple[Tensor, Tensor]:
    """The codes of a setting that no training sees."""
    return setting(name).sample(CODES, lista.seeded("test"))


@torch.no_grad()
def measured(name: str, solve: Solve) -> Row:
    """Error of every iterate by the ratio, of the last also by the mean of dB."""
    b, x = test_set(name)
    start, error, last = time.process_time(), 0.0, []
    for part_b, part_x in zip(b.split(PART), x.split(PART), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a divergence is counted
            iterates = solve(part_b)
        error = error + (iterates - part_x).square().sum(dim=(1, 2))
        last.append(iterates[-1])
    seconds = time.process_time() - start
    code = torch.cat(last)
    wrong = (code - x).square().sum(dim=1)
    curve = (10 * torch.log10(error / x.square().sum())).nan_to_num(999.0, 999.0)
    return {
        "ratio_db": round(curve[-1].item(), 2),
        "sample_db": round(u.nmse_db(code, x, "sample").item(), 2),
        "worse_than_nothing": int((~(wrong <= x.square().sum(dim=1))).sum()),
        "iterates_db": [round(value, 2) for value in curve.clamp(max=999.0).tolist()],
        "seconds": round(seconds, 1),
    }


def told_noise(b: Tensor, snr_db: float) -> Tensor:
    """The noise's variance of every sample, from its power and the SNR."""
    return b.square().mean(dim=1) / (1 + 10 ** (snr_db / 10))


def by_solver(name: str, solver: Callable, **told: Any) -> Row:
    """A solver without training; the noise, if told, of every sample."""
    coding = setting(name)

    def solve(b: Tensor) -> Tensor:
        known = dict(told)
        if known.pop("noise", False):
            known["noise_variance"] = told_noise(b, coding.snr_db)
        return solver(
            coding.A, b, iterations=DEPTH, keep_iterates=True, **known
        ).iterates

    return measured(name, solve)


def by_network(name: str, net: u.Unrolled, **options: Any) -> Row:
    """A network, trained on fresh samples of the setting."""
    recipe = u.Recipe(**options)
    start = time.process_time()
    history = u.train(net, setting(name), recipe, generator=lista.seeded("train"))
    seconds = time.process_time() - start
    constants = {key: value.tolist() for key, value in net.constants().items()}
    return measured(name, net.iterates) | {
        "parameters": sum(p.numel() for p in net.parameters()),
        "samples": history.samples,
        "training_seconds": round(seconds, 1),
        "constants": constants,
    }


def learned(name: str, steps: int = 200) -> Row:
    """LVAMP, from a start that is wrong."""
    start = {"SNR 20": 30.0, "unknown": 40.0}.get(name, 30.0)
    net = u.LVAMP(setting(name).A, DEPTH, density=0.2, snr_db=start)
    return by_network(name, net, steps=steps, lr=0.1)


def trained_elsewhere(name: str, network: str) -> Row:
    """A network of the LISTA family as it was trained at SNR 40, density 0.1."""
    path = record.RESULTS / "lista.json"
    net = lista.restored(network, json.loads(path.read_text())["rows"])
    return measured(name, net.iterates)


def learned_elsewhere(name: str, home: str) -> Row:
    """LVAMP as it was trained at home."""
    net = u.LVAMP(setting(home).A, DEPTH)
    for constant, values in stored()[f"{home}: LVAMP"]["constants"].items():
        for layer, value in zip(net.layers, values, strict=True):
            free = constant == "log_odds"
            value = torch.tensor(value)
            kept = torch.nn.Parameter(value) if free else u.Positive(value)
            setattr(layer, constant, kept)
    return measured(name, net.iterates)


def oracle(name: str) -> Row:
    """Least squares on the true support."""
    b, x = test_set(name)
    start = time.process_time()
    code = refit(setting(name).A, b, x)
    error = round(u.nmse_db(code, x).item(), 2)
    return {"ratio_db": error, "seconds": round(time.process_time() - start, 1)}


CLASSICAL: dict[str, Callable[[str], Row]] = {
    "Bayes-AMP": partial(by_solver, solver=u.bayes_amp, prior=u.BernoulliGaussian()),
    "EM-Bayes-AMP": partial(by_solver, solver=u.bayes_amp),
    "VAMP": partial(by_solver, solver=u.vamp, prior=u.BernoulliGaussian(), noise=True),
    "EM-VAMP": partial(by_solver, solver=u.vamp),
}


def plan() -> dict[str, Callable[[], Row]]:
    """All rows, by setting and method."""
    rows: dict[str, Callable[[], Row]] = {}
    for name in ("SNR 40", "SNR 20", "condition number 100"):
        for method, solve in CLASSICAL.items():
            rows[f"{name}: {method}"] = partial(solve, name)
        rows[f"{name}: oracle"] = partial(oracle, name)
        rows[f"{name}: LVAMP"] = partial(learned, name)
    ridge = u.RidgeALISTA(ill_conditioned().A, lam=0.2)
    rows[f"{name}: RidgeALISTA"] = partial(by_network, name, ridge, steps=200)
    name = "unknown"
    for method in ("EM-Bayes-AMP", "EM-VAMP"):
        rows[f"{name}: {method}"] = partial(CLASSICAL[method], name)
    rows[f"{name}: oracle"] = partial(oracle, name)
    rows[f"{name}: LVAMP"] = partial(learned, name, steps=300)
    for home in ("SNR 40", "SNR 20"):
        row = partial(learned_elsewhere, name, home)
        rows[f"{name}: LVAMP, trained at {home}"] = row
    for network in ("ALISTA", "RidgeALISTA", "ALISTA-AT", "TISTA"):
        row = partial(trained_elsewhere, name, network)
        rows[f"{name}: {network}, trained at SNR 40"] = row
    return rows


def stored() -> dict[str, Row]:
    """The rows that are measured."""
    path = record.RESULTS / "bayes.json"
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def main() -> None:
    """Measure what is missing, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure afresh")
    options = parser.parse_args()
    torch.set_num_threads(1)
    todo = plan()
    unknown = set(options.only) - set(todo)
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; choose from {list(todo)}")
    for name in options.only or [name for name in todo if name not in stored()]:
        row = todo[name]()
        print(f"{name:45} {row['ratio_db']} dB  {row['seconds']} s", flush=True)
        facts = {
            "machine": record.machine(("torch",)),
            "setting": {
                "seeds": lista.SEEDS,
                "depth": DEPTH,
                "density": 0.1,
                "test_samples": CODES,
                "nmse": "ratio, unless named sample",
                "dtype": "float32",
            },
        }
        rows = stored() | {name: row}
        rows = {known: rows[known] for known in todo if known in rows}
        record.write("bayes", facts | {"rows": rows})


if __name__ == "__main__":
    main()
