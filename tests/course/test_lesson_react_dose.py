"""What lesson 05 shows of low doses: the laws it draws are the laws that it simulates."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from medkd_lib.course import lesson_react_dose as dose
from medkd_lib.course.experiments.sts_sections import PIXEL_MM
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.show.low_dose import around_body


@pytest.fixture(scope="module")
def livers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKD_HOME", str(tmp_path_factory.mktemp("home")))
        yield open_images(
            "react_kd_private_cohort", patients=3, difficulty="subtle", size="small"
        )  # fmt: skip


def test_noise_follows_the_counts_and_not_the_released_law() -> None:
    path, laws, dots = dose.noise_laws()
    released = laws.pop("released, dose = 5e4")
    assert all(law[-1] / law[0] > 50 for law in laws.values()) and released[-1] / released[0] < 6
    for name, (at, measured) in dots.items():
        near = at < 20
        assert np.allclose(measured[near], np.interp(at[near], path, laws[name]), rtol=0.1)


def test_less_dose_is_more_noise_in_the_same_slice(livers: Images) -> None:
    tenth, half = dose.one_dose(livers, 0.1), dose.one_dose(livers, 0.5)
    assert (tenth.dose, half.dose) == ("10% of the dose", "50% of the dose")
    assert np.array_equal(tenth.full, half.full)
    loud, quiet = (float(np.std(np.asarray(x.low) - np.asarray(x.full))) for x in (tenth, half))
    assert loud > 2 * quiet
    assert loud == pytest.approx(float(np.mean(np.asarray(tenth.noise_std))), rel=0.4)


def test_laws_agree_on_the_patient_as_he_is_and_part_when_he_shrinks(livers: Images) -> None:
    whole, small = (dose.two_laws(livers, 0.1, size) for size in (1.0, 0.6))
    assert [x.law for x in whole] == [x.law for x in small]  # both doses stay
    assert whole[0].noise_hu == pytest.approx(whole[1].noise_hu, rel=0.1)
    # photons that pass less tissue arrive; the released law hardly asks
    assert small[0].noise_hu < 0.4 * whole[0].noise_hu
    assert small[1].noise_hu > 0.6 * whole[1].noise_hu
    assert np.shape(small[0].std) == np.shape(whole[0].std)  # of one field
    assert abs(float(np.mean(np.asarray(whole[0].noise)))) < 0.2 * whole[0].noise_hu


def test_the_slice_lies_on_the_grid_whose_dose_is_known(livers: Images) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dose, "SARCOMA", livers.manifest.id)
        fine = dose.one_dose(livers, 0.1)
    coarse = dose.one_dose(livers, 0.1)
    side, coarser = np.shape(fine.full)[0], np.shape(coarse.full)[0]
    assert side == pytest.approx(coarser * dose.COARSE_LIVER.spacing_mm / PIXEL_MM, rel=0.05)


def test_a_smaller_patient_lies_in_the_same_field() -> None:
    hu = torch.full((1, 20, 32), -1000.0)
    hu[:, 4:16, 6:26] = 40.0
    small = dose.shrunk(hu, 0.5)
    assert small.shape == hu.shape and torch.equal(dose.shrunk(hu, 1.0), hu)
    assert int((small > 0).sum()) == int((hu > 0).sum()) // 4
    rows, columns = around_body(small[0].numpy())
    assert (rows.start + rows.stop, columns.start + columns.stop) == (20, 32)  # in the middle
    for wrong in (0.0, 1.2):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            dose.shrunk(hu, wrong)
