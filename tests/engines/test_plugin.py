"""Engine processes end with the process that started them."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection

import psutil

from actors.engines.plugin import die_with_parent


def _child(pipe: Connection, guarded: bool) -> None:
    if guarded:
        die_with_parent()
    pipe.send(os.getpid())
    time.sleep(60)


def _parent(pipe: Connection, guarded: bool) -> None:
    multiprocessing.get_context("spawn").Process(target=_child, args=(pipe, guarded)).start()
    time.sleep(60)


def orphan_of_a_killed_parent(guarded: bool) -> int:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_parent, args=(theirs, guarded))
    parent.start()
    assert ours.poll(60)
    child: int = ours.recv()
    parent.kill()
    parent.join()
    return child


def lives(pid: int, wait_s: float) -> bool:
    ends = time.monotonic() + wait_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > ends:
            return True
        time.sleep(0.02)
    return False


def test_a_killed_parent_takes_its_child_along():
    assert not lives(orphan_of_a_killed_parent(guarded=True), 10)


def test_without_that_the_child_stays():
    child = orphan_of_a_killed_parent(guarded=False)
    assert lives(child, 0.5)
    os.kill(child, signal.SIGKILL)


def test_a_main_process_is_left_alone():
    die_with_parent()
