"""What a hub wants to hear: topics, properties, credentials."""
