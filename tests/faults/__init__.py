"""The fault harness: scripted trials, crash points, invariants, a proxy, the CLI as a child.

Every test that breaks something starts here (see CONTRIBUTING.md):

    file = faults.scripted(tmp_path, {(0, 3): act.kill()})
    place = faults.planned(file)
    faults.every_crash_point(faults.play, faults.play, start=place)
    faults.assert_sound(place, reference)
"""

from faults import act
from faults.child import CALLS, Outcome, child, every_crash_point
from faults.commands import Cli, cli, started
from faults.invariants import ALWAYS, AT_REST, Subject, assert_sound, unsound
from faults.nodes import Node, Nodes, nodes
from faults.proxy import Proxy
from faults.script import planned, play, play_trial, scripted

__all__ = [
    "ALWAYS",
    "AT_REST",
    "CALLS",
    "Cli",
    "Node",
    "Nodes",
    "Outcome",
    "Proxy",
    "Subject",
    "act",
    "assert_sound",
    "child",
    "cli",
    "every_crash_point",
    "nodes",
    "planned",
    "play",
    "play_trial",
    "scripted",
    "started",
    "unsound",
]
