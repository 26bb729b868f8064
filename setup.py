# SPDX-License-Identifier: Apache-2.0
"""Installs the library without ROS (pip install .). The ROS package is built by CMakeLists.txt."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithDefinitions(build_py):
    """Adds the message definitions, which lie outside the Python package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # they are read where they are
        target = Path(self.build_lib, "fpt_ros/recordings/definitions")
        self.mkpath(str(target))
        for file in sorted(HERE.glob("msg/*.msg")):
            self.copy_file(str(file), str(target / file.name))


package = ElementTree.parse(HERE / "package.xml").getroot()

setup(version=package.findtext("version"), cmdclass={"build_py": BuildWithDefinitions})
