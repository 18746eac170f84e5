"""A class on a real hub, in a real browser: chapter 11 from release to feedback.

In the order of a lesson: the last tests end what the first have begun.
"""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from playwright.sync_api import Browser

from course import FOLDER
from course.building.syllabus import chapter
from tests.hub.admin import commands
from tests.hub.lesson import ANSWERED, Lesson, points
from tests.hub.pages import sign_in
from tests.hub.running import CHAPTER, CLONE, EXCHANGE, INSTALLED, Hub

pytestmark = [pytest.mark.browser, pytest.mark.hub]

COURSE = "beyond-the-black-box"
GRADES = """
SELECT student.id, sum(grade.auto_score) FROM student
JOIN submitted_assignment ON submitted_assignment.student_id = student.id
JOIN submitted_notebook ON submitted_notebook.assignment_id = submitted_assignment.id
JOIN grade ON grade.notebook_id = submitted_notebook.id
GROUP BY student.id ORDER BY student.id
"""


def test_answers_handed_in_on_the_hub_are_graded(lesson: Lesson) -> None:
    assert lesson.scores["ada"].startswith(f"{points():g} / ")
    assert lesson.scores["ben"].startswith("0 / ")
    for button, said in lesson.said.items():
        assert "Success\n" in said, f"{button}: {said[:2000]}"


def test_a_student_reads_the_feedback(lesson: Lesson) -> None:
    first, _, rest = lesson.feedback.partition("Score:")
    assert CHAPTER in first
    score = " ".join(rest.split()[:3]).rstrip(")")
    assert score == f"{points():.1f} / {chapter(CHAPTER).points:.1f}"
    assert "v.sign() * (v.abs() - theta).clamp(min=0)" in rest


def test_the_gradebook_is_in_postgresql_and_nowhere_else(
    running: Hub, lesson: Lesson
) -> None:
    query = ["psql", "--tuples-only", "--no-align", "--command", GRADES, "gradebook"]
    told = running.machine.run(query, "teacher").stdout.split()
    assert told == [f"ada|{points():g}", "ben|0"]
    assert not list(running.machine.path(CLONE).glob("*.db"))


def test_code_that_is_graded_sees_nobody_elses_work_nor_the_gradebook(
    running: Hub, lesson: Lesson
) -> None:
    graded = running.machine.path(f"{CLONE}/autograded/ben/{CHAPTER}/{CHAPTER}.ipynb")
    cells = json.loads(graded.read_text())["cells"]
    (cell,) = (
        c
        for c in cells
        if c["metadata"].get("nbgrader", {}).get("grade_id") == ANSWERED
    )
    assert cell["outputs"][-1]["text"] == ["seen: []\n"]


@pytest.mark.parametrize(
    ("owner", "look"),
    [
        ("teacher", f"ls {EXCHANGE}/inbound"),
        ("teacher", f"ls {EXCHANGE}/feedback"),
        ("teacher", f"cat {EXCHANGE}/inbound/*/{CHAPTER}.ipynb"),
        ("teacher", f"touch {EXCHANGE}/outbound/{CHAPTER}/{CHAPTER}.ipynb"),
        ("teacher", f"ls {CLONE}"),
        ("teacher", "psql gradebook --command 'SELECT 1'"),
        ("ada", f"cat /home/ada/{CHAPTER}/{CHAPTER}.ipynb"),
        ("ada", "cat /proc/$(pgrep -u ada -f singleuser | head -1)/environ"),
        ("root", "ls /srv/jupyterhub"),
        ("root", "cat /srv/jupyterhub/passwords.txt"),
    ],
)
def test_what_its_owner_may_do_a_third_student_may_not(
    running: Hub, lesson: Lesson, owner: str, look: str
) -> None:
    assert running.machine.do(look, owner) or "touch" in look
    done = running.machine.run(["bash", "-c", look], "cem")
    assert done.returncode != 0, done.stdout
    refused = "[Pp]ermission denied|does not exist|No such file"
    assert re.search(refused, done.stderr), done.stderr


def test_a_third_student_is_refused_in_the_browser(
    running: Hub, lesson: Lesson, browser: Browser
) -> None:
    context = browser.new_context()
    page = sign_in(context, f"{running.url}/hub/home", "cem", running.passwords["cem"])
    page.wait_for_url("**/hub/home")
    for place in ("ada/lab", "ada/files/11_ista/11_ista.ipynb", "teacher/formgrader/"):
        answer = page.goto(f"{running.url}/user/{place}")
        assert answer and answer.status == 403, (place, answer and answer.status)
    assert running.ask("users/cem")[1]["servers"] == {}
    context.close()


def test_an_account_that_is_not_in_the_class_is_refused(
    running: Hub, browser: Browser
) -> None:
    running.machine.do("useradd dan; echo dan:opensesame | chpasswd")
    context = browser.new_context()
    page = sign_in(context, running.url, "dan", "opensesame")
    assert "Invalid username or password" in page.inner_text(".login_error")
    assert "dan" not in {user["name"] for user in running.ask("users")[1]}
    assert "'dan' not allowed" in running.log.read_text()
    context.close()


def test_a_server_knows_its_own_groups_and_its_limits_only(
    running: Hub, lesson: Lesson
) -> None:
    own = running.environment("ada")
    assert (own["MEM_LIMIT"], own["CPU_LIMIT"]) == (str(2 * 2**30), "1.0")
    token = own["JUPYTERHUB_API_TOKEN"]
    status, told = running.ask("users/ada", token)
    assert (status, told["groups"]) == (200, [f"nbgrader-{COURSE}"])
    for what in ("users/ben", "users", "groups", "services", "users/ada/tokens"):
        assert running.ask(what, token)[0] in (403, 404), what
    teachers = running.environment("teacher")
    status, told = running.ask("users/teacher", teachers["JUPYTERHUB_API_TOKEN"])
    assert told["groups"] == [f"formgrade-{COURSE}"]


def test_the_gradebook_is_backed_up_and_restored(running: Hub, lesson: Lesson) -> None:
    made, box = running.machine, "Back up and restore"
    made.do(commands(box), "teacher")
    made.do("cd /var/lib; runuser -u postgres -- createdb --owner teacher again")
    made.do(commands(box, 1), "teacher")
    for table in ("grade", "source_cell", "alembic_version"):
        digest = "md5(string_agg(row::text, '' ORDER BY row::text))"
        query = f"SELECT count(*), {digest} FROM {table} AS row"
        before, after = (
            made.run(["psql", "-At", "-c", query, name], "teacher").stdout
            for name in ("gradebook", "again")
        )
        assert before == after != ""
        assert not before.startswith("0|")
    refused = made.run(["psql", "again", "-c", "SELECT * FROM grade"], "cem")
    assert refused.returncode


def test_the_page_s_commands_move_the_gradebook_and_bring_it_up_to_date(
    running: Hub, lesson: Lesson
) -> None:
    """To a file and back: the two commands of the page, with the names of a copy."""
    made, box = running.machine, "A gradebook that you have already"
    made.do("cd /var/lib; runuser -u postgres -- createdb --owner teacher moved")
    python = f"{INSTALLED}/.venv/bin/python"
    assert commands(box).startswith(python)
    there = commands(box).replace(python, sys.executable)
    program, old, new = (part.strip() for part in there.split("\\\n"))
    out = made.do(f"{program} {new} {old}", "teacher")
    back = made.do(there.replace("///gradebook?", "///moved?"), "teacher")
    assert out == back and "submitted_assignment: 2\n" in back
    query = ["psql", "-At", "-c", GRADES, "moved"]
    assert made.run(query, "teacher").stdout.split() == [f"ada|{points():g}", "ben|0"]
    settings = ":".join(str(FOLDER / "hub" / n) for n in ("instructor", "everyone"))
    made.do(f"cd {CLONE}; JUPYTER_CONFIG_PATH={settings} {commands(box, 1)}", "teacher")


def test_a_filled_exchange_hands_out_and_hides_what_is_handed_in(
    running: Hub,
) -> None:
    clone = running.machine.path("/srv/clone/course")
    for name in ("release", "source"):
        (clone / name / "11_ista").mkdir(parents=True)
    for name in ("nbgrader_config.py", "syllabus.yml"):
        shutil.copy(FOLDER / name, clone)
    (clone / "release" / "11_ista" / "11_ista.ipynb").write_text("{}")
    shutil.copytree(FOLDER / "hub", clone / "hub")
    running.machine.do(
        "mkdir /srv/filled; cd /srv/clone\n"
        "sh course/hub/fill.sh $(id -u teacher) /srv/filled /home/filled"
    )
    course = "/srv/filled/beyond-the-black-box"
    running.machine.do(
        f"cat {course}/outbound/11_ista/11_ista.ipynb\n"
        f"mkdir {course}/inbound/ada+11_ista\n"
        "touch /home/member/mine",
        "ada",
    )
    running.machine.do(f"ls {course}/inbound/ada+11_ista", "teacher")
    running.machine.do("ls /home/filled/beyond-the-black-box/course/source", "teacher")
    for look in (
        f"ls {course}/inbound",
        f"touch {course}/outbound/11_ista/other",
        f"rm -r {course}/outbound",
        f"mv {course} /srv/filled/other",
        "ls /home/filled",
    ):
        assert running.machine.run(["bash", "-c", look], "cem").returncode, look


def test_an_idle_server_is_stopped_and_nobodys_work_is_lost(
    running: Hub, lesson: Lesson
) -> None:
    """The command of the hub's own service, with seconds for an hour."""
    lesson.contexts.pop("ben").close()
    servers = {u["name"]: u["servers"] for u in running.ask("users")[1]}
    assert servers["ben"] and not servers["cem"]
    line = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=1"]
    line += ["--cull-every=1", f"--url={running.url}/hub/api"]
    with subprocess.Popen(
        line, env={"JUPYTERHUB_API_TOKEN": running.token}, stderr=subprocess.DEVNULL
    ) as culler:
        deadline = time.monotonic() + 60
        while servers["ben"] and time.monotonic() < deadline:
            time.sleep(0.5)
            servers = {u["name"]: u["servers"] for u in running.ask("users")[1]}
        culler.terminate()
    assert not servers["ben"]
    assert running.machine.path(f"/home/ben/{CHAPTER}/{CHAPTER}.ipynb").exists()
