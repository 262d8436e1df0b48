"""Of what the COVID collages are made: class by class, how many films came from which upstream.

Read: the description that lies in the Radiography Database (class, upstream, films), and the
documentation and the list of training films of COVIDx CXR-3. Counts that could not be read are
ours and say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.film_disease import FilmDiagnosis


@dataclass(frozen=True)
class Part:
    """Films of one class, one upstream and one diagnosis.

    Attributes:
        label: class of the set.
        source: of :data:`medkd_lib.phantom.film_sources.SOURCES`.
        diagnosis: what these films show.
        films: how many the real set has of them, or a weight.
        shared: every so many of these people are the first, second, … of the source's people, so
            that another set that takes them has the same films; 1 for all.
    """

    label: str
    source: str
    diagnosis: FilmDiagnosis
    films: float
    shared: int


RADIOGRAPHY = (
    # 2,473 "padchest" (the link is BIMCV's), 183 a German school, 559 SIRM, GitHub, Kaggle and
    # Twitter, 400 another GitHub source: the description's own sum is 3,615 and not 3,616
    Part("COVID", "bimcv", "covid", 2473, 1),
    Part("COVID", "german", "covid", 183, 1),
    Part("COVID", "web", "covid", 559, 1),
    Part("COVID", "github", "covid", 400, 1),
    Part("Normal", "rsna", "normal", 8851, 1),
    Part("Normal", "kermany", "normal", 1341, 1),
    Part("Lung_Opacity", "rsna", "opacity", 6012, 1),
    Part("Viral Pneumonia", "kermany", "viral", 1345, 1),
)
"""COVID-19 Radiography Database; read. What "opacity" looks like (a lobar pneumonia) is ours."""

QU_EX = (
    # class totals read: 11,956, 11,263 and 10,701; what each is made of was not
    Part("COVID-19", "bimcv", "covid", 11956 * 0.684, 2),
    Part("COVID-19", "german", "covid", 11956 * 0.051, 2),
    Part("COVID-19", "web", "covid", 11956 * 0.155, 2),
    Part("COVID-19", "github", "covid", 11956 * 0.110, 2),
    Part("Non-COVID", "rsna", "opacity", 6012, 2),
    Part("Non-COVID", "kermany", "viral", 1345, 2),
    Part("Non-COVID", "kermany", "opacity", 11263 - 6012 - 1345, 2),
    Part("Normal", "rsna", "normal", 10701 * 0.868, 2),
    Part("Normal", "kermany", "normal", 10701 * 0.132, 2),
)
"""COVID-QU-Ex; ours but for the totals: the shares of the same group's Radiography Database, the
rest of the pneumonias taken as Kermany's bacterial ones, and half of the people shared."""

COVIDX_TRAIN = (
    # negatives 13,992 (13,850 patients), nearly all RSNA; 8,085 normal to 5,555 pneumonia
    Part("negative", "rsna", "normal", 13600 * 8085 / 13640, 3),
    Part("negative", "rsna", "opacity", 13600 * 5555 / 13640, 3),
    Part("negative", "cohen", "opacity", 392, 1),
    # positives 15,994 (2,808 patients), most of them of Stony Brook; the other shares are ours
    Part("positive", "stonybrook", "covid", 15994 * 0.80, 1),
    Part("positive", "bimcv", "covid", 15994 * 0.10, 2),
    Part("positive", "ricord", "covid", 15994 * 0.05, 1),
    Part("positive", "cohen", "covid", 15994 * 0.03, 1),
    Part("positive", "web", "covid", 15994 * 0.02, 1),
)
"""Training films of COVIDx CXR-3. ``web`` is its source ``sirm``: the COVID films of the
Radiography Database. Read: the totals, the two diagnoses of negatives, that the list has stretches
of ``rsna`` and ``stonybrook`` of such lengths; the remaining shares are ours."""

COVIDX_TEST = (
    Part("negative", "rsna", "normal", 100, 3),
    Part("negative", "rsna", "opacity", 100, 3),
    Part("positive", "ricord", "covid", 200, 1),
)
"""Test films: 200 of each class, 100 of the negatives pneumonia (read); that negatives are RSNA's
and positives RICORD's is a third party's note."""
