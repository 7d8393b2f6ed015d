"""What one would write without fieldpost: azure-iot-device, a queue on disk, the same sensor through the same Blinka.

    rival.py CONNECTION_FILE QUEUE_FOLDER INTERVAL_S

One thread samples into the queue, the other sends and acknowledges; a reading leaves the queue when the hub has it.
"""

import json
import sys
import threading
import time


def main() -> None:
    """Run for ever."""
    # Here, since the project's own environment has no azure-iot-device.
    import board
    import persistqueue
    from adafruit_bme280.basic import Adafruit_BME280_I2C
    from azure.iot.device import IoTHubDeviceClient, Message

    connection_file, queue_folder, interval_s = sys.argv[1:]
    queue = persistqueue.SQLiteAckQueue(queue_folder, auto_commit=True, multithreading=True)
    sensor = Adafruit_BME280_I2C(board.I2C(), 0x77)

    def sample() -> None:
        due = time.monotonic()
        number = 0
        while True:
            number += 1
            queue.put(
                {
                    "n": number,
                    "t": time.time(),
                    "temperature": round(sensor.temperature, 2),
                    "pressure": round(sensor.pressure, 2),
                    "humidity": round(sensor.humidity, 2),
                }
            )
            due += float(interval_s)
            time.sleep(max(0, due - time.monotonic()))

    with open(connection_file) as file:
        client = IoTHubDeviceClient.create_from_connection_string(file.read())
    threading.Thread(target=sample, daemon=True).start()
    client.connect()
    while True:
        item = queue.get()
        client.send_message(Message(json.dumps(item), content_encoding="utf-8", content_type="application/json"))
        queue.ack(item)


if __name__ == "__main__":
    main()
