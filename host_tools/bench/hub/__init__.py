"""The local hub beside Mosquitto: the same clients, the same transport, in one run."""
