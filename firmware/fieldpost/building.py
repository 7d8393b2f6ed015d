"""Builds a device from its configuration and its port. A board unloads this when it has one.

device: see assembly; its parts are set here.
"""

from binascii import a2b_base64

from fieldpost import compat
from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary, user_words
from fieldpost.errors import ConfigError
from fieldpost.limits import (
    BATCH_BYTES_MAX,
    BATCH_BYTES_MIN,
    COMMAND_BYTES_MAX,
    INBOUND_BYTES_MAX,
    RECORD_BYTES_MAX,
    URGENT_WINDOW_BATCHES,
)
from fieldpost.records.json_body import JsonBody
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.layout import divide
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import Session


def build(device, config, identity, log):
    """Make and connect the parts of `device`, whose port is set. Raises as its constructor does."""
    port = device.port
    device.clock = Clock(compat.ticks_ms(), getattr(port, "set_time_ms", None))
    # Outputs before whatever may fail: a pin that the agent before this one left on goes to its safe level.
    pins = device.pins = config["pins"]
    device.outputs = Outputs(pins, {name: _open_pin(pins[name], port) for name in pins}, device.clock.uptime_ms)
    from fieldpost.records.earlier import confirmed_ms, last_boot  # needed once, as this module

    hub = config["hub"]
    dialect, host, port_number = _make_dialect(hub, identity, device.clock.signing_ms, port)
    # The largest buffers first, while the heap is still in one piece.
    inbound_bytes = INBOUND_BYTES_MAX if hub["twin"] else COMMAND_BYTES_MAX
    context, roots = _make_context(hub, identity, log, port)
    path = dialect.websocket_path if hub["transport"] == "websockets" else None
    batch = config["batch"]
    # A report of the twin, too, is put where batches are.
    body_bytes = BATCH_BYTES_MAX if hub["twin"] else batch["bytes_max"]
    device.link = device.link_class(
        dialect, host, port_number, config["keepalive_s"], context, inbound_bytes, path, body_bytes
    )
    region = port.region()
    scratch = memoryview(bytearray(2 * region.page_bytes))
    if hasattr(region, "share_page"):
        region.share_page(scratch[region.page_bytes :])  # rings read what was programmed back to it, afterwards
    sectors = config["ring"]
    journal, device.urgent, device.ring = [
        Ring(part, scratch) for part in divide(region, sectors["journal_sectors"], sectors["urgent_sectors"])
    ]
    boot = max(last_boot(device.ring), last_boot(device.urgent)) + 1
    device.clock.begin_at(max(confirmed_ms(device.ring), confirmed_ms(device.urgent)))
    # Each ring explains itself: what stands in the other may be overwritten first.
    schemas = Schemas()
    timelines = Timeline(), Timeline()
    device.boot = boot
    record = memoryview(bytearray(RECORD_BYTES_MAX))
    device.agent = Agent(
        config,
        Recorder(device.ring, boot, device.clock, timelines[0], record),
        Recorder(device.urgent, boot, device.clock, timelines[1], record),
        device.clock,
        schemas,
        device.make_sensor,
        port.network,
        port.ask_time_ms,
        log,
    )
    device.add_sensors()
    if config["status_led"] is not None:
        device.led = _make_led(device, config["status_led"])
    device.defaults = config["sample_interval_ms"], batch["records_max"], batch["age_ms"], config["trial_s"] * 1000
    device.context = Context(device.outputs, device.ring, device.agent, device.about, device.open_settings)
    device.commands = Commands(
        Vocabulary(pins, _user_words(log) if roots is None else roots.words + tuple(_user_words(log))),
        device.context,
        Journal(journal),
        device.agent.answer,
        device.clock.utc_ms,
        _policy(config["commands"], identity),
    )
    form = _body_form(batch["encoding"])
    dialect.event_properties = form.properties
    readings = form(device.ring, timelines[0], schemas)
    urgent = form(device.urgent, timelines[1], schemas)
    records_max = batch["records_max"]
    window = config["window"]
    size = window, records_max, batch["bytes_max"], batch["age_ms"]
    if batch["order"] == "oldest":
        device.readings_lane = Lane(device.ring, readings, *size)
    else:
        from fieldpost.uplink.ahead import LiveFirstLane

        device.readings_lane = LiveFirstLane(device.ring, readings, *size, batch["order"] == "newest")
    device.readings_lane.pace = Pace(batch["per_second"] or 0)
    lanes = (
        Lane(device.urgent, urgent, min(URGENT_WINDOW_BATCHES, window), records_max, BATCH_BYTES_MIN, 0),
        device.readings_lane,
    )
    device.outbox = Outbox(lanes, dialect)
    device.settings_store = port.settings_store()
    is_stored = device.settings_store.read() is not None
    if hub["twin"] or is_stored:
        device.keep_settings(is_stored)
    channels = _channels(device, hub)
    if hub["dialect"] == "plain":
        from fieldpost.hubs.plain import Presence

        channels.append(Presence(dialect.status_topic))
    if roots is not None:
        channels.append(roots)
    if hub["provisioning"] is None:
        session_class = Session
    else:
        from fieldpost.uplink.assigned import AssignedSession as session_class
    device.session = session_class(
        device.link, device.outbox, dialect, device.commands, Backoff(compat.random_below), channels
    )
    if roots is not None:
        roots.connect(device.session, device.link.trust)
    device.commands.done_callback = device.session.command_done
    device.agent.connect(device.session, device.commands)


def _make_dialect(hub, identity, utc_ms, port):
    """Return (dialect, host, port) of the first connection that the configuration's `hub` asks for.

    utc_ms: callable, Unix time in ms or None. port: of the machine, which keeps an assignment.
    """
    device_id, key = identity["device_id"], identity["key"]
    if hub["dialect"] == "plain":
        from fieldpost.hubs.plain import PlainDialect

        judged = utc_ms if hub["tls"] else None
        dialect = PlainDialect(hub["topics"], device_id, identity["username"], identity["password"], judged)
    elif hub["provisioning"] is not None:
        from fieldpost.hubs.azure_dps import AssignedDialect

        store = port.stored("assignment")
        dialect = AssignedDialect(hub["provisioning"], hub["port"], device_id, key, utc_ms, store)
        return (dialect,) + dialect.server
    else:
        from fieldpost.hubs.azure import AzureDialect

        dialect = AzureDialect(hub["host"], device_id, key, utc_ms)
    return dialect, hub["host"], hub["port"]


def _make_context(hub, identity, log, port):
    """Return (context, roots): the TLS context of the first connection, and what rolls its roots (roots.Roots).

    Either is None where the configuration says that there shall be none. Raises ConfigError if a certificate or the
    key is none.
    """
    if not hub["tls"]:
        log("warning: hub.tls is false: readings, commands and the password are for anybody to read")
        return None, None
    from fieldpost.links.tls import client_context

    certificate = identity["certificate"] and a2b_base64(identity["certificate"])
    private_key = identity["private_key"] and a2b_base64(identity["private_key"])
    try:
        if not hub["roll_roots"]:
            roots = [a2b_base64(root) for root in identity["ca_der"]]
            return client_context(roots, certificate, private_key), None
        from fieldpost.roots import Roots

        rolled = Roots(
            identity["ca_der"],
            port.stored("roots"),
            lambda roots: client_context(roots, certificate, private_key),
        )
        return rolled.context(), rolled
    except (ValueError, OSError) as error:
        raise ConfigError("identity.json: ca_der, certificate or private_key cannot be used: %s" % error) from None


def _channels(device, hub):
    """Return what speaks over the connection beside messages; each takes memory, and can be switched off."""
    channels = []
    if hub["methods"]:
        from fieldpost.hubs.azure_methods import Methods

        channels.append(Methods(device.commands, "%08x-%d" % (device.ring.ring_id, device.boot)))
    if hub["twin"]:
        from fieldpost.hubs.azure_twin import Twin

        channels.append(Twin(device.outputs, device.settings, device.make_twin))
    return channels


def _make_led(device, settings):
    from fieldpost.status_led import StatusLed, state_of

    led = StatusLed(device.port.output(settings["gpio"], int(settings["inverted"])), settings["inverted"])
    return lambda now_ms: led.step(state_of(device.port.network, device.session), now_ms)


def _user_words(log):
    try:
        return user_words()
    except Exception as error:  # the user's file may raise anything; a device without it is better than none
        log("user_commands.py cannot be used: %s: %s" % (type(error).__name__, error))
        return ()


def _body_form(encoding):
    """Return the class of bodies in that encoding; the others take no memory."""
    if encoding == "cbor":
        from fieldpost.records.cbor_body import CborBody

        return CborBody
    if encoding == "senml":
        from fieldpost.records.senml_body import SenmlBody

        return SenmlBody
    return JsonBody


def _open_pin(pin, port):
    """Return the pin object that a configured pin stands for; outputs begin at their safe level."""
    direction = pin["direction"]
    if direction == "output":
        return port.output(pin["gpio"], pin["safe"])
    return getattr(port, direction)(pin["gpio"])


def _policy(settings, identity):
    """Return the Policy that the configuration asks for, or None: most devices need none, and it takes memory."""
    if not [value for value in settings.values() if value is not None]:
        return None
    from fieldpost.commands.policy import Policy

    key = identity["command_key"]
    return Policy(settings, key and a2b_base64(key), identity["device_id"])
