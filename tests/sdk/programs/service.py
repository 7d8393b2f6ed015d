"""A back end as Microsoft's samples write it: each line of input is an expression with the SDK's clients in reach."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from urllib.parse import quote_plus

import uamqp
from azure.core.credentials import AccessToken
from azure.iot.hub import IoTHubHttpRuntimeManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties  # noqa: F401 what is evaluated uses them

manager = IoTHubRegistryManager.from_connection_string(os.environ["SERVICE_CONNECTION_STRING"])
runtime = IoTHubHttpRuntimeManager.from_connection_string(os.environ["SERVICE_CONNECTION_STRING"])


def feedback():
    """Receive what became of commands over AMQP, as Microsoft's other service SDKs do: this one has no call for it."""
    fields = dict(part.split("=", 1) for part in os.environ["SERVICE_CONNECTION_STRING"].split(";"))
    host = fields["HostName"].partition(":")[0]

    def get_token():
        expiry, scope = int(time.time() + 3600), quote_plus(host)
        key = base64.b64decode(fields["SharedAccessKey"])
        signature = base64.b64encode(hmac.digest(key, f"{scope}\n{expiry}".encode(), hashlib.sha256))
        policy = fields["SharedAccessKeyName"]
        token = f"SharedAccessSignature sr={scope}&sig={quote_plus(signature)}&se={expiry}&skn={policy}"
        return AccessToken(token, expiry)

    kind = b"servicebus.windows.net:sastoken"
    auth = uamqp.authentication.JWTTokenAuth(f"https://{host}", f"https://{host}", get_token, token_type=kind)
    auth.update_token()
    client = uamqp.ReceiveClient(f"amqps://{host}/messages/serviceBound/feedback", auth=auth, prefetch=10)
    try:
        records = []
        for message in client.receive_message_batch(timeout=10_000):
            records += json.loads(b"".join(message.get_data()))
            message.accept()
        return records
    finally:
        client.close()


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
