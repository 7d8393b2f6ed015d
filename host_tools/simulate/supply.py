"""The power supply: whatever the device does to the world may be the last thing that it does."""

from host_tools.emulator.nor_flash import PowerCut
from host_tools.simulate.world import World


class Supply:
    """Counts what the device does outside its flash (pins, packets, conversions) and cuts the power in between."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._actions_left = -1

    def cut_after(self, actions: int) -> None:
        """Let that many actions happen and cut the power at the one after them."""
        self._actions_left = actions

    def restored(self) -> None:
        """The power is back: nothing is planned."""
        self._actions_left = -1

    def spend(self, action: str) -> None:
        """The device is about to do `action`, or has just done it. Raises PowerCut when its time has come."""
        if self._actions_left < 0:
            return
        self._actions_left -= 1
        if self._actions_left < 0:
            raise PowerCut(f"power cut at {action}")
