"""How ranks wait for each other before, and beside, what their framework does: three of the four wait without end for a rank that does
not come, or end the process where a port is taken, and say nothing of it.

Nothing of a model is sent here.
"""

import socket
import time
from collections.abc import Callable

from common.errors import UsageError
from common.worlds import LOOPBACK, Place

HELLO = b"tetrapla %6d of %6d"
WORD = 64  # bytes that rank 0 says at most


class Meeting:
    """Connections of rank 0 with all others, by which they wait for each other, `timeout` seconds at most.

    Raises UsageError, which says where, if they do not meet at the place's address.
    """

    def __init__(self, place: Place, timeout: float):
        self.place, self.deadline = place, time.monotonic() + timeout
        try:
            host, _, port = place.address.rpartition(":")
            end = (host, int(port))
            self.peers = {0: self._found(end)} if place.rank else self._gathered(end)
        except (OSError, ValueError) as error:  # a port that is no number
            raise not_met(place, error) from None
        for peer in self.peers.values():
            peer.settimeout(timeout)

    def _left(self):
        return max(self.deadline - time.monotonic(), 1e-3)

    def _gathered(self, end):
        """{rank: connection} of all others."""
        host, port = end
        found = {}
        # The port is free again before anyone is answered: a framework listens at it next.
        with socket.create_server((host if host == LOOPBACK else "", port), backlog=self.place.count) as server:
            while len(found) < self.place.count - 1:
                server.settimeout(self._left())
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    missing = ", ".join(str(rank) for rank in range(1, self.place.count) if rank not in found)
                    raise TimeoutError(f"rank {missing} did not come") from None
                rank = self._rank_of(peer)
                if rank and rank not in found:
                    found[rank] = peer
                else:
                    peer.close()
        return found

    def _rank_of(self, peer):
        """Which one says hello; None of a stranger."""
        peer.settimeout(min(self._left(), 5.0))
        try:
            said = peer.recv(len(HELLO % (0, 0)))
        except OSError:
            return None
        hellos = {HELLO % (rank, self.place.count): rank for rank in range(1, self.place.count)}
        return hellos.get(said)

    def _found(self, end):
        """The connection with rank 0, which may not be there yet."""
        while True:
            try:
                peer = socket.create_connection(end, self._left())
                peer.sendall(HELLO % (self.place.rank, self.place.count))
                return peer
            except OSError:
                if time.monotonic() > self.deadline:
                    raise
                time.sleep(0.05)

    def hold(self, word: bytes = b".") -> bytes:
        """Wait for the others; the few bytes that rank 0 says. Raises RuntimeError if one of them is gone."""
        if self.place.rank:
            self._each(lambda peer: peer.sendall(b"."))
            return self._each(lambda peer: peer.recv(WORD))
        self._each(lambda peer: peer.recv(1))
        self._each(lambda peer: peer.sendall(word))
        return word

    def _each(self, act: Callable):
        for rank, peer in self.peers.items():
            try:
                done = act(peer)
            except OSError as error:
                raise RuntimeError(f"rank {rank}: {error}") from None
            if done == b"":
                raise RuntimeError(f"rank {rank} has gone")
        return done

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()


def meet(place: Place, timeout: float) -> None:
    """Wait until all ranks are there; the port is free for the framework then. Raises UsageError as `Meeting` does."""
    meeting = Meeting(place, timeout)
    try:
        meeting.hold()
    except RuntimeError as error:
        raise not_met(place, error) from None
    finally:
        meeting.close()


def not_met(place: Place, error: Exception) -> UsageError:
    """The error of a rank that has not found the others."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return UsageError(
        f"rank {place.rank} of {place.count} found no others at {place.address} ({said[0]}); start all ranks, with one address "
        "that is free and can be reached"
    )
