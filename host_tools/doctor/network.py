"""The way to the hub and to the time, from this machine: a board in the same network has the same one.

Source of the time protocol: RFC 5905, section 7.3 (a client needs only the first byte, and bytes 40 to 47).
"""

import datetime
import socket
import ssl
import struct
import time
from collections.abc import Sequence

from cryptography import x509

from host_tools.doctor.finding import Finding

_TIMEOUT_S = 10.0
_NTP_PORT = 123
_NTP_CLIENT = b"\x23" + bytes(47)
_NTP_EPOCH_S = 2_208_988_800
_CLOCK_OFF_S_MAX = 60.0
_RENEW_DAYS = 14
# MQTT 3.1.1 section 3.1: a clean session of a client without a name, which a broker accepts or refuses by CONNACK.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"
_CONNACK = 0x20


def hub(host: str, port: int, roots_der: bytes | None, has_tls: bool = True) -> list[Finding]:
    """Look up `host`, connect, and shake hands as a device does.

    roots_der: the roots that it trusts, one after another; None takes those of this machine. has_tls: False for a
    broker that is spoken to in the clear.
    """
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    except OSError as error:
        return [
            Finding("name", False, f"{host} cannot be found ({error.strerror}): is it spelled right, is DNS there?")
        ]
    found = [Finding("name", True, f"{host} is {address[0]}")]
    if not has_tls:
        return [*found, _in_the_clear(host, port)]
    context = ssl.create_default_context()
    if roots_der is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=roots_der)
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert(binary_form=True)
            version = secure.version()
    except ssl.SSLCertVerificationError as error:
        says = f"{host} shows a certificate that devices do not accept: {error.verify_message}"
        return [*found, Finding("hub", False, f"{says}. Check hub.root_certificate, the host name, and the clock")]
    except ssl.SSLError as error:
        return [*found, Finding("hub", False, f"{host} speaks no TLS on port {port}: {error.reason}")]
    except OSError as error:
        return [*found, _unreached(host, port, error)]
    assert certificate is not None
    return [*found, Finding("hub", True, f"{host}:{port} answers, {version}"), _expiry(host, certificate)]


def _in_the_clear(host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.sendall(_CONNECT)
            first = connection.recv(1)
    except ConnectionResetError:
        first = b""
    except OSError as error:
        return _unreached(host, port, error)
    if first == bytes([_CONNACK]):
        says = f"{host}:{port} answers; hub.tls is false: readings and passwords are for anybody to read"
        return Finding("hub", True, says)
    return Finding("hub", False, f"{host} speaks no MQTT in the clear on port {port}: does it want hub.tls = true?")


def _unreached(host: str, port: int, error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        says = f"{host}:{port} does not answer within {_TIMEOUT_S:g} s: a firewall may hold port {port} back"
        return Finding("hub", False, says)
    return Finding("hub", False, f"{host}:{port} cannot be reached: {error.strerror}")


def _expiry(host: str, certificate: bytes) -> Finding:
    ends = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    days = (ends - datetime.datetime.now(datetime.UTC)).days
    is_good = days >= _RENEW_DAYS
    return Finding(
        "certificate", is_good, f"{host}'s certificate is good for {days} days" + ("" if is_good else ": renew it")
    )


def clock(servers: Sequence[str], port: int = _NTP_PORT) -> list[Finding]:
    """Ask the time servers, as a board does: without the time, no certificate can be checked."""
    for server in servers:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(_TIMEOUT_S)
                asking.sendto(_NTP_CLIENT, (server, port))
                answer = asking.recv(512)
        except OSError:
            continue
        if len(answer) < 48:
            continue
        seconds, fraction = struct.unpack("!II", answer[40:48])
        off_s = time.time() - (seconds - _NTP_EPOCH_S + fraction / 2**32)
        if abs(off_s) <= _CLOCK_OFF_S_MAX:
            return [Finding("time", True, f"{server} tells the time, and this machine agrees to {abs(off_s):.1f} s")]
        says = f"this machine's clock is {abs(off_s):.0f} s {'ahead' if off_s > 0 else 'behind'} of {server}: set it"
        return [Finding("time", False, says)]
    says = f"no time server answers ({', '.join(servers)}): let UDP port {port} out, or name another in fieldpost.toml"
    return [Finding("time", False, says)]
