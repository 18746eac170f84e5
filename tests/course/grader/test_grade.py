import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course.building.bake import bake
from course.building.environment import environment
from course.building.syllabus import Chapter
from course.grading.grade import grade
from course.grading.limits import Limits
from course.grading.outcome import report
from tests.course.grading import points, submit

PLUS_ONE = {"ex01-1": "def double(number):\n    return number + 1"}


def scores(table: Path) -> dict[str, float | None]:
    return {student: score for (student, _), score in points(table).items()}


def digests(folder: Path) -> dict[Path, tuple[str, int]]:
    """What each file holds, and when it was last written."""
    return {
        path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_class_is_graded_whatever_one_student_hands_in(released: Chapter) -> None:
    tiny = released
    submit(tiny, "ada", tiny.source)
    submit(tiny, "blaise", tiny.work)
    submit(tiny, "carl", tiny.work, PLUS_ONE)
    submit(tiny, "emmy", tiny.work, {"ex01-1": "import os\nos._exit(1)"})
    submit(tiny, "dada", tiny.work).write_text("KeyboardInterrupt, no notebook")
    before = digests(tiny.folder / "submitted")

    graded = grade(root=tiny.folder, progress=False)

    got = scores(graded.csv)
    assert got["ada"] == 3
    assert got["blaise"] == 0
    assert got["emmy"] is None  # no zero: nothing was graded
    assert got["carl"] == 1  # doubling one by adding one: caught by held-out tests
    assert set(graded.failures) == {("dada", "01_tiny"), ("emmy", "01_tiny")}
    assert graded.gradebook.exists()
    page = (graded.feedback / "carl" / "01_tiny" / "01_tiny.html").read_text()
    assert '<a href="#ex01-1-visible">01.1, visible</a> (Score: 1.0 / 1.0)' in page
    assert '<a href="#ex01-1-heldout">01.1, held-out</a> (Score: 0.0 / 2.0)' in page
    assert "carl, 01_tiny (Score: 1.0 / 3.0)" in page
    said = report(graded)
    assert "3 of 5 submissions graded" in said
    assert "NOT GRADED dada, 01_tiny: the file is no notebook\n" in said
    assert "NOT GRADED emmy, 01_tiny: its kernel died: the code ended the proc" in said
    assert "Traceback" not in said
    assert "of a submission is in its feedback, error.txt" in said
    log = graded.feedback / "emmy" / "01_tiny" / "error.txt"
    assert "DeadKernelError" in log.read_text()
    assert digests(tiny.folder / "submitted") == before

    submit(tiny, "grace", tiny.source)
    submit(tiny, "emmy", tiny.work, PLUS_ONE)
    again = grade(root=tiny.folder, progress=False)
    assert scores(again.csv) == {**got, "grace": 3, "emmy": 1}
    assert not log.exists()


GRADE = (
    "from pathlib import Path; from course.grading.grade import grade; "
    "grade(root=Path({!r}), confined=False)"
)


WAITS = (
    "from pathlib import Path\nimport time\nPath({!r}).touch()\n"
    "while not Path({!r}).exists():\n    time.sleep(0.1)\n"
    "def double(number):\n    return 2 * number"
)
KILLS = (
    "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
    "def double(number):\n    return 2 * number"
)


def start_grading(tiny: Chapter, log: Path) -> subprocess.Popen:
    """Without a sandbox: it can be waited for, and killed from inside."""
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-c", GRADE.format(str(tiny.folder))],
            stdout=output,
            stderr=output,
        )


def test_a_grading_that_is_stopped_is_finished_by_the_next(
    released: Chapter, tmp_path: Path
) -> None:
    """After ada's submission, while bea's runs; what a teacher has entered is kept."""
    tiny = released
    begun, go = tmp_path / "begun", tmp_path / "go"
    submit(tiny, "ada", tiny.work, PLUS_ONE)
    submit(tiny, "bea", tiny.work, {"ex01-1": WAITS.format(str(begun), str(go))})
    submit(tiny, "carl", tiny.source)
    process = start_grading(tiny, tmp_path / "log")
    while not begun.exists():
        assert process.poll() is None, "the grading ended too early"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=120) != 0
    go.touch()
    database = f"sqlite:///{tiny.folder / 'gradebook.db'}"
    with Gradebook(database) as gradebook:
        begun_with = gradebook.find_assignment("01_tiny").submissions
        assert {s.student.id for s in begun_with} <= {"ada", "bea"}, "it went on"
        assert gradebook.find_submission("01_tiny", "ada").score == 1
        where = ("01_tiny", "01_tiny", "ada")
        gradebook.find_grade("ex01-1-heldout", *where).manual_score = 1.5
        gradebook.find_comment("ex01-1", *where).manual_comment = "nearly"
        gradebook.db.commit()

    graded = grade(root=tiny.folder, progress=False, confined=False)

    assert not graded.failures
    assert not graded.look_again  # the tests give less than the teacher
    assert scores(graded.csv) == {"ada": 1 + 1.5, "bea": 3, "carl": 3}
    page = graded.feedback / "ada" / "01_tiny" / "01_tiny.html"
    assert "nearly" in page.read_text()
    with Gradebook(database) as gradebook:
        check = gradebook.db.connection().exec_driver_sql("PRAGMA integrity_check")
        assert check.scalar() == "ok"

    submit(tiny, "ada", tiny.source)  # a better answer
    again = grade(root=tiny.folder, progress=False)
    assert (
        "  LOOK AGAIN ada, 01_tiny: ex01-1-heldout has fewer points by hand (1.5) than "
        "by the tests of the submission (2); those by hand count"
    ) in report(again).splitlines()


def test_a_submission_that_kills_the_grader_is_named_and_skipped(
    released: Chapter, tmp_path: Path
) -> None:
    tiny, log = released, tmp_path / "log"
    submit(tiny, "ada", tiny.work, PLUS_ONE)
    submit(tiny, "bea", tiny.work, {"ex01-1": KILLS})
    submit(tiny, "carl", tiny.source)
    assert start_grading(tiny, log).wait(timeout=300) == -signal.SIGKILL
    assert "bea/01_tiny" in log.read_text().splitlines()[-1], "who it was"

    graded = grade(root=tiny.folder, progress=False)
    ((who, why),) = graded.failures.items()
    assert who == ("bea", "01_tiny")
    assert why.startswith("the last grading ended while it ran, so it was not run")
    assert "  LOOK AGAIN bea, 01_tiny: it may have ended a grad" in report(graded)
    assert scores(graded.csv) == {"ada": 1, "bea": None, "carl": 3}

    again = grade(root=tiny.folder, progress=False)
    assert again.failures == graded.failures
    assert again.unchanged == 2
    submit(tiny, "bea", tiny.source)  # something else: it is run
    assert scores(grade(root=tiny.folder, progress=False).csv)["bea"] == 3


def test_grading_again_runs_only_what_has_changed(
    released: Chapter, tmp_path: Path
) -> None:
    tiny, log = released, tmp_path / "log"
    tells = (
        f"with open({str(log)!r}, 'a') as log:\n    log.write('{{}} ')\n"
        "def double(number):\n    return 2 * number"
    )
    for student in ("ada", "bea"):
        submit(tiny, student, tiny.work, {"ex01-1": tells.format(student)})

    def run_again(**settings: Limits) -> list[str]:
        log.write_text("")
        graded = grade(root=tiny.folder, progress=False, confined=False, **settings)
        assert scores(graded.csv) == {"ada": 3, "bea": 3}
        ran = log.read_text().split()
        assert graded.unchanged == 2 - len(ran)
        before = f", {graded.unchanged} of them earlier" if graded.unchanged else ""
        assert report(graded).startswith(f"2 of 2 submissions graded{before}\n")
        return ran

    assert run_again() == ["ada", "bea"]
    with Gradebook(f"sqlite:///{tiny.folder / 'gradebook.db'}") as gradebook:
        comment = gradebook.find_comment("ex01-1", "01_tiny", "01_tiny", "ada")
        comment.manual_comment = "well done"
        gradebook.db.commit()
    assert run_again() == []
    page = tiny.folder / "feedback" / "ada" / "01_tiny" / "01_tiny.html"
    assert "well done" in page.read_text()

    submit(tiny, "bea", tiny.work, {"ex01-1": tells.format("BEA")})
    assert run_again() == ["BEA"]
    assert run_again(limits=Limits(seconds=100)) == ["ada", "BEA"]
    shutil.rmtree(tiny.folder / "autograded" / "ada")
    assert run_again(limits=Limits(seconds=100)) == ["ada"]
    (tiny.folder / "gradebook.db").unlink()
    assert run_again(limits=Limits(seconds=100)) == ["ada", "BEA"]
    tiny.source.write_text(tiny.source.read_text().replace("one gives two", "1 is 2"))
    assert run_again(limits=Limits(seconds=100)) == ["ada", "BEA"]


ASTRAY = {
    "bob/01_tiny.ipynb": "bob, 01_tiny.ipynb: {}rename it to bob/01_tiny/01_tiny.ipynb",
    "cleo/01_tiny/01_tiny (1).ipynb": (
        "cleo, 01_tiny/01_tiny (1).ipynb: {}rename it to cleo/01_tiny/01_tiny.ipynb"
    ),
    "dora/homework.ipynb": (
        "dora, homework.ipynb: {}rename it to dora/<chapter>/<chapter>.ipynb"
    ),
    "eva_01_tiny.ipynb": (
        "<student>, eva_01_tiny.ipynb: {}rename it to <student>/01_tiny/01_tiny.ipynb"
    ),
    "01_tiny/fay.ipynb": (
        "<student>, 01_tiny/fay.ipynb: {}rename it to <student>/01_tiny/01_tiny.ipynb"
    ),
}
TWICE = "ada, 01_tiny/old.ipynb: {}keep either it or ada/01_tiny/01_tiny.ipynb, under"


def test_no_notebook_is_passed_over_without_a_word(released: Chapter) -> None:
    tiny = released
    for name in (*ASTRAY, "ada/01_tiny/.ipynb_checkpoints/01_tiny.ipynb"):
        path = tiny.folder / "submitted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny.work, path)
    place = "not where a submission is expected; "
    told = {f"  NOT GRADED {line.format(place)}" for line in ASTRAY.values()}

    with pytest.raises(FileNotFoundError, match="no submission in .*<student>") as no:
        grade(root=tiny.folder, progress=False)
    empty = "  NOT GRADED ada, 01_tiny: it is empty: nothing was handed in"
    assert set(str(no.value).splitlines()[1:]) == told | {empty}

    handed_in = submit(tiny, "ada", tiny.source)
    shutil.copy(tiny.work, handed_in.with_name("old.ipynb"))
    graded = grade(root=tiny.folder, progress=False)
    said = report(graded).splitlines()
    assert said[0] == "1 of 7 submissions graded"
    twice = f"  NOT GRADED {TWICE.format(place)} that name"
    assert {line for line in said if "NOT GRADED" in line} == told | {twice}
    assert not [line for line in said if "error.txt" in line]
    assert scores(graded.csv) == {"ada": 3}


def test_the_table_tells_a_chapter_not_handed_in_from_a_blank_one(
    released: Chapter,
) -> None:
    tiny = released
    submit(tiny, "Lovelace, Ada", tiny.work)
    database = f"sqlite:///{tiny.folder / 'gradebook.db'}"
    with environment(), Gradebook(database) as gradebook:
        gradebook.update_or_create_student("carl", last_name="Gauß")
    graded = grade(root=tiny.folder, progress=False)
    assert graded.csv.read_text(encoding="utf-8").splitlines() == [
        "assignment,student_id,last_name,score,max_score",
        '01_tiny,"Lovelace, Ada",,0.0,3.0',
        "01_tiny,carl,Gauß,,3.0",
    ]


def test_submissions_may_lie_in_any_folder(tiny: Chapter, tmp_path: Path) -> None:
    bake(tiny)
    submit(tiny, "ada", tiny.source)
    elsewhere = tmp_path / "from the mail"
    (tiny.folder / "submitted").rename(elsewhere)
    graded = grade(elsewhere, root=tiny.folder, progress=False)
    assert scores(graded.csv) == {"ada": 3}


def test_a_folder_without_submissions_is_refused(tiny: Chapter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a folder.*SUBMISSIONS=folder"):
        grade(root=tiny.folder)
    with pytest.raises(FileNotFoundError, match="no submission in .*<student>"):
        grade(tmp_path, root=tiny.folder)
