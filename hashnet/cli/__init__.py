"""The ``hashnet`` command: parse, one public call, print."""

from hashnet.cli.app import app, main

__all__ = ["app", "main"]
