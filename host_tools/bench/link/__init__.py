"""Draining a backlog to the hub over TLS, beside umqtt.simple on MicroPython and azure-iot-device on CPython."""
