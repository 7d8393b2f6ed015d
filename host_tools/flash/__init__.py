"""Puts the agent on a board. Usable without the command line."""

from host_tools.flash.install import install

__all__ = ["install"]
