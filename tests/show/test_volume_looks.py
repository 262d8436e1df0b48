"""Maps of volumes as drawn: over the fullest slice, and every share beside the mask's own."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.evaluate.saliency import localisation
from medkd_lib.show.box import box_slice
from medkd_lib.show.overlay import Heat, blown_up, on_grey
from medkd_lib.show.volume_looks import VolumeMaps, volume_looks

mpl.use("agg")
N, SHAPE = 4, (6, 8, 12)


def boxes() -> tuple[torch.Tensor, torch.Tensor, dict[str, VolumeMaps]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(N, *SHAPE, generator=generator) * 2 - 1
    masks = torch.zeros(N, *SHAPE, dtype=torch.bool)
    for n in range(N - 1):  # the last has no mass
        masks[n, n : n + 2, 2:5, 3:8] = True
        masks[n, n + 1, 5, 3] = True
    arms = {}
    for name in ("alone", "distilled"):
        maps = torch.rand(N, 3, 4, 6, generator=generator)
        arms[name] = VolumeMaps(maps, localisation(maps, masks).share)
    return images, masks, arms


def test_maps_lie_over_the_slice_with_most_of_the_mask() -> None:
    images, masks, arms = boxes()
    figure = volume_looks(
        images, masks, arms, (4, 2, 2), shown=(2, 0), titles=("poor", "well"), plane="axial"
    )
    pictures = [a for a in figure.axes if a.images]
    assert len(pictures) == 4
    assert [a.get_title(loc="left") for a in pictures] == ["alone", "distilled", "", ""]
    assert [a.get_ylabel() for a in pictures[::2]] == ["poor", "well"]
    for axis, (box, name) in zip(pictures, [(b, n) for b in (2, 0) for n in arms], strict=True):
        whole = blown_up(arms[name].maps[box], SHAPE)
        expected = on_grey(
            box_slice(images[box].numpy(), "axial", box + 1), (-1, 1),
            box_slice(whole, "axial", box + 1), Heat(),
        )  # fmt: skip
        np.testing.assert_allclose(np.asarray(axis.images[0].get_array()), expected)
        assert axis.get_xlabel() == f"{float(arms[name].share[box]):.1%} in the mass"
        assert len(axis.collections) == 1


def test_a_strip_of_all_shares_beside_what_knows_nothing() -> None:
    images, masks, arms = boxes()
    (strip,) = (
        a for a in volume_looks(images, masks, arms, (4, 2, 2)).axes if "%" in a.get_ylabel()
    )
    dots = [line for line in strip.lines if line.get_marker() not in ("None", "")]
    expected = [masks[:3].float().mean((1, 2, 3)), *(a.share[:3] for a in arms.values())]
    for line, values in zip(dots, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(line.get_ydata(), float), 100 * np.asarray(values), rtol=1e-5
        )
    assert (
        len({line.get_marker() for line in dots}) == len({line.get_color() for line in dots}) == 3
    )
    joins = [line for line in strip.lines if line.get_marker() in ("None", "")]
    assert len(joins) == 3 and all(len(line.get_xdata()) == 3 for line in joins)  # type: ignore[arg-type]
    assert [t.get_text() for t in strip.get_xticklabels()][1:] == ["alone", "distilled"]
    assert strip.get_title(loc="left").startswith("3 patients")
    means = [np.mean(c.get_paths()[0].vertices, axis=0)[1] for c in strip.collections]  # type: ignore[arg-type]
    np.testing.assert_allclose(
        means, [100 * float(np.mean(np.asarray(v))) for v in expected], rtol=1e-5
    )


def test_maps_of_other_boxes_are_refused() -> None:
    images, masks, arms = boxes()
    with pytest.raises(ValueError, match="1 to 4 arms with N maps"):
        volume_looks(images[:3], masks[:3], arms, (4, 2, 2))
    for wrong in ({}, {str(i): arms["alone"] for i in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 arms"):
            volume_looks(images, masks, wrong, (4, 2, 2))
    with pytest.raises(ValueError, match="images and masks"):
        volume_looks(images, masks[:, 1:], arms, (4, 2, 2))
