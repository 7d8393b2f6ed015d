"""MQTT bytes in and out, over TLS, never waiting past a deadline."""
