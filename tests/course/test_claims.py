"""What chapters say of stored runs is what was measured."""

from statistics import mean, median

import pytest
import torch

from course.kit import stored
from tests.benchmarks.unroll.lines import refit

RECORD = stored("claims_unroll")
ROWS, SEEDS = RECORD["rows"], len(RECORD["setting"]["seeds"])
SEARCHED = [name for name, row in ROWS.items() if "rates" in row]
SMALL = ROWS["lines 50 x 100"]["methods"]
STANDARD = ROWS["lines 250 x 500"]["methods"]
NETWORKS = ("HyperLISTA 40", "ALISTA 40", "ALISTA-AT 40", "RidgeALISTA 40")


def cell(weight: str, kind: str) -> list[float]:
    return ROWS[f"{weight}, {kind}"]["db"]


@pytest.mark.parametrize("name", SEARCHED)
def test_each_side_is_at_the_rate_that_its_validation_set_prefers(name: str) -> None:
    row = ROWS[name]
    assert len(row["rates"]) >= 2
    errors = {rate: mean(runs["validation_db"]) for rate, runs in row["rates"].items()}
    assert row["best_rate"] == min(errors, key=errors.get)
    assert row["db"] == row["rates"][row["best_rate"]]["db"]
    assert all(len(runs["db"]) == SEEDS for runs in row["rates"].values())


def test_the_last_error_alone_leaves_layers_idle_at_a_high_rate_only() -> None:
    """Chapter 12, section 4."""
    every, last = (
        ROWS["ten layers: LISTA"],
        ROWS["ten layers: LISTA, last layer's loss"],
    )
    assert min(last["rates"]["0.01"]["layers_that_do_nothing"]) > 1
    assert max(last["rates"][last["best_rate"]]["layers_that_do_nothing"]) == 0
    for row in (every, last):
        for runs in row["rates"].values():
            assert min(runs["fewest_layers_with_gradient"]) == 10
    assert max(every["db"]) < min(last["db"]) - 3, "each at its best rate"


def test_little_of_the_freedom_is_needed() -> None:
    """Chapter 12, section 5."""
    db = {
        name: mean(ROWS[f"ten layers: {name}"]["db"])
        for name in ("LISTA", "LISTA, tied", "LISTA-CP", "W = A", "analytic W")
    }
    assert db["LISTA"] < db["LISTA-CP"] < db["LISTA"] + 1
    assert db["LISTA, tied"] < db["LISTA"] / 2
    assert db["W = A"] < db["LISTA"] + 4
    assert db["analytic W"] < db["LISTA"] - 4
    assert ROWS["ten layers: W = A"]["numbers"] == 20
    assert ROWS["ten layers: LISTA"]["numbers"] == 150_010


def test_tied_networks_leave_the_answer_sooner_or_later() -> None:
    """Chapter 12, "When it fails"."""
    rates = ROWS["ten layers: LISTA, tied"]["rates"]
    for run in rates["0.005"]["run_on_db"]:
        assert run["20"] > run["10"] + 2
    for run in rates["0.01"]["run_on_db"]:
        assert abs(run["20"] - run["10"]) < 1
        assert run["110"] > 0
    for run in rates["0.02"]["run_on_db"]:
        assert max(abs(run[k] - run["10"]) for k in ("20", "60", "110")) < 0.1
    low = mean(rates["0.02"]["db"])
    assert low > 2 + max(mean(rates[k]["db"]) for k in ("0.01", "0.005"))


def test_weight_and_selection_both_count_for_every_dictionary() -> None:
    """Chapter 13, section 4."""
    for k in range(SEEDS):
        lasso = SMALL["Lasso"]["db"][k]
        for kind in ("soft threshold", "selection"):
            assert cell("analytic W", kind)[k] < cell("W = A", kind)[k] - 6
        for weight in ("learned W", "analytic W"):
            gain = cell(weight, "soft threshold")[k] - cell(weight, "selection")[k]
            assert gain > 8
        for weight in ("W = A", "learned W", "analytic W"):
            assert cell(weight, "soft threshold")[k] > lasso + 3
        assert cell("analytic W", "selection")[k] < lasso
        assert cell("W = A", "selection")[k] > lasso
    poor = zip(cell("W = A", "soft threshold"), cell("W = A", "selection"), strict=True)
    assert sum(selected > soft for soft, selected in poor) == 1, "harm for one of three"


def test_the_analytic_weight_as_a_start_is_not_what_lista_cp_lacks() -> None:
    """Chapter 13, section 4: the selection is."""
    found = ROWS["learned W from the analytic one, soft threshold"]["db"]
    for k, plain in enumerate(cell("learned W", "soft threshold")):
        assert abs(found[k] - plain) < 1.5
        assert found[k] > cell("learned W", "selection")[k] + 8
        assert found[k] > SMALL["Lasso"]["db"][k] + 8


def test_twenty_times_the_samples_are_not_what_lista_cp_lacks() -> None:
    """Chapter 13, section 4."""
    more = ROWS["learned W, soft threshold, 256 000 samples"]
    assert more["samples"] == 256_000
    for k, plain in enumerate(cell("learned W", "soft threshold")):
        assert plain - 3 < more["db"][k] < plain
        assert more["db"][k] > SMALL["Lasso"]["db"][k] + 8


def test_bayes_amp_is_ahead_of_every_network_and_behind_the_oracle() -> None:
    """Chapter 13, the signature result."""
    networks = stored("lista")["rows"]
    bayes = STANDARD["Bayes-AMP, 16 iterations"]["db"][0]
    assert STANDARD["oracle"]["db"][0] < bayes
    for name in NETWORKS:
        assert bayes < networks[name]["ratio_db"] < STANDARD["Lasso"]["db"][0]
    assert STANDARD["Lasso, refitted"]["db"][0] < STANDARD["Lasso"]["db"][0] - 3


def test_both_networks_are_ahead_of_the_lasso_and_small_test_sets_hide_it() -> None:
    """Chapter 13, section 5."""
    for k in range(SEEDS):
        hyper, alista = SMALL["HyperLISTA"]["db"][k], SMALL["ALISTA"]["db"][k]
        assert hyper < alista < SMALL["Lasso"]["db"][k]
        row = SMALL["ALISTA"]
        assert row["draws_highest_db"][k] - row["draws_lowest_db"][k] > 10
    draws = ROWS["lines 50 x 100"]["draws"] * SEEDS
    for name in ("HyperLISTA", "ALISTA"):
        assert sum(SMALL[name]["draws_ahead_of_lasso"]) < draws
    for found in ROWS["lines 50 x 100"]["triples"]:
        assert not found["on_edge_of_the_wide_grid"]
        assert found["c2"] > 0


BAYES = stored("bayes")["rows"]


def bayes_db(name: str) -> float:
    return BAYES[name]["ratio_db"]


def test_a_method_that_knows_the_prior_is_ahead_of_the_family() -> None:
    """The README and the page of results."""
    networks = {
        name: row["ratio_db"]
        for name, row in stored("lista")["rows"].items()
        if "parameters" in row or name.startswith("HyperLISTA")
    }
    for snr in ("40", "20"):
        told = bayes_db(f"SNR {snr}: Bayes-AMP")
        family = [db for name, db in networks.items() if name.endswith(f" {snr}")]
        assert len(family) >= 3 and told < min(family) - 0.5
        assert bayes_db(f"SNR {snr}: oracle") < told
        for method in ("VAMP", "EM-VAMP", "EM-Bayes-AMP", "LVAMP"):
            assert abs(bayes_db(f"SNR {snr}: {method}") - told) < 0.1


def test_ill_conditioned_matrices_need_vamp() -> None:
    """The page of results."""
    at = "condition number 100: "
    for method in ("Bayes-AMP", "EM-Bayes-AMP"):
        assert BAYES[at + method]["worse_than_nothing"] > 1000
        assert bayes_db(at + method) > 0
    assert bayes_db(at + "VAMP") < bayes_db(at + "oracle") + 2
    assert bayes_db(at + "LVAMP") < bayes_db(at + "VAMP") + 0.3
    assert bayes_db(at + "RidgeALISTA") > bayes_db(at + "VAMP") + 3


def test_what_changes_from_sample_to_sample_is_learned_from_the_sample() -> None:
    """The page of results: EM beats every network, at home or not."""
    elsewhere = [
        bayes_db(name)
        for name in BAYES
        if name.startswith("unknown: ") and "trained at" in name
    ]
    assert len(elsewhere) == 6
    assert bayes_db("unknown: LVAMP") < min(elsewhere)
    for method in ("EM-VAMP", "EM-Bayes-AMP"):
        assert bayes_db(f"unknown: {method}") < bayes_db("unknown: LVAMP") - 1


def test_a_phantom_is_cheap_and_accuracy_does_not_tell_gradients_apart() -> None:
    """Chapter 16, the signature result."""
    record = stored("equilibrium")
    rows, learned = record["rows"], record["learning"]

    def share(name: str) -> list[float]:
        times = zip(rows[name]["backward_ms"], rows["IFT"]["backward_ms"], strict=True)
        return [one / exact for one, exact in times]

    for name in ("NeumannPhantom(5)", "UnrolledPhantom(5)"):
        assert median(share(name)) < 0.5
    assert all(1 / 8 < one < 1 / 6 for one in share("JacobianFree"))
    ours = [name for name in rows if "torchdeq" not in name]
    assert max(ours, key=lambda name: mean(share(name))) == "Through"
    exact = learned["IFT"]
    for name in ("JacobianFree", "NeumannPhantom(5)", "UnrolledPhantom(5)"):
        for one, other in zip(learned[name]["loss"], exact["loss"], strict=True):
            assert other < one < 1.05 * other
    frozen, led_uphill = learned["layer frozen"], learned["gradient reversed"]
    for k, loss in enumerate(exact["loss"]):
        assert frozen["loss"][k] > 1.5 * loss
        assert led_uphill["accuracy"][k] < 0.2
        assert frozen["accuracy"][k] > exact["accuracy"][k] - 0.01
    gaps = {name: row["gap"] for name, row in record["lasso"].items()}
    ours = max(gaps["Picard"], gaps["Anderson"])
    assert min(gap for name, gap in gaps.items() if "torchdeq" in name) > 100 * ours


def test_a_sweep_is_level_with_backpropagation_and_free_states_are_not() -> None:
    """Chapter 25, the signature result."""
    record = stored("lifted")
    runs = {
        name: [run["accuracy"] for run in found]
        for name, found in record["accuracy"]["runs"].items()
    }
    assert record["accuracy"]["seeds"] == 5
    frozen, free = runs["control, hidden modules frozen"], runs["penalty, free states"]
    aux, sph = runs["penalty, AuxNet"], runs["multipliers, SPH"]
    assert abs(mean(sph) - mean(runs["backpropagation"])) < 2
    for k in range(5):
        assert sph[k] > 84 and runs["backpropagation"][k] > 84
        assert 47 < runs["DGL"][k] - free[k] < 55
        assert 10 < aux[k] < frozen[k] < free[k]
    for name in ("penalty, free states", "multipliers, SPH"):
        tried = [row["setting"]["beta"] for row in record["accuracy"]["search"][name]]
        assert record["accuracy"]["chosen"][name]["beta"] == min(tried)
    law = record["law"]["rows"]
    for count, row in law.items():
        assert 0.89 * row["eq27"] < row["speed_up"] < row["eq27"], count


def test_a_refit_keeps_the_support_and_leaves_no_slope_on_it() -> None:
    g = torch.Generator().manual_seed(1)
    A, b = torch.randn(8, 12, generator=g), torch.randn(4, 8, generator=g)
    x = torch.zeros(4, 12)
    x[1:, 3], x[2:, 7], x[3, :3] = 1.0, -2.0, 0.5
    found = refit(A.double(), b.double(), x.double())
    assert torch.equal(found != 0, x != 0)
    slope = (b.double() - found @ A.double().T) @ A.double()
    assert slope[x != 0].abs().max() < 1e-12


def test_an_exact_gradient_in_few_states_costs_half_as_much_again() -> None:
    """Chapter 17, the signature result."""
    record = stored("ode")
    rows, memory = record["rows"], record["memory"]

    def price(name: str) -> float:
        pairs = zip(rows[name]["ms"], rows["Through"]["ms"], strict=True)
        return median(one / other for one, other in pairs)

    for name in ("Discrete", "Discrete(8)"):
        assert 1.4 < price(name) < 1.6
        assert max(rows[name]["gradient_error"]) < 1e-15
    assert price("Continuous") > price("Discrete")
    assert max(rows, key=price) == "torchdiffeq odeint_adjoint"
    assert 1e-10 < min(rows["Continuous"]["gradient_error"])
    assert memory["extra_steps"] == memory["extra_by_the_formula"] == 3636


def test_networks_on_images_beside_total_variation_that_was_run_to_its_end() -> None:
    """Chapter 14, the signature result."""
    record = stored("images")
    rows, medians = record["rows"], record["medians"]
    tv = {home: rows[f"{home}: TV"] for home in ("blocks", "scans", "samples")}
    scan, plus = medians["scans: LPD"], medians["blocks: ISTA-Net+"]
    assert scan["lowest"] > tv["scans"]["psnr"] + 2
    assert scan["lowest"] > rows["scans: filtered back-projection"]["psnr"] + 5
    assert plus["lowest"] > rows["blocks: ISTA, Haar wavelets"]["psnr"] + 2
    assert plus["highest"] < tv["blocks"]["psnr"] - 2
    for name, row in medians.items():
        assert row["untrained_psnr"] < tv[name.partition(":")[0]]["psnr"]
