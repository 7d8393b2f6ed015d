"""Looks at settings, hub, network and board, and says in plain words what is wrong and what to do."""

from host_tools.doctor.finding import Finding

__all__ = ["Finding"]
