"""What Formgrader runs on a hub: each submission in a room of its own, or none."""

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import Execute

from course.grading.execution import Kernel
from course.grading.sandbox import can_confine, room, solutions

HIDDEN = (Path("/srv/nbgrader"), Path("/srv/jupyterhub"), Path("/run"))
"""What an instructor may read, and a submission may not: what others have handed in,
and the sockets, behind one of which is the gradebook."""

CURE = (
    "no submission is run without a sandbox, since it could read the gradebook as you "
    "do: `apt-get install bubblewrap`, and look that it works for your account"
)


class Confined(Execute):
    """nbgrader's execution of a submission, in a sandbox."""

    def __init__(self, **settings: Any) -> None:
        """Take nbgrader's settings.

        Args:
            settings: What nbconvert hands to every preprocessor.
        """
        super().__init__(**settings, kernel_manager_class=Kernel)

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, Any]:
        """Called by nbgrader for every submission.

        Raises:
            RuntimeError: If there is no sandbox here, with what to do about it.
        """
        if not can_confine():
            raise RuntimeError(CURE)
        work = Path(resources["metadata"]["path"])
        hidden = [*solutions(), *HIDDEN]
        with room(work, hidden, confined=True) as self._room:
            return super().preprocess(nb, resources, km)

    def create_kernel_manager(self) -> Kernel:
        """Called by nbclient."""
        manager = super().create_kernel_manager()
        manager.enter(self._room)
        return manager
