"""How small a network can be, how right it then is, and what int8 really saves.

frontier   digits (64-64-64-10) and sums of two digits (128-64-64-10), weights of 32,
           8, 4, 3, 2 and 1 bits, a tenth of the weights by size or by movement,
           neurons taken out, small networks with and without a teacher. As controls
           networks of floats whose widths make them as large in bytes as those of 8, 4,
           2 and 1 bits. All sides take the same passes through the data; what is
           rounded or pruned is a network of floats for the first half. Each side takes
           the best of the same rates, by validation data of one more seed.
rounded    the networks of floats again, their weights rounded after training.
int8       four networks through torch's integer kernels: bytes of a file, CPU time.

Seeds are paired: one seed draws data, weights and order for all. Writes
``results/compact.json``, row by row; rows that are there are kept.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from modular.compact import STE, export_int8, quantize_weights, size_report
from tests.benchmarks import record
from tests.benchmarks.modular.compact_sides import (
    BATCH,
    EPOCHS,
    KEPT,
    SIZES,
    TEMPERATURE,
    Run,
    accuracy,
    binary,
    data,
    floats,
    perceptron,
    sides,
    stored_bytes,
)

SEEDS, SEARCH = range(5), 100
RATES = (0.025, 0.05, 0.1, 0.2)
SHAPES = (
    (64, 64, 64, 10),
    (128, 128, 128, 10),
    (512, 512, 512, 10),
    (1024, 2048, 2048, 10),
)
PAIRS = 9


def tried(run: Run, seed: int, rate: float) -> dict:
    """Train once; a step that is lost counts as nothing right."""
    start = time.process_time()
    try:
        model, (known, task) = run(seed=seed, rate=rate)
    except ValueError as lost:
        if "the step is" not in str(lost):
            raise
        return {"accuracy": 0.0, "validation": 0.0, "lost": str(lost)}
    return {
        "accuracy": accuracy(model, task),
        "validation": accuracy(model, known),
        "bytes": stored_bytes(model),
        "seconds": round(time.process_time() - start, 2),
    }


def searched(run: Run) -> dict:
    """Search a rate on validation data of another seed, and measure with it."""
    found = {}
    for rate in RATES:
        found[rate] = tried(run, SEARCH, rate)["validation"]
    best = max(found, key=found.__getitem__)
    runs = [tried(run, seed, best) for seed in SEEDS]
    return {"rate": best, "searched": found, "runs": runs, **summary(runs)}


def summary(runs: list[dict]) -> dict:
    """Median and range of the accuracies, and the bytes."""
    right = [run["accuracy"] for run in runs]
    row = {"accuracy": statistics.median(right), "range": [min(right), max(right)]}
    sizes = [run["bytes"] for run in runs if "bytes" in run]
    return row | {"bytes": statistics.median(sizes)} if sizes else row


def afterwards(problem: str, rate: float, bits: int) -> dict:
    """Round networks of floats that were trained, and train no more."""
    runs = []
    for seed in SEEDS:
        model, (_, task) = deepcopy(floats(problem, seed, rate)), data(problem, seed)
        model = binary(model) if bits == 1 else quantize_weights(model, STE(bits))
        runs.append({"accuracy": accuracy(model, task), "bytes": stored_bytes(model)})
    return {"runs": runs, **summary(runs)}


def on_disk(model: nn.Module) -> int:
    """Return the bytes of the file that torch writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(model.state_dict(), path)
        return path.stat().st_size


def seconds(model: nn.Module, x: Tensor, times: int) -> float:
    """Return CPU seconds of one pass."""
    start = time.process_time()
    for _ in range(times):
        model(x)
    return (time.process_time() - start) / times


@torch.inference_mode()
def integers(sizes: tuple[int, ...]) -> dict:
    """Race a network with its export, in turns."""
    torch.manual_seed(0)
    model = perceptron(sizes)
    rounded = quantize_weights(deepcopy(model), STE(8))
    small_one = export_int8(rounded)
    row: dict = {
        "parameters": size_report(model).parameters,
        "counted": [size_report(model).bytes, size_report(rounded).bytes],
        "file": [on_disk(model), on_disk(small_one)],
    }
    for batch in (1, 64):
        x = torch.randn(batch, sizes[0])
        times = max(2, int(0.03 / seconds(model, x, 3)))
        seconds(small_one, x, 3)
        pairs = [
            (seconds(model, x, times), seconds(small_one, x, times))
            for _ in range(PAIRS)
        ]
        ratios = [a / b for a, b in pairs]
        row[f"batch {batch}"] = {
            "float_us": 1e6 * statistics.median(a for a, _ in pairs),
            "int8_us": 1e6 * statistics.median(b for _, b in pairs),
            "faster": statistics.median(ratios),
            "range": [min(ratios), max(ratios)],
        }
    return row


def right_int8(problem: str, rate: float) -> dict:
    """Accuracies of trained networks before and after the export."""
    pairs = []
    for seed in SEEDS:
        model, (_, task) = floats(problem, seed, rate), data(problem, seed)
        small_one = export_int8(quantize_weights(deepcopy(model), STE(8)))
        pairs.append([accuracy(model, task), accuracy(small_one, task)])
    return {"float_and_int8": pairs}


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=("digits", "pair_sum", "int8"))
    chosen = parser.parse_args().only or ("digits", "pair_sum", "int8")
    torch.set_num_threads(1)
    path = record.RESULTS / "compact.json"
    setting = {"seeds": len(SEEDS), "rates": RATES, "passes": EPOCHS, "sizes": SIZES}
    setting |= {
        "kept": KEPT,
        "temperature": TEMPERATURE,
        "pairs": PAIRS,
        "batches": BATCH,
    }

    def keep(part: str, name: str, measure: Callable[[], dict]) -> dict:
        found = json.loads(path.read_text()) if path.exists() else {}
        if name not in found.get(part, {}):
            row = measure()
            print(part, name, row, flush=True)
            found = json.loads(path.read_text()) if path.exists() else {}
            found.setdefault(part, {})[name] = row
            facts = {"machine": record.machine(("torch", "scikit-learn"))}
            record.write("compact", {**found, **facts, "setting": setting})
        return found[part][name]

    for problem in SIZES:
        if problem not in chosen:
            continue
        rate = keep(problem, "float", partial(searched, sides(problem, 0)["float"]))
        best = rate["rate"]
        for name, run in sides(problem, best).items():
            keep(problem, name, partial(searched, run))
        for bits in (8, 4, 3, 2, 1):
            rounded = partial(afterwards, problem, best, bits)
            keep(f"{problem}, rounded after", f"{bits}", rounded)
        keep("int8, accuracy", problem, partial(right_int8, problem, best))
    for sizes in SHAPES if "int8" in chosen else ():
        keep("int8", "-".join(map(str, sizes)), partial(integers, sizes))


if __name__ == "__main__":
    main()
