"""A network of datagrams for what asks servers by UDP, and its clock."""

from fieldpost.links import dns


class FakeSocket:
    """The module and its one socket. answers: datagrams, each made of the question by a function."""

    AF_INET, SOCK_DGRAM, SOCK_STREAM = 2, 2, 1

    def __init__(self):
        self.sent = []
        self.answers = []
        self.is_closed = False
        self.has_route = True

    def getaddrinfo(self, host, port, family=0, kind=0):
        return [(2, kind, 0, "", (host, port))]

    def socket(self, family, kind):
        assert kind == self.SOCK_DGRAM
        return self

    def setblocking(self, flag):
        assert not flag

    def sendto(self, data, address):
        if not self.has_route:
            raise OSError(113)
        self.sent.append((bytes(data), address))

    def recv(self, size):
        if not self.answers:
            raise OSError(11)
        return self.answers.pop(0)(self.sent[-1][0])

    def close(self):
        self.is_closed = True


class World:
    """While it is entered, dns and `modules` see its socket and its clock."""

    def __init__(self, *modules):
        self._modules = [dns]
        self._modules.extend(modules)

    def __enter__(self):
        self._real = [(module.socket, module.ticks_ms) for module in self._modules]
        self.socket = FakeSocket()
        self.now_ms = 0
        for module in self._modules:
            module.socket = self.socket
            module.ticks_ms = lambda: self.now_ms
        return self

    def __exit__(self, *error):
        for module, (real_socket, real_ticks_ms) in zip(self._modules, self._real):
            module.socket, module.ticks_ms = real_socket, real_ticks_ms
        return False
