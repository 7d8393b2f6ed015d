"""The store: grouped commits that fail loudly, and files that are not ours."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading

import pytest

from host_tools.errors import UserError
from host_tools.hub import Hub, read_messages
from host_tools.hub.store import database, event_packet, events
from host_tools.hub.store import log as log_module
from host_tools.hub.store import writer as writer_module
from host_tools.hub.store.writer import Writer

GOOD = (1, "dev1", 1, event_packet.encode("dev1", {}, {}, b"x"))


async def settled(writer):
    await writer.close()


def test_a_group_that_fails_is_told_to_everyone_in_it_and_the_next_is_written(run, tmp_path):
    async def scenario():
        said = []
        broken = asyncio.Event()
        writer = Writer(
            database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: said.append("all")
        )
        writer.submit("INSERT INTO nothing VALUES (?)", (1,), None, lambda error: (said.append("one"), broken.set()))
        await broken.wait()
        writer.submit(events.INSERT, GOOD, said.append)
        await settled(writer)
        assert said == ["one", "all", 1]

    run(scenario())


def test_nothing_of_a_failed_group_is_stored(run, tmp_path):
    async def scenario():
        done, failed = [], []
        blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), failed.append)
        blocker.execute("BEGIN IMMEDIATE")
        writer.submit(events.INSERT, GOOD, done.append)  # waits for the lock, while the rest gathers
        await asyncio.sleep(0.1)
        writer.submit(events.INSERT, GOOD, done.append)
        writer.submit("INSERT INTO nothing VALUES (?)", (1,))
        blocker.execute("ROLLBACK")
        blocker.close()
        await settled(writer)
        assert done == [1] and len(failed) == 1

    run(scenario())
    assert [message.sequence for message in read_messages(tmp_path)] == [1]


def test_another_process_that_opens_and_closes_the_store_takes_nothing_from_a_hub(run, tmp_path):
    # A second `fieldpost hub run` does so before it is refused.
    visitor = "import sys, sqlite3; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM devices'); c.close()"

    async def scenario():
        with contextlib.closing(database.open_for_writing(tmp_path)):
            writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
            subprocess.run([sys.executable, "-c", visitor, tmp_path / database.FILE_NAME], check=True)
            done = asyncio.Event()
            writer.submit(events.INSERT, GOOD, lambda sequence: done.set())
            await done.wait()
            assert [message.sequence for message in read_messages(tmp_path)] == [1]
            await settled(writer)

    run(scenario())


def test_a_callback_that_breaks_does_not_cost_the_others_theirs(run, tmp_path, caplog):
    async def scenario():
        done = []
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)

        def breaks(sequence):
            raise ValueError("a listener's mistake")

        for callback in (done.append, breaks, done.append):
            writer.submit(events.INSERT, GOOD, callback)
        await settled(writer)
        assert done == [1, 3]

    run(scenario())
    assert "a listener's mistake" in caplog.text


def test_rows_that_are_written_together_keep_their_order_and_their_numbers(run, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "_ROWS_PER_STATEMENT_MAX", 8)
    monkeypatch.setattr(writer_module, "_ROWS_EXACTLY_MAX", 3)

    async def scenario():
        numbers = {}
        blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        blocker.execute("BEGIN IMMEDIATE")
        for index in range(30):
            body = b"%d" % index
            packet = event_packet.encode("dev1", {}, {}, body)
            writer.submit(events.INSERT, (*GOOD[:-1], packet), lambda number, body=body: numbers.update({body: number}))
            if index == 20:
                writer.submit("UPDATE events SET enqueued_ms = 1 WHERE sequence = 3", ())
        blocker.execute("ROLLBACK")
        blocker.close()
        await settled(writer)
        return numbers

    numbers = run(scenario())
    assert {message.body: message.sequence for message in read_messages(tmp_path)} == numbers
    assert list(numbers) == [b"%d" % index for index in range(30)] and list(numbers.values()) == list(range(1, 31))


def test_messages_are_read_page_by_page_while_more_come(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "_PAGE_ROWS", 2)
    store = database.open_for_writing(tmp_path)
    for number in range(1, 6):
        store.execute(events.INSERT.of_rows(1), (number, *GOOD))
    reading = read_messages(tmp_path)
    found = [next(reading).sequence for _ in range(3)]
    store.execute(events.INSERT.of_rows(1), (6, *GOOD))
    assert found + [message.sequence for message in reading] == [1, 2, 3, 4, 5, 6]
    assert [message.sequence for message in read_messages(tmp_path, after=4)] == [5, 6]
    assert list(read_messages(tmp_path, device_id="dev2")) == []
    store.close()


def test_a_store_that_is_not_one_is_left_alone(tmp_path):
    path = tmp_path / "hub.sqlite3"
    path.write_bytes(b"something else entirely " * 50)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"hub\.sqlite3"):
        Hub(tmp_path)
    with pytest.raises(UserError, match="no readable hub store"):
        list(read_messages(tmp_path))
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    store = database.open_for_writing(tmp_path)
    store.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    store.close()
    with pytest.raises(UserError, match="newer fieldpost"):
        database.open_for_writing(tmp_path)


def test_a_folder_without_a_store_is_said_plainly(tmp_path):
    with pytest.raises(UserError, match="start the hub there first"):
        next(read_messages(tmp_path))


def test_messages_of_an_older_version_are_kept(tmp_path):
    """Version 2 had a row for each message, with its properties as JSON."""
    path = tmp_path / "hub.sqlite3"
    older = sqlite3.connect(path, isolation_level=None)
    older.executescript(
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, device_id TEXT NOT NULL,"
        " enqueued_ms INTEGER NOT NULL, system TEXT NOT NULL, properties TEXT NOT NULL, duplicate INTEGER NOT NULL,"
        " body BLOB NOT NULL) STRICT; PRAGMA user_version = 2;"
    )
    for number in (1, 2, 5):
        values = (
            "d1",
            7,
            '{"message-id": "m", "content-type": "a/b"}',
            '{"x": "1 ü", "none": null}',
            1,
            b"b%d" % number,
        )
        older.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *values))
    older.close()
    database.open_for_writing(tmp_path).close()
    found = list(read_messages(tmp_path))
    assert [(one.sequence, one.body) for one in found] == [(1, b"b1"), (2, b"b2"), (5, b"b5")]
    assert found[0].system == {"message-id": "m", "content-type": "a/b"} and found[0].message_id == "m"
    assert found[0].properties == {"x": "1 ü", "none": None} and found[0].duplicate and found[0].enqueued_unix_ms == 7


def test_rows_of_several_messages_are_numbered_through_and_read_from_anywhere(run, tmp_path):
    async def scenario():
        numbers = []
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        for time_ms, count in ((10, 3), (20, 1), (30, 2)):
            packets = b"".join(event_packet.encode("dev1", {}, {}, b"x") for _ in range(count))
            writer.submit(events.INSERT, (count, "dev1", time_ms, packets), numbers.append)
        await settled(writer)
        assert numbers == [1, 4, 5]

    run(scenario())
    for after in range(7):
        assert [one.sequence for one in read_messages(tmp_path, after=after)] == list(range(after + 1, 7))
    with contextlib.closing(database.open_for_reading(tmp_path)) as connection:
        assert events.last_sequence(connection) == 6
        assert [events.last_sequence_until(connection, ms) for ms in (5, 10, 25, 30)] == [0, 3, 4, 6]


def test_while_the_disk_is_slow_a_thread_writes_and_order_stays(run, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "_SLOW_S", -1.0)

    async def scenario():
        numbers = []
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        for index in range(60):
            packet = event_packet.encode("dev1", {}, {}, b"%d" % index)
            writer.submit(events.INSERT, (*GOOD[:-1], packet), numbers.append)
            if index % 7 == 0:
                await asyncio.sleep(0.001)
        await settled(writer)
        assert numbers == list(range(1, 61))

    run(scenario())
    assert [message.body for message in read_messages(tmp_path)] == [b"%d" % index for index in range(60)]


def test_the_log_is_moved_into_the_file_before_it_grows_long(run, tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_BYTES_MAX", 100_000)
    monkeypatch.setattr(log_module, "_REST_BYTES_MAX", 30_000)

    async def scenario():
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        for _ in range(100):
            await committed(writer, b"x" * 20_000)
        assert (tmp_path / "hub.sqlite3").stat().st_size > 50 * 20_000
        assert (tmp_path / "hub.sqlite3-wal").stat().st_size < 800_000
        await settled(writer)

    run(scenario())


def test_commits_go_on_while_the_log_is_moved_until_there_is_too_much_of_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_BYTES_MAX", 100_000)
    may_move, moves, move = threading.Event(), [], log_module._move

    def slow_move(connection):
        moves.append(threading.current_thread().name)
        assert may_move.wait(60)
        move(connection)

    monkeypatch.setattr(log_module, "_move", slow_move)

    async def scenario():
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        for _ in range(10):  # the fifth one starts the move
            await committed(writer, b"x" * 20_000)
        waiting = asyncio.create_task(committed(writer, b"the last"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        may_move.set()
        assert await waiting == 11
        await settled(writer)
        assert moves[0].startswith("hub-log") and any(name.startswith("hub-writer") for name in moves)

    run(scenario())
    assert [message.sequence for message in read_messages(tmp_path)] == list(range(1, 12))


def test_a_log_that_cannot_be_moved_is_told_and_costs_no_message(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(log_module, "_BYTES_MAX", 50_000)

    def full_disk(connection):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(log_module, "_move", full_disk)

    async def scenario():
        writer = Writer(database.open_for_writing(tmp_path), asyncio.get_running_loop(), lambda error: None)
        for _ in range(20):
            await committed(writer, b"x" * 20_000)
        await settled(writer)

    run(scenario())
    assert "could not be moved into its file: database or disk is full" in caplog.text
    assert len(list(read_messages(tmp_path))) == 20


async def committed(writer, body):
    done = asyncio.get_running_loop().create_future()
    writer.submit(events.INSERT, (*GOOD[:-1], event_packet.encode("dev1", {}, {}, body)), done.set_result)
    return await done
