"""Refuses wheels, so that the project is installed with `pip install -e .` alone; everything else is in pyproject.toml."""

import setuptools
from setuptools.command.bdist_wheel import bdist_wheel


class Refuse(bdist_wheel):
    """What `pip install .` and `pip wheel` run; an editable install only asks it for names."""

    def run(self):
        raise SystemExit("error: Tetrapla runs from its clone, so it is installed as such: pip install -e .")


setuptools.setup(cmdclass={"bdist_wheel": Refuse})
