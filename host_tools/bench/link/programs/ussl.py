"""What umqtt.simple 1.3.4 imports by a name that MicroPython gave up: TLS, here with verification, over `tls`.

TCP_NODELAY, since that client writes a packet in pieces: with Nagle's algorithm each message would wait 40 ms more.
"""

import tls

_IPPROTO_TCP = 6
_TCP_NODELAY = 1


def wrap_socket(sock, ca_der, server_hostname):
    """Return a TLS stream over a connected socket."""
    sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    context.load_verify_locations(ca_der)
    return context.wrap_socket(sock, server_hostname=server_hostname)
