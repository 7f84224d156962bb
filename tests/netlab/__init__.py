"""A county's network on one machine: namespaces joined by cables and by lines with a rate, a delay and a queue.

    with Lab() as lab:
        towns = two_towns(lab, nat=True)
        towns.boxes[0].run(["python", "-c", "…"])
        towns.hub_line.carried()

Invariant: nothing outlives the test. A namespace lives as long as the program that holds it, and every program here
ends when its standard input does, which the kernel sees to even after `kill -9` of the test.
"""

from netlab.lab import Lab, Line, Node, why_not
from netlab.towns import HUB_PORT, Speeds, Towns, one_lan, two_towns

__all__ = ["HUB_PORT", "Lab", "Line", "Node", "Speeds", "Towns", "one_lan", "two_towns", "why_not"]
