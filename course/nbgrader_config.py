"""How nbgrader serves this course; read by its commands, its buttons and ours."""

from pathlib import Path

from course.building.restore import Restore
from course.desk.progress import STUB
from course.grading.attachments import Attachments
from course.grading.formulas import Formulas
from course.grading.limits import Limits

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.course_id = "beyond-the-black-box"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)

Limits().apply(c)
c.Execute.startup_timeout = 120
c.Autograde.sanitize_preprocessors.prepend([Restore])
c.GenerateFeedback.preprocessors.prepend([Attachments, Formulas])
c.ClearSolutions.code_stub = {"python": f"# YOUR CODE HERE\n{STUB}"}
