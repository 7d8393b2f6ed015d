"""One archive from the package index that pip is configured for, without installing it.

For archives that pip itself refuses to download because it cannot build them. pip's own finder and session do
the work, so indexes, proxies, certificates and credentials are those of `pip config` and the environment. pip
offers this to its commands only, not as a public interface; requirements.txt therefore pins pip as well.
"""

import hashlib
import logging

from pip._internal.commands import create_command
from pip._internal.exceptions import PipError
from pip._internal.network.session import PipSession
from pip._vendor.requests.exceptions import RequestException

from host_tools.errors import UserError


def download(name: str, version: str, sha256: str) -> bytes:
    """Return the bytes of the source archive of `name` whose SHA-256 is `sha256` (hexadecimal).

    UserError if the index cannot be reached, does not have it, or serves something else.
    """
    # An index that lacks the package is worth a warning to pip; here the outcome is what counts.
    logging.getLogger("pip").setLevel(logging.ERROR)
    command = create_command("download")
    options, _ = command.parse_args(["--no-binary", ":all:", name])
    try:
        with command.main_context():
            session = command.get_default_session(options)  # type: ignore[attr-defined]
            finder = command._build_package_finder(options, session)  # type: ignore[attr-defined]
            candidates = finder.find_all_candidates(name)
            links = [found.link for found in candidates if str(found.version) == version]
            if not links:
                raise UserError(f"the package index does not offer {name} {version}: check the network and pip config")
            content = _fetch(session, links[0].url_without_fragment)
    except (PipError, RequestException, OSError) as error:
        raise UserError(f"cannot download {name} {version}: {error}. Check the network and pip config") from error
    found_sha256 = hashlib.sha256(content).hexdigest()
    if found_sha256 != sha256:
        raise UserError(
            f"{links[0].filename} is not the file that fieldpost was tested with (SHA-256 {found_sha256}, "
            f"expected {sha256}): nothing was kept; check which package index pip uses"
        )
    return content


def _fetch(session: PipSession, url: str) -> bytes:
    response = session.get(url)
    response.raise_for_status()
    return bytes(response.content)
