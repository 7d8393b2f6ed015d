"""What a user decides about a fleet: fieldpost.toml, and the secrets that lie apart from it."""

from host_tools.config.secrets import Secrets, read_secrets, write_secrets
from host_tools.config.settings import Settings, read_settings
from host_tools.config.template import settings_text

__all__ = ["Secrets", "Settings", "read_secrets", "read_settings", "settings_text", "write_secrets"]
