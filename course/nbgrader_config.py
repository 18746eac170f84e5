"""How nbgrader serves this course; read by its commands, its buttons and ours."""

from pathlib import Path

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.course_id = "beyond-the-black-box"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)

# Where this course departs from the defaults: a cell of a chapter may use 20 s of CPU,
# and the machine that grades may be busy.
c.Execute.timeout = 120
c.Execute.startup_timeout = 120
c.Execute.extra_arguments = ["--log-level=ERROR"]
c.ClearSolutions.code_stub = {
    "python": '# YOUR CODE HERE\nraise NotImplementedError("not written yet")'
}
