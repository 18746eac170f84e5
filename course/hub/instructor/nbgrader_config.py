"""What nbgrader is told on a hub for instructors: their clone, and the gradebook.

``COURSE_GRADEBOOK`` gives another address of the gradebook than that of one server,
where the system knows who asks: no password is written anywhere.
"""

import os
from pathlib import Path

from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from course.hub.confined import Confined

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.root = str(Path.home() / "beyond-the-black-box" / "course")
c.CourseDirectory.db_url = os.environ.get(
    "COURSE_GRADEBOOK", "postgresql+psycopg:///gradebook?host=/var/run/postgresql"
)
# The buttons of Formgrader run what students wrote, as `make grade` does: in a sandbox.
c.Autograde.autograde_preprocessors = [
    Confined if step is Execute else step
    for step in Autograde.autograde_preprocessors.default()
]
