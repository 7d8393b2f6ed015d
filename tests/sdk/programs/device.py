"""A device as Microsoft's samples write it: sends, listens, answers methods, keeps a twin. Prints what it sees."""

import json
import os
import sys
import threading

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse

commands = []


def say(what, value):
    # In one piece: the SDK calls back from threads of its own.
    sys.stdout.write(json.dumps([what, value]) + "\n")
    sys.stdout.flush()


if "CERTIFICATE" in os.environ:
    from azure.iot.device import X509

    client = IoTHubDeviceClient.create_from_x509_certificate(
        X509(os.environ["CERTIFICATE"], os.environ["KEY"]), os.environ["HOST"], os.environ["DEVICE"]
    )
else:
    client = IoTHubDeviceClient.create_from_connection_string(
        os.environ["CONNECTION_STRING"],
        websockets="WEBSOCKETS" in os.environ,
        connection_retry_interval=1,
        **({"sastoken_ttl": int(os.environ["TTL"])} if "TTL" in os.environ else {}),
    )


def on_message(message):
    properties = {key: value for key, value in message.custom_properties.items() if not key.startswith("iothub")}
    say("command", [message.data.decode(), message.message_id, message.correlation_id, properties])


def on_method(request):
    say("method", [request.name, request.payload])
    if request.name != "silence":
        client.send_method_response(MethodResponse.create_from_method_request(request, 207, {"echo": request.payload}))


# First, since setting the others connects.
client.on_connection_state_change = lambda: say("connected", client.connected)
client.on_message_received = on_message
client.on_method_request_received = on_method
client.on_twin_desired_properties_patch_received = lambda patch: say("desired", patch)
client.connect()


def send(number):
    message = Message(json.dumps({"n": number}))
    message.message_id = f"m-{number}"
    message.correlation_id = "c/1"
    message.content_type = "application/json"
    message.content_encoding = "utf-8"
    message.custom_properties["place"] = "Küche & Keller"
    message.custom_properties["n"] = str(number)
    client.send_message(message)


while True:
    line = input()
    verb, _, rest = line.partition(" ")
    if verb == "send":
        for number in range(int(rest)):
            send(number)
        say("sent", int(rest))
    elif verb == "twin":
        say("twin", client.get_twin())
    elif verb == "report":
        client.patch_twin_reported_properties(json.loads(rest))
        say("reported", None)
    elif verb == "end":
        client.shutdown()
        say("ended", threading.active_count() > 0)
        break
