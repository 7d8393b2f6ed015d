"""MQTT 3.1.1 as a server speaks it."""
