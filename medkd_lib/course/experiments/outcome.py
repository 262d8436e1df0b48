"""What one cell of a recorded experiment answers, whatever the experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medkd_lib.evaluate.classify import Predictions


@dataclass(frozen=True)
class Outcome:
    """The test answers of one arm for one seed.

    Attributes:
        predictions: on the test images.
        cases: their names.
        split: hash of the division.
        noisy: on the test images made worse, where the experiment asks for it.
        sizes_mm2: area of the tumour on each test image; empty where nobody drew it.
        extras: further numbers of this arm by name.
    """

    predictions: Predictions
    cases: Sequence[str]
    split: str
    noisy: Predictions | None = None
    sizes_mm2: Sequence[float] = ()
    extras: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The test answers of one arm for one seed where an answer is a mask: numbers per case.

    Attributes:
        cases: names of the test cases.
        patients: of each case.
        split: hash of the division.
        values: measure → one number per case, such as ``dice``; NaN where it is not defined for
            the case, whatever the arm answers.
        strata: name → one number per case that it may be grouped by, such as ``volume_ml``.
        extras: further numbers of this arm by name.
    """

    cases: Sequence[str]
    patients: Sequence[str]
    split: str
    values: Mapping[str, Sequence[float]]
    strata: Mapping[str, Sequence[float]] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
