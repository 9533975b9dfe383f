"""What can go wrong while a stack starts or runs, in words that say what to do."""

from __future__ import annotations


class StackError(Exception):
    """The stack could not start or could not go on."""


class PortTaken(StackError):
    """Something else listens where the gateway should."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is in use. Stop what listens there, or choose another port: "
            f"--port {port + 1 if port < 65535 else port - 1} (0 takes any free one)."
        )


class PortRefused(StackError):
    """The operating system does not let this user listen there."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"Cannot listen on {host}:{port}: {reason}. Choose another with --host and --port.")


class ServiceDied(StackError):
    """A service ended, or said that it cannot become ready; with the end of its log."""

    def __init__(self, service: str, what: str, log: str, tail: str) -> None:
        quoted = "\n".join("    " + line for line in tail.splitlines()) or "    (empty)"
        self.service = service
        super().__init__(f"The {service} service {what}. The end of {log}:\n{quoted}")


class NotInTime(StackError):
    """Not every service became ready within the time allowed."""

    def __init__(self, seconds: float, phases: dict[str, str]) -> None:
        waiting = ", ".join(f"{service} ({phase})" for service, phase in phases.items() if phase != "ready")
        super().__init__(f"Not ready after {seconds:.0f} s: {waiting}. The services' logs say more.")
