import json
from pathlib import Path

import pytest

from course.kit import results, stored


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    record = {"rows": {"Burgers": {"runs": [{"error": 0.02}]}}, "seeds": 3}
    (tmp_path / "pinn.json").write_text(json.dumps(record))
    return tmp_path


def test_it_is_the_file_itself(folder: Path) -> None:
    assert stored("pinn") == json.loads((folder / "pinn.json").read_text())
    assert stored("pinn")["rows"]["Burgers"]["runs"][0]["error"] == 0.02
    assert stored("pinn")["rows"].get("Burgers") == {"runs": [{"error": 0.02}]}


@pytest.mark.parametrize("ask", [lambda d, k: d[k], lambda d, k: d.get(k, {})])
def test_an_unknown_key_is_an_error_at_every_depth(folder: Path, ask) -> None:
    with pytest.raises(KeyError, match="no 'row' here, perhaps 'rows'; .*rows, seeds"):
        ask(stored("pinn"), "row")
    with pytest.raises(KeyError, match="no 'Heat' here; it has: Burgers"):
        ask(stored("pinn")["rows"], "Heat")
    with pytest.raises(KeyError, match="no 'error2' here, perhaps 'error'"):
        ask(stored("pinn")["rows"]["Burgers"]["runs"][0], "error2")


def test_an_unknown_file_is_named_and_those_there_are(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'lista'; there are: pinn$"):
        stored("lista")


def test_every_stored_file_can_be_read() -> None:
    files = [p.stem for p in results.FOLDER.glob("*.json")]
    assert files
    for name in files:
        assert stored(name)
