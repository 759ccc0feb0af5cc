"""How ranks wait for each other, with no framework."""

import socket
import threading
import time

import pytest

from common.errors import UsageError
from common.meeting import Meeting, meet
from common.worlds import LOOPBACK, Place, free_ports


def test_ranks_wait_for_each_other_and_notice_who_is_gone():
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    other, heard = [], []

    def follow():
        other.append(Meeting(Place(1, 2, address), 30.0))
        heard.append(other[0].hold())

    thread = threading.Thread(target=follow)
    thread.start()
    lead = Meeting(Place(0, 2, address), 30.0)
    assert not heard  # rank 0 has not come yet
    assert lead.hold(b"word") == b"word"
    thread.join()
    assert heard == [b"word"]
    other[0].close()
    with pytest.raises(RuntimeError, match="rank 1 has gone"):
        lead.hold()
    lead.close()


def test_a_stranger_at_the_address_is_no_rank():
    """Such as one who looks which ports are open."""
    address = f"{LOOPBACK}:{free_ports(1)[0]}"

    def come():
        host, _, port = address.rpartition(":")
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=30) as one:
                one.sendall(said)

    thread = threading.Timer(0.3, come)
    thread.start()
    with pytest.raises(UsageError, match="rank 0 of 2 found no others at .*rank 1 did not come"):
        Meeting(Place(0, 2, address), 1.5)
    thread.join()


def test_a_port_that_is_taken():
    with socket.create_server((LOOPBACK, 0)) as taken:
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"at {address} .*in use"):
            meet(Place(0, 2, address), 5.0)


def test_a_rank_that_comes_before_rank_0_waits_and_the_port_is_free_once_they_have_met():
    (port,) = free_ports(1)
    address, met = f"{LOOPBACK}:{port}", []

    def follow(rank):
        meet(Place(rank, 3, address), 30.0)
        met.append(rank)

    threads = [threading.Thread(target=follow, args=(rank,)) for rank in (1, 2)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert not met
    meet(Place(0, 3, address), 30.0)
    socket.create_server((LOOPBACK, port)).close()
    for thread in threads:
        thread.join()
    assert sorted(met) == [1, 2]


def test_a_rank_that_finds_nobody_says_where_it_looked():
    (port,) = free_ports(1)
    began = time.monotonic()
    with pytest.raises(UsageError, match=f"rank 1 of 2 found no others at {LOOPBACK}:{port} .*refused"):
        meet(Place(1, 2, f"{LOOPBACK}:{port}"), 0.5)
    assert time.monotonic() - began < 5
