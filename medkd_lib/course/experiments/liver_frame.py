"""The grid of the liver's boxes, and the dose of the scans that are brought to it."""

from dataclasses import dataclass

from medkd_lib.phantom.low_dose import LowDose, electronic_noise

COHORT, ELSEWHERE = "react_kd_private_cohort", "hcc_tace_seg"


@dataclass(frozen=True)
class LiverFrame:
    """What every box is brought to.

    Attributes:
        spacing_mm: of the voxels, along all axes.
        shape: voxels along D (feet to head), H (front to back), W (right to left).
        photons: I0 per ray of this grid at which the own noise of the cohort's scans would arise.
        photons_elsewhere: the same of the other hospital's scans, which are of another dose.

    Measured (D) as the sarcomas' I0 is, in the liver, before anything is masked or clamped: the
    median over a dozen patients of either twin (a test measures it anew), of whom the noisiest
    and the quietest are a factor of four to five apart. Difficulties share bodies and noise.
    """

    spacing_mm: float = 6.0
    shape: tuple[int, int, int] = (30, 32, 36)
    photons: float = 2.4e4
    photons_elsewhere: float = 4.7e4

    def dose(self, dataset: str, share: float) -> LowDose:
        """Return a share of the dose that a data set's scans have.

        Args:
            dataset: ``react_kd_private_cohort`` or ``hcc_tace_seg``; of both, the twins' dose.
            share: of the scan's own dose, below 1.

        Raises:
            ValueError: another data set, whose dose was not measured.
        """
        measured = {COHORT: self.photons, ELSEWHERE: self.photons_elsewhere}
        if (own := measured.get(dataset)) is None:
            raise ValueError(
                f"dataset: expected one of {list(measured)}, found {dataset!r}; measure its I0 "
                "and name it in LiverFrame"
            )
        return LowDose(share * own, electronic=electronic_noise(own), source_photons=own)


COARSE_LIVER = LiverFrame()
# The same field at the voxels of a diagnostic CT; the released preprocessing stretches every
# patient to 64 × 224 × 224 instead. I0 is of four patients each of the full-size twins, between
# slices 7 mm apart: nearer ones are blends of the same scanned slices, and share noise.
FINE_LIVER = LiverFrame(1.75, (96, 120, 128), 1.45e5, 4e5)
