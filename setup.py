"""The wheel has the library only: the course needs a clone, and `pip install -e`."""

from setuptools import setup
from setuptools.command.build_py import build_py


class Library(build_py):
    """Leave out the commands of the course, which are nothing without its chapters."""

    def finalize_options(self) -> None:
        """Drop the packages of the course; an editable install reads them elsewhere."""
        super().finalize_options()
        self.packages = [p for p in self.packages if p.partition(".")[0] != "course"]


setup(cmdclass={"build_py": Library})
