"""A back end as Microsoft's samples write it: each line of input is an expression with the SDK's clients in reach."""

import json
import os
import sys

from azure.iot.hub import IoTHubHttpRuntimeManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties  # noqa: F401 what is evaluated uses them

manager = IoTHubRegistryManager.from_connection_string(os.environ["SERVICE_CONNECTION_STRING"])
runtime = IoTHubHttpRuntimeManager.from_connection_string(os.environ["SERVICE_CONNECTION_STRING"])


def plain(value):
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if hasattr(value, "items") and not isinstance(value, dict):
        return plain(value.items)
    return value


print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    try:
        answer = ["ok", plain(eval(line))]
    except Exception as error:
        answer = ["error", type(error).__name__, str(error)]
    print(json.dumps(answer, default=str), flush=True)
