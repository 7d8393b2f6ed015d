"""The Device Provisioning Service, on the hub's own listener: told apart by the user name of CONNECT."""
