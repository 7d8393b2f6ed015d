"""A command for the settings, on devices that keep some.

agent.config  settings...    LEVEL   those given are tried (see settings); the answer tells what holds now
"""

from fieldpost.commands.settings import fields
from fieldpost.commands.word import LEVEL, Word


def _config(context, arguments, now_ms):
    asked = {key: arguments[key] for key in arguments if arguments[key] is not None}
    if asked:
        context.settings.ask(asked, 0)
    status = context.settings.status()
    return tuple([(key, status[key]) for key in ("status", "sample_interval_ms", "batch_records", "batch_age_ms")])


SETTINGS_WORDS = (Word("agent.config", LEVEL, fields, _config),)
