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
