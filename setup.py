# SPDX-License-Identifier: Apache-2.0
"""Installs the library without ROS (pip install .). The ROS package is built by CMakeLists.txt."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

package = ElementTree.parse(Path(__file__).parent / "package.xml").getroot()

setup(version=package.findtext("version"))
