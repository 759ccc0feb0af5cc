"""Sets that are made: the same bytes again, what they were made from found again in the pixels, kept and checked."""

import hashlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from common import data
from common.data import chairs, heads, made, streets, wanted
from common.data.batches import check_picture
from common.environment import ROOT
from common.errors import DataError, MissingFramework
from common.specs import get

MEAN = {name: (low + high) / 2 for name, (low, high) in heads.FACTORS.items()}
SPHERE = heads.Sphere(96)


def head(**factors):
    return heads.draw(SPHERE, MEAN | factors, 32).astype(float)


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize("make", [lambda rows: heads.make(rows, 32), lambda rows: streets.Maker(32).make(rows)])
def test_a_picture_depends_on_its_number_alone(make):
    five = make(range(5))
    same(five, make(range(5)))
    same({name: values[3:] for name, values in five.items()}, make(range(3, 5)))
    assert len(np.unique(five["images"], axis=0)) == 5


@pytest.mark.parametrize(("azimuth", "elevation", "lighting"), [(0, 0, 40), (60, 15, -30), (-85, -25, 70)])
def test_a_mirrored_head_is_the_mirrored_picture(azimuth, elevation, lighting):
    """Heads are symmetric, so that azimuth and light may both change sides."""
    one = head(azimuth=azimuth, elevation=elevation, lighting=lighting)
    other = head(azimuth=-azimuth, elevation=elevation, lighting=-lighting)
    assert np.abs(one - other[:, ::-1]).mean() < 0.5  # points at a pixel's border round to one side
    assert np.abs(one - other).mean() > 5


def columns(picture):
    """Those that are not ground."""
    return np.flatnonzero((picture[:20] > 20).any(axis=0))  # above the neck


def test_the_width_of_a_head_is_that_of_its_picture():
    wide = [np.ptp(columns(head(width=width, ears=0.0, hairline=0.8))) + 1 for width in (0.75, 1.0, 1.25)]
    assert wide == pytest.approx([0.72 * width * heads.SCALE * 32 for width in (0.75, 1.0, 1.25)], abs=1.5)


def test_a_head_turns_to_the_viewer_s_right():
    """In profile the nose is what stands out farthest."""
    profile, longer = (columns(head(azimuth=90.0, nose=nose)) for nose in (0.15, 0.35))
    assert longer[-1] - profile[-1] == pytest.approx(0.2 * heads.SCALE * 16, abs=1)
    assert longer[0] == profile[0]


def test_light_and_elevation_of_a_head():
    x = np.arange(32) - 15.5
    beside = [head(lighting=float(angle), hair=0.9)[:20] for angle in (-80, -40, 0, 40, 80)]
    middles = [(picture * x).sum() / picture.sum() for picture in beside]
    assert (np.diff(middles) > 0.3).all() and middles[2] == pytest.approx(0, abs=0.2)
    dark = [(head(elevation=float(e), hair=0.1)[:24] < 60)[:, 10:22].sum() for e in (-30, -15, 0, 15, 30)]
    assert (np.diff(dark) > 0).all()  # more hair is seen from above


def test_the_nearest_point_is_drawn():
    """A ball, whose far half is there too: its brightness is its depth, √(1 − r²)."""
    x, y, z = (one.ravel() for one in (SPHERE.x, SPHERE.y, SPHERE.z))
    found = heads.splat(x, y, z, np.where(z > 0, z, 1), 32) / 255
    at = (np.arange(32) + 0.5) / 16 - 1
    r2 = (at / heads.SCALE) ** 2 + ((at[:, None] - heads.SHIFT) / heads.SCALE) ** 2
    inside = r2 < 0.8
    assert inside.sum() > 200
    assert np.abs(found - np.sqrt(np.maximum(1 - r2, 0)))[inside].max() < 0.05
    assert found[r2 > 1.3] == pytest.approx(heads.GROUND, abs=1 / 255)


@pytest.fixture(scope="module")
def walls():
    return streets.Maker(32).make(range(300))


def test_inks_and_grounds_of_streets_are_their_colours(walls):
    """Of two inks on one ground, the pictures' middles differ as the inks do; likewise corners and grounds."""
    middle = walls["images"][:, :, 8:24, 10:22].mean(axis=(2, 3)) / walls["brightness"][:, None]
    edges = walls["images"].reshape(300, 3, -1).mean(axis=2) / walls["brightness"][:, None]
    for pixels, name, other, colours in (
        (middle, "ink", "ground", streets.INKS),
        (edges, "ground", "ink", streets.GROUNDS),
    ):
        colours, compared = np.array(list(colours.values())), 0
        for rest in np.unique(walls[other]):
            here = {k: pixels[(walls[other] == rest) & (walls[name] == k)] for k in range(len(colours))}
            enough = [k for k, found in here.items() if len(found) >= 6]
            for a in enough:
                for b in enough[:a]:
                    towards = colours[a] - colours[b]
                    if np.linalg.norm(towards) > 0.5:
                        assert (here[a].mean(axis=0) - here[b].mean(axis=0)) @ towards > 0, (name, a, b)
                        compared += 1
        assert compared >= 5


def test_streets_have_all_digits_and_their_labels(walls):
    assert set(walls["labels"]) == set(range(10)) and (walls["labels"] == walls["digit"]).all()
    for name, (low, high) in streets.FACTORS.items():
        assert low <= walls[name].min() < low + 0.1 * (high - low) and high >= walls[name].max() > high - 0.1 * (
            high - low
        )


def test_the_label_of_a_street_is_its_middle_digit():
    """The digits exchanged for nothing, called 0, and a block, called 1."""
    maker, block = streets.Maker(32), np.zeros((2, 30, 30), np.float32)
    block[1, 1:29, 5:25] = 1
    maker.glyphs = [(block, np.array([0, 1], np.uint8))] * 2
    found = maker.make(range(100))
    plain = found["texture"] == 0
    inks, grounds = (np.array(list(one.values())) for one in (streets.INKS, streets.GROUNDS))
    ink, ground = inks[found["ink"].astype(int)], grounds[found["ground"].astype(int)]
    seen = found["images"][:, :, 14:18, 14:18].mean(axis=(2, 3)) / 255 / found["brightness"][:, None]
    share = ((seen - ground) * (ink - ground)).sum(axis=1) / ((ink - ground) ** 2).sum(axis=1)
    assert plain.sum() > 15 and ((share > 0.35) == found["labels"])[plain].all()


def test_place_and_angle_of_a_street_s_digit():
    """The digits exchanged for one upright bar, which is then looked for."""
    maker, bar = streets.Maker(32), np.zeros((1, 30, 30), np.float32)
    bar[:, 3:27, 13:17] = 1
    maker.glyphs = [(bar, np.array([1], np.uint8))] * 2
    found = maker.make(range(200))
    plain = np.flatnonzero((found["texture"] == 0) & (found["blur"] < 0.7))
    images = found["images"][plain].mean(axis=1)
    places, slopes, at = [], [], np.arange(32) - 15.5
    for image, x in zip(images, found["x"][plain], strict=True):
        near = np.abs(at - x * 32) < 7  # without the neighbours
        ink = np.abs(image - np.median(image)) * near
        ink = np.where(ink > 0.6 * ink.max(), ink, 0)
        rows = np.flatnonzero(ink[8:24].sum(axis=1) > 0) + 8
        middles = (ink[rows] * at).sum(axis=1) / ink[rows].sum(axis=1)
        slope, middle = np.polyfit(at[rows], middles, 1)
        places.append(middle)
        slopes.append(slope)
    x, y, angle = (found[name][plain] for name in ("x", "y", "angle"))
    tangent = np.tan(np.radians(angle))
    assert len(plain) > 20
    assert np.median(np.abs(slopes + tangent)) < 0.03  # clockwise: the upper end to the right
    assert np.median(np.abs(places - (x + y * tangent) * 32)) < 0.4


def test_streets_for_testing_are_of_digits_that_none_was_trained_on():
    maker, first = streets.Maker(32), range(streets.TRAIN, streets.TRAIN + 3)
    assert [len(labels) for _, labels in maker.glyphs] == [1437, 360]
    before = maker.make(range(3))["images"], maker.make(first)["images"]
    glyphs, labels = maker.glyphs[0]
    maker.glyphs[0] = (np.zeros_like(glyphs), labels)
    after = maker.make(range(3))["images"], maker.make(first)["images"]
    assert (before[0] != after[0]).any(axis=(1, 2, 3)).all() and (before[1] == after[1]).all()


def test_a_set_is_made_once_and_its_file_is_checked(tmp_path, capsys):
    asked = []

    def make():
        asked.append(1)
        return {"images": np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4), "labels": np.zeros(1, np.uint8)}

    folders = [tmp_path / "new", tmp_path / "old"]
    first = made.kept("walls", {"v": 1, "side": 4}, folders[1:], make)
    same(first, made.kept("walls", {"v": 1, "side": 4}, folders, make))  # found in the second
    assert len(asked) == 1 and not folders[0].exists()
    made.kept("walls", {"v": 2, "side": 4}, folders, make)
    assert len(asked) == 2 and (folders[0] / "walls-v2-side4.safetensors").is_file()
    path = folders[1] / "walls-v1-side4.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:-3] + b"\x99" + whole[-2:], b"", whole.replace(b"labels", b"lAbels")):
        path.write_bytes(damaged)
        same(first, made.kept("walls", {"v": 1, "side": 4}, folders[1:], make))
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and f"{path}: the file is damaged" in line
        assert path.read_bytes() == whole
    assert len(asked) == 6


def test_a_made_set_is_kept_with_its_factors(tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "TRAIN", 7)
    monkeypatch.setattr(heads, "TEST", 3)
    loaded = data.load("heads", tmp_path, (3, 32, 32))
    assert loaded.train_images.shape == (7, 3, 32, 32) and loaded.test_images.shape == (3, 3, 32, 32)
    assert (loaded.train_images[:, 0] == loaded.train_images[:, 2]).all()
    expected = heads.make(range(10), 32)
    assert (loaded.test_images[:, 0] == expected["images"][7:, 0]).all()
    assert list(loaded.train_factors) == list(loaded.test_factors) == list(heads.FACTORS)
    assert (loaded.test_factors["nose"] == expected["nose"][7:]).all()
    monkeypatch.setattr(heads, "make", None)  # not called again
    assert data.load("heads", tmp_path, (1, 32, 32)).train_images.shape == (7, 32, 32)
    assert data.load("heads", tmp_path, (3, 32, 32)).digest == loaded.digest


def test_the_digest_is_of_the_factors_too():
    digits = data.load("digits")
    expected = hashlib.sha256()
    for array in (digits.train_images, digits.train_labels, digits.test_images, digits.test_labels):
        expected.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    assert digits.digest == expected.hexdigest()  # as before there were factors
    arrays = (digits.train_images[:2], digits.train_labels[:2], digits.test_images[:1], digits.test_labels[:1])
    found = {
        data.Dataset("", "", *arrays, train_factors=factors).digest
        for factors in ({}, {"x": np.array([1.0, 2.0])}, {"x": np.array([1.0, 3.0])}, {"y": np.array([1.0, 2.0])})
    }
    assert len(found) == 4


def test_grey_and_colour():
    colour = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    grey = data.in_channels(colour, 1)
    pillow = [np.asarray(Image.fromarray(np.moveaxis(one, 0, -1).copy()).convert("L"), int) for one in colour]
    assert grey.shape == (5, 8, 8) and np.abs(grey - np.stack(pillow)).max() <= 1
    assert data.in_channels(colour, 3) is colour
    assert (data.in_channels(grey[:, None], 3) == grey[:, None]).all()


def test_a_picture_that_a_set_cannot_be_made_in():
    assert wanted("heads", (3, 64, 64), (1, 32, 32)) == (3, 64, 64) and wanted("heads", None, (1, 32, 32))[0] == 1
    for picture in ((1, 28, 28), (3, 32, 64), (2, 32, 32)):  # told before anything is made
        with pytest.raises(DataError, match=f"heads: comes in 32×32 or 64×64.* takes {picture[0]}×{picture[1]}"):
            wanted("heads", picture, (1, 32, 32))
    with pytest.raises(DataError, match=r"^vae takes pictures of 1×28×28 .*streets has 3×32×32; choose other --data"):
        check_picture(get("vae"), "streets", np.zeros((2, 3, 32, 32), np.uint8))
    for images in (np.zeros((2, 28, 28), np.uint8), np.zeros((2, 1, 28, 28), np.uint8)):
        check_picture(get("vae"), "digits", images)


def test_the_command_line_says_in_one_line_that_a_model_cannot_see_a_set():
    code = (
        "from common import specs; from common.tools import cli\n@cli.app.command()\n"
        "def ask(): cli._load('streets', None, specs.get('vae'))\ncli.main()"
    )
    result = subprocess.run([sys.executable, "-c", code, "ask"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: streets: comes in 32×32 or 64×64")


# A box of 2 × 3 × 1 (x, y, z) with its lower left rear corner at the origin, as OBJ.
CORNERS = [(x, y, z) for x in (0, 2) for y in (0, 3) for z in (0, 1)]
QUADS = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
BOX = "".join(f"v {x} {y} {z}\n" for x, y, z in CORNERS) + "".join(f"f {a} {b} {c} {d}\n" for a, b, c, d in QUADS)
MTL = "mtllib ../../secret.mtl\nusemtl a\n"


def box(extra=""):
    return chairs.Scene(chairs.read(chairs.Mesh("box", (MTL + BOX + extra).encode(), ())))


def silhouette(picture):
    rows, places = (np.flatnonzero((picture < 255).any(axis=axis)) for axis in (1, 0))
    return places[-1] - places[0] + 1, rows[-1] - rows[0] + 1


@pytest.mark.parametrize(("azimuth", "elevation", "width"), [(0, 0, 2), (90, 0, 1), (0, 30, 2)])
def test_a_box_is_as_wide_and_high_as_it_is(azimuth, elevation, width, monkeypatch):
    """In units of the box: as large as the circle around it, √5 / 2, and its height, tilted, allow."""
    monkeypatch.setattr(chairs, "SAMPLES", 1)
    tilt, around = np.radians(30), np.sqrt(5) / 2
    unit = chairs.FILL * 256 / max(around, 1.5 * np.cos(tilt) + around * np.sin(tilt))
    height = 3 * np.cos(np.radians(elevation)) + np.sin(np.radians(elevation))
    found = silhouette(box().draw(azimuth, elevation, 512))
    assert found == pytest.approx((width * unit, height * unit), abs=1.5)


def test_a_chair_turns_to_the_viewer_s_right_and_comes_round():
    scene = box("v 1 1 4\nv 1 2 4\nv 1 1.5 1\nf 9 10 11\n")  # with a fin in front
    right, left = scene.draw(90, 0, 64), scene.draw(-90, 0, 64)
    assert (right[:, :32] == 255).sum() < (right[:, 32:] == 255).sum()  # the fin is thin, the box on the left
    assert np.abs(right[:, ::-1] < 255).sum() == pytest.approx((left < 255).sum(), abs=20)
    assert np.abs(scene.draw(0, 20, 64).astype(int) - scene.draw(360, 20, 64)).max() <= 1
    front = scene.draw(0, 0, 64)[24:40, 28:30]
    shade = chairs.AMBIENT + chairs.DIFFUSE * 0.5 / np.sqrt(0.45**2 + 0.75**2 + 0.5**2)
    assert front == pytest.approx(shade * 255, abs=1)


def test_chairs_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TETRAPLA_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "meshes"
    (folder / "below").mkdir(parents=True)
    (folder / "b.obj").write_text(BOX)
    (folder / "below" / "c.OBJ").write_text(BOX.replace("v 2", "v 6"))
    loaded = data.load("chairs", folder, (1, 32, 32))
    assert loaded.train_images.shape == (112, 32, 32) and loaded.test_images.shape == (12, 32, 32)
    assert np.bincount(loaded.train_labels).tolist() == [56, 56] and np.bincount(loaded.test_labels).tolist() == [6, 6]
    tables = [np.stack(list(table.values()), axis=1) for table in (loaded.train_factors, loaded.test_factors)]
    assert list(loaded.train_factors) == ["chair", "azimuth", "elevation", "width"]
    assert len(np.unique(np.concatenate(tables), axis=0)) == 124  # no view is in both
    assert set(loaded.train_factors["width"].round(9)) == {round(2 / 3, 9), 2.0}
    assert np.unique(np.concatenate(tables)[:, 1]) == pytest.approx(np.arange(31) * 360 / 31)
    assert not list(folder.rglob("*.safetensors"))  # nothing is written beside the meshes
    row = np.flatnonzero(loaded.train_factors["width"] > 1)[5]
    factors = {name: values[row] for name, values in loaded.train_factors.items()}
    scene = chairs.Scene(chairs.read(chairs.find(folder)[1]))
    assert (scene.draw(factors["azimuth"], factors["elevation"], 32) == loaded.train_images[row]).all()
    monkeypatch.setitem(sys.modules, "trimesh", None)  # what is kept needs no library
    assert data.load("chairs", folder, (1, 32, 32)).digest == loaded.digest
    (folder / "b.obj").write_text(BOX.replace("v 0 3", "v 0 4"))  # another set
    with pytest.raises(MissingFramework, match="trimesh is not installed; .*meshes"):
        data.load("chairs", folder, (1, 32, 32))


def archive(path, **changes):
    """A catalogue of Sweet Home 3D."""
    names = {1: "Office chair", 2: "Table", 3: "Bar Stool", 4: "Armchair ottoman"}
    lines = [f"name#{n}={name}\nmodel#{n}=/some/{n}/{n}.obj" for n, name in names.items()]
    rotation = "modelRotation#3=1 0 0 0 0 1 0 -1 0"  # what lies along z stands
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("PluginFurnitureCatalog.properties", "\n".join([*lines, rotation]))
        for n in names:
            file.writestr(f"some/{n}/{n}.obj", changes.get(f"mesh{n}", BOX))


def test_chairs_of_a_catalogue(tmp_path):
    archive(tmp_path / "some.sh3f")
    found = chairs.find(tmp_path)
    assert [mesh.name for mesh in found] == ["some.sh3f/some/1/1.obj", "some.sh3f/some/3/3.obj"]
    assert [np.ptp(chairs.read(mesh).reshape(-1, 3), axis=0).tolist() for mesh in found] == [[2, 3, 1], [2, 1, 3]]


def test_bad_meshes_in_one_line_each(tmp_path, monkeypatch):
    def refused(match):
        with pytest.raises(DataError, match=match) as error:
            for mesh in chairs.find(tmp_path / "x"):
                chairs.read(mesh)
        assert "\n" not in str(error.value)

    refused("x: no such folder; install Debian's package sweethome3d-furniture, or name a folder of OBJ files")
    (tmp_path / "x").mkdir()
    refused("x: expected OBJ meshes, found none; install")
    path = tmp_path / "x" / "a.obj"
    for content in (b"", b"\x00\xff" * 40, BOX.replace("f 1 2 4 3", "f 1 2 99 3").encode(), b"v 0 0 0\nv nan 1 1\nv 1 1 1\nf 1 2 3\n",
                    BOX.encode().replace(b"3 0", b"0 0").replace(b"3 1", b"0 1")):  # fmt: skip
        path.write_bytes(content)
        refused("chairs: a.obj: expected an OBJ mesh")
    monkeypatch.setattr(chairs, "LARGEST", 100)
    path.write_text(BOX)
    refused("a.obj: expected at most 0 MiB")
    archive(tmp_path / "x" / "b.sh3f")
    refused("b.sh3f: some/1/1.obj: expected at most")
    monkeypatch.undo()
    (tmp_path / "x" / "b.sh3f").write_bytes((tmp_path / "x" / "b.sh3f").read_bytes()[:-30])
    refused("b.sh3f: expected a catalogue of Sweet Home 3D, which cannot be read")
