"""The service side: what back ends use of IoT Hub."""
