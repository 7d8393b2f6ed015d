"""Where the API for people says how to reach it: a JSON object with url and token, in the hub's folder."""

from typing import Final

FILE_NAME: Final = "api.json"
