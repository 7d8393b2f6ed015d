"""What the cloud may ask for, and how it happens once."""
