"""The network of the bench: what an outage and a power cut look like from both ends."""

import asyncio

import pytest
import uvloop

from .emulator_bench import run, running_board

# Joins, connects, and sends a line whenever the last one was answered.
TALK = """
import network, socket, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect('any', 'password')
while not wlan.isconnected():
    time.sleep_ms(20)
s = socket.socket()
s.connect(socket.getaddrinfo('hub.example', 8883)[0][-1])
print('connected')
count = 0
while True:
    count += 1
    s.write(b'%d\\n' % count)
    line = s.readline()
    if not line:
        break
    print('answered', line.decode().strip())
    time.sleep_ms(5)
print('closed')
"""


class Hub:
    """A server that answers each line with itself, and knows how its connections ended."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.connections = 0
        self.ended = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                self.lines.append(line)
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended += 1


async def some_turns() -> None:
    """Let everything happen that is ready to happen, several times over."""
    for _ in range(30):
        await asyncio.sleep(0.01)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def with_hub(request):
    """Runs a scenario on both event loops: they differ in when they begin to read."""

    def run_it(tmp_path, micropython, scenario):
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(_scenario(tmp_path, micropython, scenario))

    return run_it


async def _scenario(tmp_path, micropython, scenario):
    hub = Hub()
    upstream = await hub.start()
    async with running_board(tmp_path, micropython, {"main.py": TALK}, upstream=upstream) as board:
        await scenario(hub, board)
    await hub.stop()


def test_every_name_leads_to_the_hub(tmp_path, micropython, with_hub):
    async def talk(hub, board):
        await board.wait_line("answered 3")
        assert hub.lines[:3] == [b"1\n", b"2\n", b"3\n"]
        assert board.link.connections == 1

    with_hub(tmp_path, micropython, talk)


def test_an_outage_holds_everything_back_and_loses_nothing(tmp_path, micropython, with_hub):
    async def hold(hub, board):
        await board.wait_line("answered 3")
        changes = []
        board.link.on_change(changes.append)
        board.link.down()
        await some_turns()
        held = len(hub.lines)
        await some_turns()
        assert len(hub.lines) == held, "something got through"
        assert hub.ended == 0
        board.link.up()
        await board.wait_line(f"answered {held + 3}")
        assert hub.lines == [b"%d\n" % number for number in range(1, len(hub.lines) + 1)]
        assert hub.connections == 1
        assert changes == [False, True]

    with_hub(tmp_path, micropython, hold)


def test_a_connection_made_in_an_outage_hangs_until_it_is_over(tmp_path, micropython, with_hub):
    async def hang(hub, board):
        await board.wait_line("answered 1")
        board.link.down()
        connections = hub.connections
        board.press_reset()
        await board.wait_line("connected")
        await some_turns()
        assert hub.connections == connections
        board.link.up()
        await board.wait_line("answered 1")
        assert hub.connections == connections + 1

    with_hub(tmp_path, micropython, hang)


def test_a_connection_given_up_in_an_outage_never_reaches_the_hub(tmp_path, micropython, with_hub):
    give_up = """
import socket
s = socket.socket()
s.connect(socket.getaddrinfo('hub.example', 8883)[0][-1])
s.write(b'hello\\n')
s.close()
print('gave up')
"""

    async def scenario(hub, board):
        await board.wait_line("answered 1")
        board.link.down()
        assert (await run(board, give_up))[-1] == "gave up"
        board.press_reset()
        await board.wait_line("connected")
        board.link.up()
        await board.wait_line("answered 1")
        await some_turns()
        assert b"hello\n" not in hub.lines
        assert hub.connections == 2

    with_hub(tmp_path, micropython, scenario)


def test_a_board_without_power_says_no_goodbye(tmp_path, micropython, with_hub):
    async def cut(hub, board):
        await board.wait_line("answered 3")
        await board.power_off()
        await some_turns()
        assert (hub.connections, hub.ended) == (1, 0), "the hub was told of a power cut"
        await board.power_on()
        await board.wait_line("answered 1")
        assert hub.connections == 2

    with_hub(tmp_path, micropython, cut)


def test_a_hub_that_closes_is_noticed(tmp_path, micropython, with_hub):
    async def close(hub, board):
        await board.wait_line("answered 3")
        hub.writers[0].close()
        await board.wait_line("closed")

    with_hub(tmp_path, micropython, close)


def test_a_hub_that_is_not_there_refuses(tmp_path, micropython):
    async def refuse() -> None:
        async with running_board(tmp_path, micropython, {"main.py": TALK}) as board:
            await board.wait_line("Error")

    asyncio.run(refuse())
