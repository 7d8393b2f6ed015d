"""A back end that reads device-to-cloud messages: each line of input is an expression with these functions in reach."""

import json
import os
import sys
import threading
from datetime import datetime  # noqa: F401 what is evaluated uses it

from azure.eventhub import CheckpointStore, EventHubConsumerClient


class Checkpoints(CheckpointStore):
    """Kept in this process: what a back end otherwise has in a storage account."""

    def __init__(self):
        self._checkpoints = {}
        self._ownerships = {}

    def list_ownership(self, fully_qualified_namespace, eventhub_name, consumer_group, **_):
        return list(self._ownerships.values())

    def claim_ownership(self, ownership_list, **_):
        for ownership in ownership_list:
            self._ownerships[ownership["partition_id"]] = dict(ownership, etag="e", last_modified_time=0)
        return [self._ownerships[ownership["partition_id"]] for ownership in ownership_list]

    def update_checkpoint(self, checkpoint, **_):
        self._checkpoints[checkpoint["partition_id"]] = checkpoint

    def list_checkpoints(self, fully_qualified_namespace, eventhub_name, consumer_group, **_):
        return list(self._checkpoints.values())


checkpoints = Checkpoints()


def client(**keys):
    return EventHubConsumerClient.from_connection_string(
        os.environ["EVENTS_CONNECTION_STRING"],
        consumer_group=keys.pop("consumer_group", "$Default"),
        connection_verify=os.environ["SSL_CERT_FILE"],
        retry_total=0,
        load_balancing_interval=1,
        load_balancing_strategy="greedy",
        **keys,
    )


def texts(found):
    """The SDK leaves texts as bytes."""
    return {key.decode(): value.decode() if isinstance(value, bytes) else value for key, value in found.items()}


def plain(event, partition):
    return {
        "partition": partition,
        "sequence": event.sequence_number,
        "offset": event.offset,
        "enqueued": event.enqueued_time.timestamp(),
        "body": event.body_as_str(),
        "properties": texts(event.properties),
        "system": texts(event.system_properties),
        "content_type": event.content_type,
        "message_id": event.message_id,
        "correlation_id": event.correlation_id,
    }


class Reading:
    """Reads in the background until it has enough."""

    def __init__(self, count, saves=False, store=None, starting_position="-1", **keys):
        self.found, self.errors = [], []
        self._count, self._saves = count, saves
        self._done = threading.Event()
        self._client = client(checkpoint_store=store) if store else client()
        keys = {"starting_position": starting_position, "on_error": self._error, **keys}
        # One by one would be slow: for each round over the partitions this SDK waits at every one that has nothing.
        receive = self._client.receive_batch
        self._thread = threading.Thread(target=lambda: receive(self._take, **keys), daemon=True)
        self._thread.start()

    def _take(self, context, batch):
        for event in batch[: self._count - len(self.found)]:
            self.found.append(plain(event, context.partition_id))
            self.last = context.last_enqueued_event_properties
        if self._saves:
            context.update_checkpoint()
        if len(self.found) >= self._count:
            self._done.set()

    def _error(self, _, error):
        self.errors.append(f"{type(error).__name__}: {error}")
        self._done.set()

    def wait(self):
        self._done.wait(120)
        self._client.close()
        self._thread.join(10)
        return {"found": self.found, "errors": self.errors}


def read(count, **keys):
    return Reading(count, **keys).wait()


def about(partition=None):
    with client() as asking:
        return asking.get_partition_properties(partition) if partition else asking.get_eventhub_properties()


readings = {}
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    try:
        answer = ["ok", eval(line)]
    except Exception as error:
        answer = ["error", type(error).__name__, str(error)]
    print(json.dumps(answer, default=str), flush=True)
