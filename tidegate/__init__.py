"""The command line and the wiring: settings, and one thin file per command. Nothing imports this package.

It is the only place that knows about every other package, so that those stay free of each other's choices.
"""

from importlib.metadata import version

__version__ = version("tidegate")
