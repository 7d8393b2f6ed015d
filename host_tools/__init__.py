"""fieldpost's host side: sets boards up, stands in for the cloud and for hardware, and audits what arrived."""
