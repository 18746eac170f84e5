"""Pipeline, tensor and sharded data parallelism compose: torch's, with our cuts."""

import json
from pathlib import Path

from tests.modular.pipeline.test_ranks import HERE, torchrun


def test_divided_in_any_two_ways_the_gradient_is_the_whole_one(tmp_path: Path) -> None:
    """Every pair of axes on 2 x 2 processes; eight for all three are dear, by hand."""
    path = tmp_path / "found.json"
    run = torchrun(4, str(HERE / "composed.py"), str(path))
    assert run.returncode == 0, run.stderr
    found = json.loads(path.read_text())
    assert list(found) == ["2 x 1 x 2", "2 x 2 x 1", "1 x 2 x 2"]
    for name, everyone in found.items():
        assert len(everyone) == 4
        for row in everyone:
            assert row["worst"] < 1e-12, name
            assert row["share"] < 0.27, f"{name}: something was not divided"
