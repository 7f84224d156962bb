"""What ends a program is heard wherever Python is when it comes."""

from __future__ import annotations

import subprocess
import sys

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
