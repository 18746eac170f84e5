"""A checkpoint is recognised: of another network or problem it changes nothing."""

from dataclasses import replace

import pytest
import torch

import unroll as u

short = u.Recipe(steps=20, batch=32, every=10, validation=64)


def dictionary(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(20, 40, generator, dtype=torch.float64).A


@pytest.fixture
def path(tmp_path):
    problem = u.SparseCoding(dictionary(), 0.1, 40.0)
    found = tmp_path / "run.pt"
    generator = torch.Generator().manual_seed(1)
    u.train(
        u.ALISTA(problem.A, 3), problem, short, generator=generator, checkpoint=found
    )
    return found


A, B = dictionary(), dictionary(9)


@pytest.mark.parametrize(
    ("net", "problem", "shown"),
    [
        (u.ALISTA(B, 3), u.SparseCoding(B, 0.1, 40.0), "written for another A"),
        (u.ALISTA(A, 3), u.SparseCoding(A, 0.3, 40.0), "the x to validate with differ"),
        (u.ALISTA(A, 3), u.SparseCoding(A, 0.1, 5.0), "the b to validate with differ"),
        (u.ALISTA(A, 3), u.SparseCoding(A, 0.1, None), "the b to validate with differ"),
        (u.ALISTA(A, 3), u.SparseCoding(B, 0.1, 40.0), "the b to validate with differ"),
        (
            u.ALISTA(A, 3, keep=1),
            u.SparseCoding(A, 0.1, 40.0),
            r"checkpoint has keep = ",
        ),
        (
            u.ALISTA(A, 3, lam=0.3),
            u.SparseCoding(A, 0.1, 40.0),
            r"lam = 0\.1 but net 0",
        ),
        (u.ALISTA(A, 3, weight=A), u.SparseCoding(A, 0.1, 40.0), "for another W"),
        (u.LISTA(A, 3), u.SparseCoding(A, 0.1, 40.0), "network = 'ALISTA' but net 'LI"),
        (u.ALISTA(A, 4), u.SparseCoding(A, 0.1, 40.0), "depth = 3 but net 4"),
    ],
)
def test_refuses_what_it_was_not_written_for(path, net, problem, shown):
    before = {name: part.clone() for name, part in net.named_parameters()}
    own = net.A.clone()
    with pytest.raises(ValueError, match=shown):
        u.train(net, problem, short, checkpoint=path)
    assert torch.equal(net.A, own)
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


def test_refuses_other_validation_samples_of_ones_own(tmp_path):
    problem, path = u.SparseCoding(A, 0.1), tmp_path / "run.pt"
    first, second = (
        problem.sample(50, torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    u.train(u.ALISTA(A, 3), problem, short, validation=first, checkpoint=path)
    with pytest.raises(ValueError, match="the x to validate with differ"):
        u.train(u.ALISTA(A, 3), problem, short, validation=second, checkpoint=path)
    u.train(u.ALISTA(A, 3), problem, short, validation=first, checkpoint=path)


def test_refuses_another_objective(path):
    recipe = replace(short, objective="last")
    shown = (
        r"checkpoint has objective = 'DeepLogNMSE\(\)' but the recipe 'LastNMSE\(\)'"
    )
    with pytest.raises(ValueError, match=shown):
        u.train(u.ALISTA(A, 3), u.SparseCoding(A), recipe, checkpoint=path)


@pytest.mark.parametrize("content", [b"abc", b"", None])
def test_refuses_a_file_that_train_did_not_write(path, content):
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    text = r"checkpoint run\.pt cannot be read \(\w+: [^\n]*\): expected a file that"
    with pytest.raises(ValueError, match=text):
        u.train(u.ALISTA(A, 3), u.SparseCoding(A), short, checkpoint=path)


@pytest.mark.parametrize(
    "name", ["recipe", "held_out", "leaks", "origin", "adam", None]
)
def test_refuses_a_file_of_an_earlier_version_or_of_another_program(path, name):
    state = torch.load(path)
    del state[name or "net"]
    torch.save(state if name else torch.zeros(2), path)
    net = u.ALISTA(A, 3)
    before = {key: part.clone() for key, part in net.state_dict().items()}
    text = f"run.pt lacks '{name or 'recipe'}'.*: another program or an earlier version"
    with pytest.raises(ValueError, match=text):
        u.train(net, u.SparseCoding(A, 0.1, 40.0), short, checkpoint=path)
    after = net.state_dict()
    assert all(torch.equal(after[key], part) for key, part in before.items())


def test_refuses_a_folder_that_is_not_there_before_training(tmp_path):
    with pytest.raises(ValueError, match="there is no folder 'no'"):
        u.train(
            u.ALISTA(A, 3), u.SparseCoding(A), short, checkpoint=tmp_path / "no/run.pt"
        )
