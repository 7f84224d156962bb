"""What ends a program is heard wherever Python is when it comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import os, signal, time, weakref
from appliance import cli

class Thing:
    pass

def ended(_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)

def work(*_, **__):
    thing = Thing()
    reference = weakref.ref(thing, ended)
    del thing
    time.sleep(60)

cli.shuxiang.main = work
cli.main([])
"""


def test_a_signal_within_a_callback_of_the_collector_ends_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=30)
    assert done.returncode == 130
    assert "Exception ignored" in done.stderr


_ENDING = """
import os, signal, threading, time
from appliance import cli

def signalled():
    threading.main_thread().join(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

def work(*_, **__):
    threading.Thread(target=signalled).start()

cli.shuxiang.main = work
cli.main([])
"""


def test_a_signal_while_python_waits_for_its_threads_ends_the_program_quietly() -> None:
    done = subprocess.run([sys.executable, "-c", _ENDING], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "")


_TWICE = """
import os, signal, sys, time
from appliance import cli

def work(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        print("put away")

cli.shuxiang.main = work
cli.main([])
"""


def test_a_signal_that_is_said_again_lets_the_program_put_its_things_away() -> None:
    done = subprocess.run([sys.executable, "-c", _TWICE], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "put away\n", "")


_WHILE_REFUSED = """
import os, signal, time
from appliance import cli
from catalog.errors import UsageError

# As a terminal has it: a shell starts what it puts in the background deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)

def work(*_, **__):
    raise UsageError("E-USAGE", found="words")

def refused(error):
    os.kill(os.getpid(), {signal})
    time.sleep(60)

cli.shuxiang.main = work
cli._refuse = refused
cli.main([])
"""


@pytest.mark.parametrize("name", ["signal.SIGTERM", "signal.SIGINT"])
def test_a_signal_while_the_end_is_told_ends_the_program_quietly(name: str) -> None:
    program = _WHILE_REFUSED.format(signal=name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "")
