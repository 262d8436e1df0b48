"""The large vessels: aorta, vena cava, and the veins that meet in front of the spine."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.abdomen_frame import AbdomenFrame
from medkd_lib.phantom.abdomen_liver import liver_landmarks
from medkd_lib.phantom.anatomy import Layer
from medkd_lib.phantom.tubes import polyline, tube_layer

_AORTA = (
    (12.0, 26.0, 400.0),
    (12.0, 20.0, 90.0),
    (7.0, 8.0, 30.0),
    (9.0, 6.0, -90.0),
    (9.0, 6.0, -400.0),
)
_CAVA = ((-20.0, 10.0, 80.0), (-22.0, 8.0, 30.0), (-20.0, 8.0, -90.0), (-20.0, 8.0, -400.0))


def great_vessels(frame: AbdomenFrame) -> list[Layer]:
    """Aorta and vena cava with the fat around them, renal, splenic, mesenteric, portal veins."""
    patient, grid = frame.patient, frame.grid
    marks = liver_landmarks(patient)
    top = grid.coordinates()[2].ravel()

    def course(points: tuple[tuple[float, float, float], ...]) -> np.ndarray:
        places = np.array([patient.at(*p) for p in points])
        # tubes end with the grid: grains outside it are drawn for nothing
        places[:, 2] = np.clip(places[:, 2], top[0] - 10.0, top[-1] + 10.0)
        return places

    cava = course(_CAVA)
    cava[0] = (*cava[0][:2], marks.confluence[2] + 14.0)
    aorta = course(_AORTA)
    renal = []
    for sign, place in zip((-1.0, 1.0), patient.kidney_place_mm, strict=True):
        hilum = (place[0] - sign * 24.0, place[1] - 14.0, place[2] + 2.0)
        renal.append(polyline(np.array([patient.at(-18.0, 6.0, -24.0), hilum]), 4.5))
    split = marks.portal_split
    spleen = patient.spleen_place_mm
    joint = patient.at(-6.0, -6.0, 8.0)
    splenic = polyline(
        np.array([(spleen[0] - 26.0, spleen[1], spleen[2]), patient.at(40.0, 8.0, 24.0), joint]),
        4.0,
    )
    portal = polyline(np.array([joint, patient.at(-18.0, -4.0, 15.0), split]), 6.5)
    mesenteric = polyline(np.array([joint, patient.at(-4.0, -16.0, -30.0),
                                    patient.at(-2.0, -22.0, -80.0)]), 5.0)  # fmt: skip
    artery = polyline(np.array([patient.at(7.0, 6.0, 12.0), patient.at(7.0, -10.0, -6.0),
                                patient.at(6.0, -20.0, -80.0)]), 3.6)  # fmt: skip
    around = polyline(aorta, patient.aorta_mm + 5.0)
    veins = [("splenic vein", splenic), ("portal vein", portal), ("mesenteric vein", mesenteric)]
    return [
        tube_layer("aortic fat", "adipose", around, grid, 2.5),
        *(tube_layer(f"renal vein {n}", "venous_blood", t, grid, 2.0) for n, t in enumerate(renal)),
        *(tube_layer(name, "portal_blood", tube, grid, 2.0) for name, tube in veins),
        tube_layer("mesenteric artery", "arterial_blood", artery, grid, 2.0),
        tube_layer("vena cava", "venous_blood", polyline(cava, patient.cava_mm), grid, 2.0),
        tube_layer("aorta", "arterial_blood", polyline(aorta, patient.aorta_mm), grid, 2.0),
    ]
