"""Puts the agent on a board. Usable without the command line."""

from host_tools.flash.identity import read_identity
from host_tools.flash.install import install

__all__ = ["install", "read_identity"]
