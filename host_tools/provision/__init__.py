"""Gives devices their identities, and keeps an inventory of them."""
