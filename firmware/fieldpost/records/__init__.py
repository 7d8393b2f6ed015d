"""What the bytes in the ring mean."""
