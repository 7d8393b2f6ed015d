"""AMQP 1.0 as a server speaks it to back ends: claims, commands, feedback and the built-in events endpoint."""
