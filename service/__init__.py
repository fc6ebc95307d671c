"""Sluice finds leaked secrets in streams of code and log events.

The folders stand in the order of the flow: consume, decode, detect, judge, probe, publish, telemetry.
:mod:`service.pipeline` shows the whole way on one page.
"""

from importlib import metadata

try:
    __version__ = metadata.version("sluice")
except metadata.PackageNotFoundError:  # run from a tree that is not installed
    __version__ = "0.0.0"
