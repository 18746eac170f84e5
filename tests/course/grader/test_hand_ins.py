"""What learning-management systems and students really send."""

import base64
import json
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest

from course.building.reading import Unreadable
from course.building.release import GradingError
from course.building.syllabus import Chapter
from course.grading import gradebook, submissions
from course.grading.grade import grade
from course.grading.limits import DEFAULTS
from course.grading.outcome import explain, report
from course.grading.submissions import Submission
from tests.course.grading import points, submit

PICTURE = base64.b64encode(b"a picture").decode()
ODD_FOLDER = "Homework 1 (1) [a] {b} +c ^ $d | e"
ODD_NAMES = ("Ada [1]", " bea ", "ca{r}l", "d(o+ra")


def rewrite(path: Path, change: object) -> None:
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))


def text(source: str, **attached: str) -> dict:
    attachments = {name: {"image/png": data} for name, data in attached.items()}
    cell = {"cell_type": "markdown", "metadata": {}, "source": source}
    return {**cell, "attachments": attachments} if attached else cell


def add(cell: dict) -> object:
    return lambda notebook: notebook["cells"].insert(0, cell)


def lose_mark(notebook: dict) -> None:
    (cell,) = [c for c in notebook["cells"] if c.get("id") == "ex01-1"]
    cell["metadata"]["nbgrader"] = None


def test_a_class_as_it_comes_is_graded(released: Chapter, tmp_path: Path) -> None:
    tiny = released
    for name in ODD_NAMES:
        submit(tiny, name, tiny.source)
    missing = "![a](attachment:gone.png) ![b](<attachment:a b.png>)"
    rewrite(submit(tiny, "gone", tiny.source), add(text(missing)))
    pasted = text("![a](attachment:Lösung.png)", **{"Lösung.png": PICTURE})
    rewrite(submit(tiny, "umlaut", tiny.source), add(pasted))
    late = submit(tiny, "late", tiny.source)
    rewrite(late, lose_mark)
    late.with_name("timestamp.txt").write_text("yesterday evening")
    late.write_bytes(b"\xef\xbb\xbf" + late.read_bytes())
    sql = {"cell_type": "sql", "metadata": {}, "source": "select {1}"}
    rewrite(submit(tiny, "sql", tiny.source), add(sql))
    submit(tiny, "null", tiny.source).write_text("null")
    folder = tmp_path / ODD_FOLDER
    (tiny.folder / "submitted").rename(folder)

    graded = grade(folder, root=tiny.folder, progress=False)

    right = {*ODD_NAMES, "gone", "umlaut", "late"}
    assert points(graded.csv) == {(name, "01_tiny"): 3 for name in right}
    assert graded.failures == {
        ("sql", "01_tiny"): "cell 1 is of the unknown type 'sql'",
        ("null", "01_tiny"): "the file holds null, no notebook",
    }
    assert not graded.without_feedback
    (again,) = graded.look_again
    assert (
        again == "late, 01_tiny: timestamp.txt holds no time, so nothing counts as late"
    )
    pages = {n: graded.feedback / n / "01_tiny" / "01_tiny.html" for n in right}
    assert all(page.exists() for page in pages.values())
    assert PICTURE in pages["umlaut"].read_text()
    told = re.findall('base64,([^"]+)', pages["gone"].read_text())
    assert [n for t in told if (n := base64.b64decode(t)).endswith(b"</svg>")] and all(
        any(name in base64.b64decode(t) for t in told) for name in (b"gone.png", b"a b")
    )


@pytest.mark.parametrize("folder", ["back\\slash", "per%cent", "new\nline"])
def test_more_names_that_no_pattern_finds(
    released: Chapter, tmp_path: Path, folder: str
) -> None:
    submit(released, "ada", released.source)
    (released.folder / "submitted").rename(tmp_path / folder)
    found, others = submissions.submissions(tmp_path / folder, released.folder)
    assert [s.name for s in found] == ["ada/01_tiny"] and not others


def test_the_course_itself_may_lie_in_an_odd_folder(
    released: Chapter, tmp_path: Path
) -> None:
    moved = tmp_path / ODD_FOLDER / "course"
    shutil.copytree(released.folder, moved)
    submit(released, "ada", released.source)
    graded = grade(released.folder / "submitted", root=moved, progress=False)
    assert not graded.failures and not graded.without_feedback
    assert points(graded.csv) == {("ada", "01_tiny"): 3}


def test_a_teacher_may_link_a_student_s_folder(released: Chapter) -> None:
    submit(released, "ada", released.source)
    folder = released.folder / "submitted"
    (folder / "ada").rename(released.folder / "elsewhere")
    (folder / "ada").symlink_to(released.folder / "elsewhere")
    found, others = submissions.submissions(folder, released.folder)
    assert [s.name for s in found] == ["ada/01_tiny"] and not others


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_notebook_in_an_archive_is_graded_and_nothing_unpacked(
    released: Chapter,
) -> None:
    tiny = released
    notebook = tiny.source.read_bytes()
    folder = tiny.folder / "submitted"
    inside = {"Week 1/01_tiny.ipynb": notebook, "../../evil.py": b"", "a.csv": b"1"}
    zipped(folder / "ada" / "Hand in.ZIP", {**inside, "__MACOSX/01_tiny.ipynb": b""})
    graded = grade(root=tiny.folder, progress=False)
    assert not graded.failures
    assert points(graded.csv) == {("ada", "01_tiny"): 3}
    assert not list(tiny.folder.parent.rglob("evil.py"))
    assert grade(root=tiny.folder, progress=False).unchanged == 1


WRONG = {
    "ada/01_tiny/01_tiny.py": "a program cannot be graded: ask for the notebook",
    "bea/01_tiny.html": "a web page cannot be graded: ask for the notebook (.ipynb)",
    "carl/01_tiny/01_tiny.IPYNB": "{}; rename it to carl/01_tiny/01_tiny.ipynb",
    "dora/01_tiny.ipynb.txt": "a notebook under another name; rename it to dora/01",
    "emmy/x/01_tiny.json": "a notebook under another name; rename it to emmy/01_tiny/",
    "fay/answers.pdf": "a PDF cannot be graded",
    "gil/01_tiny.rar": "only zip archives are opened: unpack it",
    "hal/photo.jpg": "it is no notebook: ask for the notebook",
    "01_tiny.zip": "it is of no student: move it to <student>/01_tiny.zip",
}


def test_what_is_no_submission_is_told_in_a_line(released: Chapter) -> None:
    tiny = released
    folder = tiny.folder / "submitted"
    for name in WRONG:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny.source, path)
    (folder / "ida").mkdir()
    (folder / "ivo" / "01_tiny").mkdir(parents=True)
    (folder / "ken" / "01_tiny").mkdir(parents=True)
    (folder / "ken" / "01_tiny" / "01_tiny.ipynb").symlink_to(tiny.source)
    for name in (".DS_Store", "ada/Thumbs.db", "__MACOSX/ada/01_tiny.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found, others = submissions.submissions(folder, tiny.folder)
    assert not found
    told = {"/".join(key): why for key, why in others.items()}
    place = "not where a submission is expected"
    for name, why in WRONG.items():
        key = name if "/" in name else f"<student>/{name}"
        assert told.pop(key).startswith(why.format(place)), name
    assert told == {
        "ida/the folder": "it is empty: nothing was handed in",
        "ivo/01_tiny": "it is empty: nothing was handed in",
        "ken/01_tiny/01_tiny.ipynb": "it is a link, and links are not followed",
    }


def test_archives_are_opened_with_care(
    released: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, notebook = released, released.source.read_bytes()
    folder = tiny.folder / "submitted"
    two = {"a/01_tiny.ipynb": notebook, "b/01_tiny.ipynb": notebook}
    zipped(folder / "ada" / "two.zip", two)
    zipped(folder / "bea" / "other.zip", {"homework.ipynb": notebook})
    zipped(folder / "carl" / "none.zip", {"a.txt": b""})
    zipped(folder / "dora" / "up.zip", {"../01_tiny.ipynb": notebook})
    submit(tiny, "emmy", tiny.source)
    zipped(folder / "emmy" / "01_tiny" / "again.zip", {"01_tiny.ipynb": notebook})
    (folder / "fay").mkdir()
    (folder / "fay" / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    bomb = zipped(folder / "gil" / "bomb.zip", {"01_tiny.ipynb": b" " * 10**6})
    found, others = submissions.submissions(folder, tiny.folder)
    assert {key[0]: why for key, why in others.items()} == {
        "ada": "it holds 2 notebooks called 01_tiny.ipynb: unpack it",
        "bea": "it holds only homework.ipynb, expected <chapter>.ipynb: unpack it",
        "carl": "it holds no notebook, expected <chapter>.ipynb: unpack it",
        "dora": "it holds no notebook, expected <chapter>.ipynb: unpack it",
        "emmy": "01_tiny is handed in twice; keep one of the two",
        "fay": "the archive is damaged: ask for it again",
    }
    assert [s.student for s in found] == ["emmy", "gil"]
    monkeypatch.setattr(submissions, "LARGEST", 2**19)
    with pytest.raises(Unreadable, match="unpacked it has more than"):
        Submission("gil", tiny, bomb, "01_tiny.ipynb").read()


def test_what_a_student_wrote_is_no_format_of_ours() -> None:
    said = "Traceback\n  ...\nValueError: {seconds} {0} {x!r:>{w}} } {"
    assert explain(said, DEFAULTS) == "ValueError: {seconds} {0} {x!r:>{w}} } {"
    assert "120 s" in explain("nbclient.exceptions.CellTimeoutError: {", DEFAULTS)
    assert explain("", DEFAULTS) == "nbgrader did not say why"


def test_a_gradebook_in_use_or_damaged_is_told_at_the_start(
    released: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradebook, "WAIT_SECONDS", 0.1)
    submit(released, "ada", released.source)
    path = released.folder / "gradebook.db"
    with sqlite3.connect(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(GradingError, match="is locked.*: close what else uses"):
            grade(root=released.folder, progress=False)
        other.rollback()
    path.write_text("my grades, in a text" * 100)
    with pytest.raises(GradingError, match="is no gradebook"):
        grade(root=released.folder, progress=False)


def test_feedback_that_cannot_be_written_is_no_grading_that_failed(
    released: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from course.building import nbgrading

    submit(released, "ada", released.source)
    said = "nbconvert.X\nRuntimeError: no {room} left"
    failed = {"success": False, "error": said}
    monkeypatch.setattr(nbgrading, "feedback", lambda *_: failed)
    graded = grade(root=released.folder, progress=False)
    assert points(graded.csv) == {("ada", "01_tiny"): 3}
    lines = report(graded).splitlines()
    assert lines[0] == "1 of 1 submissions graded"
    assert (
        "  NO FEEDBACK ada, 01_tiny: graded; no feedback because RuntimeError: no "
        "{room} left"
    ) in lines
