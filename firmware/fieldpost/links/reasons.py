"""Why a connection failed, in words that an operator can act on; the same for every link."""

import errno

from fieldpost.compat import const

# CONNACK return codes, MQTT 3.1.1 section 3.2.2.3.
_REFUSALS = (
    "",
    "protocol version (1)",
    "client id (2)",
    "server unavailable (3)",
    "bad user name or password (4)",
    "not authorised (5)",
)
_UNAVAILABLE = const(3)
_TLS_EOF = const(-29312)  # MBEDTLS_ERR_SSL_CONN_EOF
_TLS_ERRORS = const(-4096)  # below are those of Mbed TLS, whose texts most firmware lacks (mbedtls/error.h)
_EPIPE = const(32)  # MicroPython's errno has no name for it
# What an operator can make of an error, by its name; ports know different ones.
_WORDS = (
    ("connection lost", ("ECONNRESET", "ECONNABORTED", "ENOTCONN")),
    ("nobody listens there", ("ECONNREFUSED",)),
    ("no route", ("EHOSTUNREACH", "ENETUNREACH", "ENETDOWN")),
    ("no answer", ("ETIMEDOUT",)),
    ("not enough memory", ("ENOMEM",)),
)


def of(cause):
    """Return (reason, whether haste will not help). cause: an exception, or a CONNACK's return code other than 0."""
    if isinstance(cause, int):
        return of_refusal(cause)
    if isinstance(cause, ValueError):
        return of_certificate(cause), True
    return of_error(cause), False


def of_refusal(code):
    """Return (reason, whether haste will not help) for a CONNACK's return code other than 0."""
    word = _REFUSALS[code] if code < len(_REFUSALS) else "code %d" % code
    return "refused: " + word, code != _UNAVAILABLE


def of_certificate(error):
    """Return the reason for an error of the verification: ValueError on both interpreters."""
    return "certificate not accepted: %s" % one_line(error)


def of_error(error):
    """Return what an OSError or ProtocolError means, in few words."""
    code = error.args[0] if error.args else None
    text = one_line(error)
    # The peer went without a goodbye: what Mbed TLS, the sockets and CPython's OpenSSL say.
    if code in (_TLS_EOF, _EPIPE, -_EPIPE) or "EOF occurred" in text:
        return _WORDS[0][0]
    for words, names in _WORDS:
        for name in names:
            number = getattr(errno, name, None)
            if number is not None and code in (number, -number):  # Mbed TLS hands on what the socket said, negative
                return words
    return "TLS failed (-0x%04x)" % -code if isinstance(code, int) and code < _TLS_ERRORS else text


def one_line(error):
    """Return an error's text without line breaks."""
    return str(error).replace("\n", " ").strip()
