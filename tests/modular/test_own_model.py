"""The page "Bring your own model" prints what it says it prints."""

import contextlib
import io
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from modular import DGL, Partition, Pred, Sim, Trainer
from tests.modular.partition.test_cutting import Add, Keep

PAGE = Path(__file__).parents[2] / "course" / "site" / "own_model.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)


def test_the_page_prints_what_it_says(tmp_path, monkeypatch) -> None:
    torch.set_default_dtype(torch.float32)  # as in a script; the fixture puts it back
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    blocks, names = BLOCK.findall(text), {"__name__": "own_model"}
    assert len(blocks) == text.count("```python")
    assert sum(bool(shown) for _, shown in blocks) == text.count("```text") >= 5
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert printed.getvalue() == shown, code


def made(*layers: nn.Module, cuts: tuple = (1,), method=None, **data) -> Trainer:
    x = data.get("x", torch.zeros(4, 3))
    return Trainer(
        Partition(list(layers), cuts=list(cuts), sample=x[:2]),
        method or DGL(),
        optimizer=partial(torch.optim.SGD, lr=0.1),
    )


def tied() -> list[nn.Module]:
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = one.weight
    return [one, other]


def skip() -> list[nn.Module]:
    keep = Keep()
    return [nn.Linear(3, 3), keep, nn.Linear(3, 3), Add(keep)]


X, Y = torch.ones(4, 3), torch.arange(4) % 3
SAID = {
    "returns a tuple": lambda: made(nn.LSTM(3, 3), nn.Linear(3, 3)),
    "reads more than its input": lambda: made(*skip(), cuts=(2,)),
    "are the same parameter": lambda: made(*tied()),
    "has weights of torch.float64 but the sample is of torch.float32": lambda: made(
        nn.Linear(3, 3).double(), nn.Linear(3, 3).double(), x=X.float()
    ),
    "they would spread to": lambda: made(
        nn.Linear(3, 3), nn.Linear(3, 1), method=DGL(Pred(functional.mse_loss))
    ).step((X, torch.ones(4))),
    "is cross-entropy and there is 1 score": lambda: made(
        nn.Linear(3, 3), nn.Linear(3, 1)
    ),
    "whose variance needs at least 2 values": lambda: made(
        nn.Linear(3, 3), nn.BatchNorm1d(3)
    ).step((X[:1], Y[:1])),
    "compares classes": lambda: made(
        nn.Linear(3, 3), nn.Linear(3, 3), method=DGL(Sim())
    ).step((X, X)),
}


@pytest.mark.parametrize("said", re.findall(r"^\| `(.*?)`", PAGE.read_text(), re.M))
def test_what_the_table_quotes_is_said(said: str) -> None:
    torch.set_default_dtype(torch.float32)
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        SAID[said]()


def test_the_table_has_all_of_them() -> None:
    assert set(re.findall(r"^\| `(.*?)`", PAGE.read_text(), re.M)) == set(SAID)
