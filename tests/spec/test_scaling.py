"""Scaling on paper, against closed forms and sums by hand."""

import math
import re
import subprocess
import sys

import pytest

from common.environment import ROOT
from common.specs import SPECS, VARIANTS, get
from common.tools.scaling import (
    BEGIN,
    DEVICES,
    END,
    LINKS,
    NETWORK,
    RATE,
    Cost,
    Link,
    _two,
    cost,
    least_batch,
    line,
    ring_seconds,
    step_seconds,
    tables,
)

TEN, HUNDRED, FOUR_HUNDRED, NVLINK = LINKS
VAE = (784 * 400 + 400) + 2 * (400 * 20 + 20) + (20 * 400 + 400) + (400 * 784 + 784)  # parameters
# DCGAN without biases before batch norms: 100-6272, BN, 128-64, BN, 64-1; 1-64, 64-128, BN, 6272-1.
G = 100 * 6272 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1
D = (64 * 16 + 64) + 64 * 128 * 16 + 2 * 128 + (6272 + 1)


def test_a_ring_by_simulation():
    """n - 1 rounds in which every device hands on a sum of an n-th, n - 1 more in which it hands on what is whole: each ends with
    the sum of all, and the time is that of the rounds, which all devices take at once."""
    n, link = 5, Link("test", 1e6, 1e-3)
    held, time = [[float(10**device)] * n for device in range(n)], 0.0
    for hop in range(2 * (n - 1)):
        before, whole = [list(parts) for parts in held], hop >= n - 1
        for device in range(n):
            part, to = (device - hop) % n, (device + 1) % n
            held[to][part] = before[device][part] + (0 if whole else before[to][part])
        time += link.latency + 4000 / n / link.bandwidth
    assert all(parts == [11111.0] * n for parts in held)
    assert ring_seconds(4000, n, link) == pytest.approx(time, rel=1e-14)


def test_one_device_sends_nothing():
    assert ring_seconds(1e9, 1, TEN, 40) == 0
    assert step_seconds(3.0, 1.0, 1, ring_seconds(1e9, 1, TEN)) == 3.0
    assert least_batch(1e-6, 0.0) == 1


def test_many_devices_send_everything_twice():
    """Without latency: 2·bytes / bandwidth, from below."""
    link = Link("test", 2e9, 0.0)
    times = [ring_seconds(1e9, n, link) for n in (2, 3, 10, 1000, 10**9)]
    assert times == sorted(times) and times[0] == 0.5
    assert times[-1] == pytest.approx(1.0, rel=1e-8) and max(times) <= 1.0


def test_every_message_pays_every_hop():
    assert ring_seconds(0, 64, HUNDRED, 3) == pytest.approx(3 * 2 * 63 * NETWORK, rel=1e-14)


def test_nvidias_900_are_both_directions():
    """And 10 Gbit/s are 1.25 GB/s: the bytes of a GB, sent nearly twice by two devices that share it."""
    assert ring_seconds(900e9, 2, NVLINK) == pytest.approx(2.0, rel=1e-4)
    assert ring_seconds(1.25e9, 2, TEN) == pytest.approx(1.0, rel=1e-4)
    assert ring_seconds(50e9, 2, FOUR_HUNDRED) == pytest.approx(1.0, rel=1e-4)


def test_a_faster_link_and_fewer_devices_need_fewer_images():
    found = [[least_batch(1e-6, cost(get("vae")).exchange(n, link)) for n in DEVICES] for link in LINKS]
    assert all(row == sorted(row) for row in found)
    assert all(column == sorted(column, reverse=True) for column in map(list, zip(*found, strict=True)))


@pytest.mark.parametrize("fixed", [0.0, 2e-3])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_the_least_batch_is_the_least(share, fixed):
    """Efficiency at it reaches the share, and at one image less does not."""
    image, exchange = 3e-6, 5.0005e-3

    def efficiency(batch):
        alone = fixed + batch * image
        n = 16
        return alone / step_seconds(n * batch * image + fixed, fixed, n, exchange)

    batch = least_batch(image, exchange, share, fixed)
    assert efficiency(batch) >= share > efficiency(batch - 1)


def test_a_step_that_does_not_shrink_is_not_sped_up():
    assert step_seconds(1.0, 0.25, 4, 0.0) == 0.25 + 0.75 / 4
    assert step_seconds(1.0, 0.25, 10**9, 0.1) == pytest.approx(0.35)


def test_a_line():
    batches = [32, 128, 4096]
    assert line(batches, [1e-3 + 2e-6 * batch for batch in batches]) == pytest.approx((1e-3, 2e-6))
    assert line(batches, [2e-6 * batch**1.1 for batch in batches])[0] == 0  # and not below


def test_a_line_is_as_near_to_small_batches_as_to_large_ones():
    """A percent too long at the largest moves the fixed part by less than that."""
    batches = [32, 64, 4096]
    seconds = [1e-3 + 1e-5 * batch for batch in batches]
    fixed, image = line(batches, [*seconds[:2], 1.01 * seconds[2]])
    assert fixed == pytest.approx(1e-3, rel=0.01) and image == pytest.approx(1e-5, rel=0.011)


def test_vae_by_hand():
    one = cost(get("vae"))
    dense = (784 * 400, 400 * 20, 400 * 20, 20 * 400, 400 * 784)
    assert one == Cost(2 * (3 * sum(dense) - dense[0]), 4 * VAE, 0, 1)
    # 8 devices: 14/8 of 2.6 MB at 1.25 GB/s, and 14 hops; four times that at 67 TFLOP/s.
    exchange = 14 / 8 * 4 * VAE / 1.25e9 + 14 * 9.6e-6
    assert one.exchange(8, TEN) == pytest.approx(exchange, rel=1e-14)
    assert least_batch(one.operations / RATE, exchange) == math.ceil(4 * exchange * 67e12 / one.operations)


def test_gan_conv_by_hand():
    """D's update passes G and, with both pictures, D, and back D alone; G's passes each once, and back. An all-reduce of statistics has 2
    numbers a feature."""
    one = cost(get("gan_conv"))
    features = (128 + 64) + 2 * 128 + 2 * 128 + 2 * (128 + 64 + 128)
    assert (one.gradients, one.statistics, one.messages) == (4 * (G + D), 4 * 2 * features, 2 + (4 + 2) + (3 + 3))
    assert cost(get("gan_conv"), synchronised=False) == Cost(one.operations, one.gradients, 0, 2)


def test_what_two_updates_move_is_sent_twice():
    spec = get("aae")
    encoder = sum(math.prod(shape) for shape in spec.parameter_shapes(("encoder",)).values())
    assert cost(spec).gradients == 4 * (spec.parameter_count() + encoder)
    assert cost(VARIANTS["aae_as_published"]).gradients == cost(spec).gradients


def test_gradients_of_one_pass_are_one_message():
    spec = get("vae_gan_mnist").training.twin
    assert cost(spec, synchronised=False).messages == 1


def test_two_digits_upwards():
    assert [_two(count) for count in (1, 99, 100, 101, 1234567)] == ["1", "99", "100", "110", "1,300,000"]


def test_the_page_holds_the_tables():
    """All models; and NVLink joins no 1,024. After a change: python -m common.tools.scaling docs/many-machines.md"""
    text, page = tables(), (ROOT / "docs" / "many-machines.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == text.strip()
    assert [name for name in SPECS if text.count(f"| `{name}`") != 2] == []
    (row,) = re.findall(r"\| `vae`, 128 \| (.*) \|", text)
    cells = [cell.split(" / ") for cell in row.split(" | ")]
    assert cells[0][0] == _two(math.ceil(4 * (14 / 8 * 4 * VAE / 1.25e9 + 14 * 9.6e-6) * 67e12 / 3_280_000))
    assert cells[3][2] == "–" and cells[3][1] != "–"


def test_a_page_without_a_place_for_them_is_refused_in_one_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n")
    for arguments, words in (
        ([page], "expected a line"),
        ([tmp_path / "none.md"], "No such file"),
        ([], "one argument"),
    ):
        command = [sys.executable, "-m", "common.tools.scaling", *map(str, arguments)]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert found.returncode == 1 and words in found.stderr and found.stderr.count("\n") == 1
    assert page.read_text() == "# Nothing\n"
