"""Bytes that survive: an append-only queue on NOR flash."""
