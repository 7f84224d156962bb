"""A stick or disk is plugged into a running machine: mounted so that it can do no harm, told of, and on a box imported.

Two sides that share nothing but small files below `/run/shuxiang`: root's process, one for each stick (`stay`), mounts
and tells; the running box (`importing`), an ordinary user, reads what is told and lets the sync's own process import.
A running hub asks the same way that a stick may be written, and root's process turns it for so long (`turning`).
"""
