"""Puts the agent on a board. Usable without the command line."""

from host_tools.flash.identity import check_fits, read_identity
from host_tools.flash.install import install

__all__ = ["check_fits", "install", "read_identity"]
