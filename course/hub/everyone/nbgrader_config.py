"""What nbgrader is told on a hub, for students and instructors alike."""

from nbgrader.auth import JupyterHubAuthPlugin

from course.grading.limits import Limits

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.course_id = "beyond-the-black-box"
c.Exchange.root = "/srv/nbgrader/exchange"
# Membership of a course is the hub's business: it answers for its own groups.
c.Authenticator.plugin_class = JupyterHubAuthPlugin
Limits().apply(c)
