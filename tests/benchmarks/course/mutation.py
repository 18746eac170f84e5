"""How many slips in the library its tests catch: a sample of cosmic-ray's mutants.

A mutant changes one operator, constant or keyword of one core file, in a copy of the
tree. A process forked from this one, which has torch and DeepXDE in memory already,
runs the doctests of the file and the tests that mirror it; a test that fails or an
endless loop kills the mutant. ``REASONS`` says why a survivor is none of the tests'
business; it counts against the score all the same. With ``--survivors`` only the
recorded survivors are tried again: added tests cannot revive the others. A package is
scored again when one of its sampled files has changed.
"""

import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("DDE_BACKEND", "pytorch")

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tests.benchmarks.record import RESULTS, ROOT, machine, write

SEED, SAMPLE = 12, 30
FILES = {
    "unroll": {
        "unroll/prox.py": "test_prox.py test_support_select.py",
        "unroll/weights.py": "test_weights.py",
        "unroll/solvers/ista.py": "solvers/test_ista.py solvers/test_contract.py",
        "unroll/solvers/fista.py": "solvers/test_fista.py solvers/test_contract.py",
        "unroll/networks/lista.py": "networks/test_lista.py",
    },
    "modular": {
        "modular/methods/credit.py": (
            "methods/test_credit.py audit/test_locking.py test_contract.py"
        ),
        "modular/partition/partition.py": "partition",
        "modular/objectives/sim.py": "objectives/test_sim.py",
    },
    "pinn": {
        "pinn/domains/basis.py": "domains/test_basis.py",
        "pinn/derivatives/jets.py": "networks/test_jet_fnn.py",
        "pinn/forms/weak_form.py": "forms/test_weak_form.py forms/test_vpinn.py",
        "pinn/optimizers/quasi_newton.py": "optimizers/test_optimizers.py",
        "pinn/optimizers/ssbfgs.py": "optimizers/test_optimizers.py",
        "pinn/optimizers/ssbroyden.py": "optimizers/test_optimizers.py",
    },
}
# Tensors and floats have no bits: these mutants only ever raise a TypeError.
BITS = ("BitOr", "BitAnd", "BitXor", "LShift", "RShift", "Invert")
WARM = (
    "deepxde",
    "hypothesis",
    "matplotlib.pyplot",
    "pytest",
    "scipy.optimize",
    "skfem",
)
REASONS = {  # by place: why no test can tell, or need tell, the change
    "modular/methods/credit.py:104": "equivalent: Python keeps one object for the name",
    "unroll/weights.py:251": "harmless: every column improves in the first iterations",
    "unroll/weights.py:65": "equivalent: the other branches solve the same system",
    "modular/objectives/sim.py:29": "equivalent: states have two axes or four",
    "pinn/optimizers/ssbroyden.py:58": "equivalent: theta is at most 1",
    "unroll/weights.py:111": "harmless: the size of the penalty sets the speed only",
    "unroll/weights.py:174": "harmless: it iterates longer",
    "unroll/weights.py:280": "caught by the networks' tests, which this run leaves out",
    "modular/objectives/sim.py:64": "equivalent: all samples have one size",
    "modular/partition/partition.py:180": "equivalent: two rows have the shape of one",
}


class Slip(NamedTuple):
    """One mutant: the ``occurrence``-th place in a file that an operator changes."""

    file: str
    line: int
    operator: str
    occurrence: int


def candidates(folder: Path, files: dict[str, str]) -> Iterator[Slip]:
    """Every mutant that cosmic-ray's operators make of the files."""
    for file in files:
        tree = get_ast((folder / file).read_text())
        for name in operator_names():
            operator = get_operator(name)
            if operator.arguments() or any(part in name for part in BITS):
                continue
            places = (
                start[0]
                for node in ast_nodes(tree)
                for start, _ in operator().mutation_positions(node)
            )
            for occurrence, line in enumerate(places):
                yield Slip(file, line, name.removeprefix("core/"), occurrence)


def run(folder: Path, file: str, cpu: int = 600) -> tuple[bool, float]:
    """Run a file's tests in a fork: did they pass, and the CPU seconds it took."""
    package, _, _ = file.partition("/")
    tests = [f"tests/{package}/{name}" for name in FILES[package][file].split()]
    child = os.fork()
    if child == 0:
        status = 3
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
            _enter(folder)
            status = importlib.import_module("pytest").main(
                ["-x", "-q", "-p", "no:cacheprovider", file, *tests]
            )
        finally:
            os._exit(int(status))
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) in (4, 5):
        raise RuntimeError(f"{file}: pytest found no tests among {tests}")
    return status == 0, used.ru_utime + used.ru_stime


def _enter(folder: Path) -> None:
    """In a fork: silence, and nothing of the tree but what ``folder`` holds."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1), os.dup2(null, 2)
    sys.dont_write_bytecode = True
    for name in [n for n in sys.modules if n.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(p for p in sys.path if Path(p) != ROOT)]
    os.chdir(folder)


def told(before: str, after: str) -> str:
    """The first line that differs, before and after."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next(f"{a.strip()} -> {b.strip()}" for a, b in pairs if a != b)


def survivor(folder: Path, slip: Slip, cpu: int = 600) -> list[dict]:
    """Try a mutant: nothing if a test kills it, else what is to be told of it."""
    path = folder / slip.file
    before = path.read_text()
    operator = get_operator(f"core/{slip.operator}")()
    after = mutate_code(before, operator, slip.occurrence)
    path.write_text(after)
    survived, _ = run(folder, slip.file, cpu)
    path.write_text(before)
    place, change = f"{slip.file}:{slip.line}", told(before, after)
    print(place, change, "SURVIVED" if survived else "killed", flush=True)
    row = {"place": place, "operator": slip.operator, "change": change}
    row["occurrence"] = slip.occurrence
    return [row | {"reason": REASONS.get(place, "not tested")}] if survived else []


def retry(folder: Path, row: dict) -> dict:
    """Try a record's survivors again."""
    survivors = []
    for old in row["survivors"]:
        file, _, line = old["place"].partition(":")
        slip = Slip(file, int(line), old["operator"], old["occurrence"])
        survivors += survivor(folder, slip)
    return {"first_score": row["score"], **row} | summary(survivors)


def summary(survivors: list[dict]) -> dict:
    """What is told of a sample."""
    return {
        "tried": SAMPLE,
        "killed": SAMPLE - len(survivors),
        "score": round(1 - len(survivors) / SAMPLE, 3),
        "survivors": survivors,
    }


def score(folder: Path, package: str) -> dict:
    """Try a sample of a package's mutants."""
    files, survivors, start = FILES[package], [], time.process_time()
    limits = {}
    for file in files:
        passed, seconds = run(folder, file)
        if not passed:
            raise RuntimeError(f"{file}: its tests fail without a mutant")
        limits[file] = int(3 * seconds + 10)
    every = sorted(candidates(folder, files))
    chosen = random.Random(SEED).sample(every, SAMPLE)
    for slip in sorted(chosen):
        survivors += survivor(folder, slip, limits[slip.file])
    return {
        "files": list(files),
        "digest": digest(files),
        "mutants": len(every),
        "cpu_seconds": round(time.process_time() - start + _children(), 1),
    } | summary(survivors)


def digest(files: Iterable[str]) -> str:
    """What identifies the sampled files as they are."""
    whole = hashlib.sha256()
    for file in files:
        whole.update((ROOT / file).read_bytes())
    return whole.hexdigest()[:12]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Score the packages that have changed, and store each at once."""
    for name in WARM:
        importlib.import_module(name)
    path = RESULTS / "mutation.json"
    known = json.loads(path.read_text())["packages"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in (*FILES, "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "artefacts")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        for package, files in FILES.items():
            if known.get(package, {}).get("digest") != digest(files):
                known[package] = score(folder, package)
            elif "--survivors" in sys.argv:
                known[package] = retry(folder, known[package])
            else:
                continue
            facts = machine(("torch", "deepxde", "cosmic-ray", "pytest"))
            print(
                write("mutation", {"machine": facts, "seed": SEED, "packages": known})
            )


if __name__ == "__main__":
    main()
