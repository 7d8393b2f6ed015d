"""A device that is provisioned as Microsoft's samples do it, then sends one message to the hub it was assigned to."""

import json
import os

from azure.iot.device import X509, IoTHubDeviceClient, ProvisioningDeviceClient

host, scope, registration = os.environ["HOST"], os.environ["ID_SCOPE"], os.environ["REGISTRATION"]
web = {"websockets": "WEBSOCKETS" in os.environ}
if "CERTIFICATE" in os.environ:
    x509 = X509(os.environ["CERTIFICATE"], os.environ["KEY"])
    client = ProvisioningDeviceClient.create_from_x509_certificate(host, registration, scope, x509, **web)
else:
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        host, registration, scope, os.environ["SYMMETRIC_KEY"], **web
    )
client.provisioning_payload = {"model": "x"}
try:
    result = client.register()
except Exception as error:
    print(json.dumps(["error", type(error).__name__, str(error.__cause__ or error)]), flush=True)
    raise SystemExit(0) from None
state = result.registration_state
print(
    json.dumps(["registered", result.status, state.assigned_hub, state.device_id, state.sub_status])
    if state and state.assigned_hub
    else json.dumps(["registered", result.status, None, None, None]),
    flush=True,
)
if result.status == "assigned":
    if "CERTIFICATE" in os.environ:
        device = IoTHubDeviceClient.create_from_x509_certificate(x509, state.assigned_hub, state.device_id, **web)
    else:
        device = IoTHubDeviceClient.create_from_symmetric_key(
            os.environ["SYMMETRIC_KEY"], state.assigned_hub, state.device_id, **web
        )
    device.send_message("hello from " + state.device_id)
    twin = device.get_twin()
    print(json.dumps(["twin", twin["desired"]]), flush=True)
    device.shutdown()
