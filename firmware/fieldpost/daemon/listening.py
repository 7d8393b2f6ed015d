"""Which endpoints the configuration asks for, and what each of them answers."""

import json
import os

from fieldpost.daemon import status
from fieldpost.daemon.endpoint import Endpoint, port_listener, unix_listener

SOCKET_NAME = "agent.sock"


def endpoints(device, service, environment, complain):
    """Return the Endpoints of `device`. service: the configuration's `service`.

    One that cannot be had is complained of (callable, one line): readings do not depend on it.
    """

    def state():
        return "application/json", json.dumps(status.state(device)) + "\n"

    def metrics():
        return "text/plain; version=0.0.4", status.metrics(status.state(device))

    found = []
    path = service["socket"] or _default_path(environment)
    if path:
        routes = {"/status": state}
        if service["metrics"] == "socket":
            routes["/metrics"] = metrics
        _add(found, lambda: unix_listener(path), routes, path, complain)
    if service["metrics"] == "port":
        port = service["metrics_port"]
        _add(found, lambda: port_listener(port), {"/metrics": metrics}, "port %d" % port, complain)
    return found


def _default_path(environment):
    folder = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return os.path.join(folder, SOCKET_NAME) if folder else None


def _add(found, listen, routes, name, complain):
    try:
        found.append(Endpoint(listen(), routes))
    except OSError as error:
        complain("%s cannot be listened on (%s): no %s there" % (name, error.strerror, " and ".join(sorted(routes))))
