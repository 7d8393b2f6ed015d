"""What the words can reach: pins, readings, the queue, and the agent itself."""


class Context:
    """outputs: see that module. ring: the one of the readings; its pending, lost, damaged and next_number are counts.

    agent: last_reading and reading_schema. about(): pairs that describe the device as it is now.
    settings(): the settings, see that module.
    reboot_ms: the uptime at which a restart that was asked for is due, or None.
    """

    def __init__(self, outputs, ring, agent, about, settings=None):
        self.outputs = outputs
        self.ring = ring
        self.agent = agent
        self.about = about
        self.settings = settings
        self.reboot_ms = None
