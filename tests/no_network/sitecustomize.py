"""Put on PYTHONPATH, this refuses every connection that leaves the machine."""

import ipaddress
import socket
from typing import Any

_connect = socket.socket.connect


def _local_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise OSError(f"the network is off: a lesson tried to reach {host}")
    _connect(self, address)


socket.socket.connect = _local_only  # type: ignore[method-assign, assignment]
