import pytest
from nbformat.v4 import new_notebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from traitlets.config.loader import PyFileConfigLoader

from course import FOLDER
from course.hub import confined


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "can_confine", lambda: False)
    with pytest.raises(RuntimeError, match="apt-get install bubblewrap"):
        confined.Confined().preprocess(new_notebook(), {"metadata": {"path": "."}})


def test_formgrader_runs_submissions_in_it_and_does_all_else_as_before() -> None:
    folder = str(FOLDER / "hub" / "instructor")
    config = PyFileConfigLoader("nbgrader_config.py", path=folder).load_config()
    steps = config.Autograde.autograde_preprocessors
    before = Autograde.autograde_preprocessors.default()
    assert [s for s in steps if s is not confined.Confined] == [
        s for s in before if s is not Execute
    ]
    assert steps.index(confined.Confined) == before.index(Execute)
