"""The part of `fieldpost flash` that puts several boards to work at once, and reports on all of them."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from host_tools import boards
from host_tools.cli import real_board, show
from host_tools.cli.provision import inventory
from host_tools.config import Settings
from host_tools.errors import UserError
from host_tools.flash import onto_board
from host_tools.flash.progress import Progress
from host_tools.provision import names
from host_tools.provision.names import Row
from host_tools.toolchain import firmware


@dataclass(frozen=True)
class Result:
    """What came of one board."""

    device: str
    board: str
    is_good: bool
    outcome: str
    seconds: float


def flash(
    csv: Path, board: str | None, what: real_board.What, setting: real_board.Setting, jobs: int, as_json: bool
) -> None:
    """Flash every row of a CSV file, `jobs` at a time; a board that fails stops no other. Exit 1 if one failed."""
    rows = names.read_csv(csv)
    settings = setting.read()
    for row in rows:
        if row.board is None and board is None:
            raise UserError(f"{csv}: {row.device} has no board: give a column `board`, or one BOARD for all of them")
        try:
            boards.load(row.board or str(board))
        except UserError as error:
            raise UserError(f"{csv}: {row.device}: {error}") from None
    lines = show.lines([row.device for row in rows])
    try:
        with tempfile.TemporaryDirectory(prefix="fieldpost-") as work, _pool(jobs) as pool:
            tree = None
            if not what.dry_run:
                tree = firmware.build(Path(work) / "tree", lambda line: None, user_commands=what.user_commands)

            def flash_one(row: Row) -> Result:
                result = _flash_one(row, row.board or str(board), what, settings, tree, lines.of(row.device))
                lines.end(row.device, result.outcome if result.is_good else f"failed: {result.outcome}")
                return result

            running = [pool.submit(flash_one, row) for row in rows]
            results = [one.result() for one in running]
    finally:
        lines.close()
    done = "could be flashed" if what.dry_run else "deliver" if what.wait else "are flashed"
    _report(results, done, as_json)
    if not all(result.is_good for result in results):
        raise typer.Exit(1)


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads; what ends their work early (Ctrl-C) waits for the boards under way, and begins no other."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _flash_one(
    row: Row, board: str, what: real_board.What, settings: Settings, tree: Path | None, progress: Progress
) -> Result:
    started_s = time.monotonic()

    def result(is_good: bool, outcome: str) -> Result:
        return Result(row.device, board, is_good, outcome, round(time.monotonic() - started_s, 1))

    try:
        given = replace(what, firmware=row.firmware or what.firmware)
        where, who = real_board.Where(row.port, row.drive), real_board.Who(row.device)
        job = replace(real_board.make_job(board, where, who, given, settings), tree=tree)
        found = onto_board.look(job, progress)
        if what.dry_run:
            return result(True, "; ".join(found.plan))
        outcome = onto_board.flash(job, found, progress)
        inventory().flashed(row.device, board, outcome)
    except UserError as error:
        return result(False, str(error))
    except Exception as error:  # a fault of ours in one board must not take the others down
        return result(False, f"{type(error).__name__}: {error}")
    return result(True, outcome)


def _report(results: Sequence[Result], done: str, as_json: bool) -> None:
    good = sum(result.is_good for result in results)
    if as_json:
        counts = {"flashed": good, "failed": len(results) - good}
        print(json.dumps({**counts, "devices": [asdict(result) for result in results]}, ensure_ascii=False))
        return
    outcome = Column("what came of it", overflow="fold")
    table = Table("device", "board", "", outcome, "seconds", box=None, pad_edge=False)
    for result in results:
        table.add_row(
            result.device, result.board, "good" if result.is_good else "failed", result.outcome, f"{result.seconds}"
        )
    Console().print(table)
    print(f"{good or 'none'} of {len(results)} boards {done}", file=sys.stderr)
