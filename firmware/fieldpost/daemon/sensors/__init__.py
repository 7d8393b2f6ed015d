"""Sensors of a Linux machine, one file each; an administrator's own file is one of them.

A file offers `make(port, settings)`, which returns an object with

    schema      what its numbers are (see fieldpost.records.reading_schema), such as "level,u2,-2,m"
    read()      one integer for each of them; SensorError if there is none now
    poll()      optional: called ten times a second, for what must be counted between readings

`settings` is the sensor's entry in config.json, with `driver` and everything else that stands there. Both `make`
and `read` raise SensorError for what may pass, with a sentence that says what to do.
"""
