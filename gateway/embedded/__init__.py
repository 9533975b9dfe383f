"""The embedded stack: the gateway and the four services, a process each, on loopback ports of one machine.

`stack` starts it for the time of a `with` block; `RunningStack` is the same with the waiting in the caller's hands.
Imported by `gateway.cli` and by tests, never by the gateway's app. Services are named by path and imported only in
their own processes, so that one's torch or numba can neither slow down nor stall another.
"""

from gateway.embedded.faults import PortTaken, StackError
from gateway.embedded.layout import SERVICES
from gateway.embedded.stack import RunningStack, stack

__all__ = ["SERVICES", "PortTaken", "RunningStack", "StackError", "stack"]
