"""What a board does once, from its configuration to a device that is ready to run; unloaded after it.

configuration -> port -> code in flash, where it can be -> device -> heap without what only the start needed
"""

import sys

from fieldpost.agent import Agent
from fieldpost.assembly import Device
from fieldpost.clock import Clock
from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.errors import ConfigError
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

# What has done its work when the device is made.
_MODULES = (
    "building",
    "records.earlier",
    "ring.recovery",
    "ring.search",
)
# What the drivers offer and nobody here asks for: (module, class or none, names).
_UNUSED = (
    ("adafruit_bme280.basic", None, ("Adafruit_BME280_SPI", "SPI_Impl")),
    ("adafruit_bme280.basic", "Adafruit_BME280", ("altitude", "relative_humidity", "_read_config")),
    ("adafruit_bme280.protocol", None, ("DigitalInOut", "SPI", "SPI_Impl")),
    ("adafruit_bus_device.i2c_device", "I2CDevice", ("write_then_readinto",)),
    ("busio", None, ("SPI",)),
    ("busio", "I2C", ("writeto_then_readfrom",)),
)
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
# What has when its code is where it stays, too.
_DONE = (
    "ports.code_in_flash",
    "ports.heap",
    "ports.lent_blocks",
    "ports.objects_in_flash",
    "start",
)


def open_port(log):
    """Return [port, configuration, identity], or None if a file is not right, which is told."""
    from fieldpost import config

    try:
        settings, identity = config.load("/config.json", "/identity.json")
    except ConfigError as error:
        log("not started: %s" % error)
        return None
    opened = [_port_of(settings, identity), settings, identity]
    del config
    unload("fieldpost.config")  # its checks have done their work
    unload("fieldpost.shapes")
    return opened


def make_device(opened, log):
    """Return the device. opened: from `open_port`; emptied, since certificates and keys are where they are needed."""
    port, settings, identity = opened
    del opened[:]
    # What the device would load a little later and keep: now it can go to flash with the rest.
    hub = settings["hub"]
    names = ["hubs." + hub["dialect"]]
    if hub["methods"]:
        names.append("hubs.azure_methods")
    if hub["twin"]:
        names += ["hubs.azure_twin", "commands.kept_settings"]
    for name in names:
        __import__("fieldpost." + name)
    _free_heap(port, True, log)
    device = Device(settings, identity, port, log)
    settings = identity = None
    lighten()
    _free_heap(port, False, log)
    return device


def lighten():
    """Take off the heap what only the start needed. The device must have been made.

    MicroPython keeps the code of every function that a class still names. A constructor that will not run again, and
    the parts of umqtt.simple's client that the link has replaced, are a tenth of what the agent takes.
    """
    for name in _MODULES:
        unload("fieldpost." + name)
    for made in _MADE_ONCE:
        _forget(made, "__init__")
    is_all = True
    for name in list(MQTTClient.__dict__):
        if name[:2] != "__" or name == "__init__":
            is_all = _forget(MQTTClient, name) and is_all
    if is_all:
        unload("umqtt.simple")  # nothing names its functions any more
    for module_name, class_name, names in _UNUSED:
        owner = sys.modules.get(module_name)
        if owner is not None:
            for name in names:
                _forget(getattr(owner, class_name) if class_name else owner, name)
    unload("digitalio")


def clear_up():
    """Forget what only the start needed, this module too."""
    for name in _DONE:
        unload("fieldpost." + name)


def _free_heap(port, is_first, log):
    """Let code run in flash where the board can; it runs from the heap as well."""
    try:
        port.move_to_flash(is_first)
    except (OSError, ConfigError) as error:
        log("code stays on the heap: %s" % error)


def _forget(owner, name):
    """Let a class or module name nothing in place of what it named; return False if it goes on naming it.

    Deleted, its place in the table would go on holding it.
    """
    if name in owner.__dict__:
        try:
            setattr(owner, name, None)
        except AttributeError:
            return False  # its class lies in flash (ports/objects_in_flash.py) and takes next to nothing
    return True


def _port_of(config, identity):
    """Return the Port of the machine that the configuration names (ports/esp32.py, rp2.py, linux.py)."""
    name = "fieldpost.ports." + config["port"]
    __import__(name)
    return sys.modules[name].Port(config, identity)
