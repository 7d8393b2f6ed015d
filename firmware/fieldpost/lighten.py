"""Takes off the heap of a board what only its start needs. Itself loaded once, and unloaded by itself.

MicroPython keeps the code of every function that a class still names. A constructor that will not run again, and the
parts of umqtt.simple's client that the link has replaced, are a tenth of what the agent takes.
"""

from fieldpost.agent import Agent
from fieldpost.assembly import Device
from fieldpost.clock import Clock
from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.health import Health
from fieldpost.links.umqtt import MQTTClient
from fieldpost.modules import unload
from fieldpost.records.recorder import Recorder
from fieldpost.records.renderer import Renderer
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.batch import Batch
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import Session
from fieldpost.uplink.window import Window

_MODULES = (
    "identity",
    "records.earlier",
    "ring.recovery",
    "ring.search",
    "ring.tail",
    "lighten",
)  # those that were needed, of these
# A device makes these when it starts, and never again.
_MADE_ONCE = (
    Agent,
    Backoff,
    Batch,
    Clock,
    Commands,
    Context,
    Device,
    Health,
    Journal,
    Lane,
    Outbox,
    Outputs,
    Recorder,
    Renderer,
    Ring,
    Schemas,
    Session,
    Timeline,
    Vocabulary,
    Window,
)


def lighten():
    """Forget what has done its work. The device must have been made."""
    for name in _MODULES:
        unload("fieldpost." + name)
    for made in _MADE_ONCE:
        _forget(made, "__init__")
    for name in list(MQTTClient.__dict__):
        if name[:2] != "__":
            _forget(MQTTClient, name)


def _forget(owner, name):
    """Let a class name nothing in place of a function. Deleted, its place in the table would go on holding it."""
    if name in owner.__dict__:
        try:
            setattr(owner, name, None)
        except AttributeError:
            pass  # its class lies in flash (ports/objects_in_flash.py) and takes next to nothing
