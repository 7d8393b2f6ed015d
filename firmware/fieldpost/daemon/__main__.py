"""`python -m fieldpost.daemon --config FILE`: what the unit's ExecStart= runs.

Exit 0 after SIGTERM or SIGINT, 78 (EX_CONFIG, sysexits.h) if the configuration is wrong and a restart would
change nothing, 1 if something failed that a restart may mend.
"""

import argparse
import errno
import os
import signal
import sys

from fieldpost.daemon import settings
from fieldpost.daemon.journal import ERROR, Journal
from fieldpost.daemon.notify import Notify
from fieldpost.daemon.service import Service
from fieldpost.errors import ConfigError, FieldpostError, RegionUnusable

# What an administrator can do about a disk that refuses the queue; readings that were stored are still on it.
_ADVICE = {
    errno.ENOSPC: "make room on the disk, or configure the service for fewer hours",
    errno.EROFS: "the kernel found an error on the disk; `dmesg` tells which, and fsck or another card helps",
    errno.EIO: "the disk does not answer; is the card in its slot, and is it well?",
    errno.EWOULDBLOCK: "another fieldpost service has the queue open; each needs a ring.path of its own",
    errno.EACCES: "the queue belongs to another user: sudo chown -R fieldpost: /var/lib/fieldpost",
}

EXIT_FAILED = 1
EXIT_CONFIG = 78


def main():
    """Run the service; return its exit code."""
    parser = argparse.ArgumentParser(prog="fieldpost-agent", description="The fieldpost agent as a service.")
    parser.add_argument("--config", default="/etc/fieldpost/config.json", help="default: %(default)s")
    parser.add_argument("--identity", help="default: identity.json in systemd's $CREDENTIALS_DIRECTORY")
    options = parser.parse_args()
    journal = Journal(os.environ)
    try:
        return _run(options, journal)
    except (ConfigError, RegionUnusable) as error:
        journal.write(ERROR, "not started: %s" % error, event="configuration")
        return EXIT_CONFIG
    except (FieldpostError, OSError) as error:
        advice = _ADVICE.get(getattr(error, "errno", None))
        journal.write(ERROR, "failed: %s%s" % (error, ": " + advice if advice else ""), event="failed")
        return EXIT_FAILED


def _run(options, journal):
    config, identity = settings.load(options.config, options.identity)
    # Blinka asks on a terminal whether to install what it misses; a service has nobody to answer.
    os.environ.setdefault("BLINKA_SKIP_DEPENDENCY_CHECK", "1")
    # user_commands.py lies beside the configuration (see fieldpost.commands.word); last, so that it hides nothing.
    sys.path.append(os.path.dirname(os.path.abspath(options.config)))
    # Late: a wrong configuration is told in no time, also where the drivers are missing.
    from fieldpost.daemon.device import ServiceDevice
    from fieldpost.daemon.listening import endpoints
    from fieldpost.ports.linux import Port

    port = Port(config, identity, journal.warn)
    notify = Notify(os.environ)
    device = ServiceDevice(config, identity, port, journal.warn)
    listening = endpoints(device, config["service"], os.environ, journal.warn)
    service = Service(device, port, notify, journal, listening)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    return 0


sys.exit(main())
