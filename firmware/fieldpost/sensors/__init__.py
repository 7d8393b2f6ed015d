"""One file per sensor; integers scaled to the sensor's resolution come out."""
