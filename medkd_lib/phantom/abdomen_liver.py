"""The liver: a wedge under the right dome, its veins, and what a surgeon divides it by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.abdomen_frame import AbdomenFrame, smooth_min, soft_edge
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Millimetres
from medkd_lib.phantom.anatomy import Box, FloatArray, Layer
from medkd_lib.phantom.thorax_organs import clip_to
from medkd_lib.phantom.tubes import Tubes, polyline, tube_layer
from medkd_lib.phantom.waves import random_waves

WAVE_MM = 2.2
"""How far the surface wanders from the smooth wedge (D, SD)."""


@dataclass(frozen=True)
class LiverLandmarks:
    """Where the veins run: the only things that Couinaud's eight segments are defined by.

    The planes through ``confluence`` and the far ends of the three hepatic veins are upright; the
    level of ``portal_split`` parts upper from lower segments. Whoever divides the liver needs
    this, the voxels' places and the mask, nothing else.

    Attributes:
        confluence: where the hepatic veins enter the vena cava.
        right_vein, middle_vein, left_vein: far ends of the hepatic veins.
        portal_split: where the portal vein divides.
        umbilical: front end of the left portal branch, at the falciform ligament.
        gallbladder: its middle; with ``confluence`` it spans Cantlie's plane.
    """

    confluence: Millimetres
    right_vein: Millimetres
    middle_vein: Millimetres
    left_vein: Millimetres
    portal_split: Millimetres
    umbilical: Millimetres
    gallbladder: Millimetres


def liver_landmarks(patient: AbdomenPatient) -> LiverLandmarks:
    """Place the landmarks in one person (D, after the usual anatomy)."""
    top = patient.dome_mm[0] - 24.0
    x, y, _ = patient.at(-20.0, 10.0, 0.0)
    return LiverLandmarks(
        confluence=(x, y, top),
        right_vein=patient.at(-104.0, 18.0, 18.0),
        middle_vein=patient.at(-46.0, -52.0, 16.0),
        left_vein=patient.at(44.0, -52.0, 52.0),
        portal_split=patient.at(-32.0, 0.0, 24.0),
        umbilical=patient.at(12.0, -48.0, 32.0),
        gallbladder=patient.at(-42.0, -42.0, 0.0),
    )


def liver(frame: AbdomenFrame) -> list[Layer]:
    """Liver, the fissure of its ligament, gallbladder, portal and hepatic veins inside it."""
    body = _body(frame)
    marks = liver_landmarks(frame.patient)
    return [body, _fissure(frame, body), _gallbladder(frame, marks), *_veins(frame, body, marks)]


def _body(frame: AbdomenFrame) -> Layer:
    """Wedge: under the dome, along the right wall, above the visceral surface, thin to the left."""
    patient, grid = frame.patient, frame.grid
    a, b = patient.cavity_mm
    left = patient.liver_left_mm
    box = grid.box(
        (-a - 4.0, -b - 4.0, patient.liver_tip_mm - 22.0), (left + 8.0, b + 4.0, patient.dome_mm[0])
    )
    i, j, _ = box
    x, y, z = frame.axes(box)
    scale_x, scale_y = a / 140.0, b / 85.0
    u, v = x / np.float32(scale_x), y / np.float32(scale_y)
    wall = frame.cavity_mm[i, j] - 4.0
    dome = (frame.dome_mm[i, j] - 5.0 - z) * np.float32(0.8)
    # the visceral surface rises from the tip of the right lobe to the left, and to the hilum
    up = np.clip(u + 112.0, -10.0, 240.0)
    bulge = patient.liver_belly * np.exp(-(((u + 70.0) / 45.0) ** 2))
    hilum = 26.0 * np.exp(-(((u + 22.0) / 26.0) ** 2) - ((v - 4.0) / 26.0) ** 2)
    floor = patient.liver_tip_mm + 0.86 * up - bulge + hilum
    above = (z - floor.astype(np.float32)) * np.float32(0.8)
    # the left lobe lies in front: behind it are stomach and great vessels
    right_lobe = 1.0 / (1.0 + np.exp((u + 33.0) / 6.0))
    back = (-2.0 - 0.8 * u + 84.0 * right_lobe) * scale_y
    behind = (back.astype(np.float32) - y) * np.float32(0.75)
    tip = (np.float32(left) - x) * np.float32(0.7)
    depth = smooth_min(smooth_min(wall, dome, 14.0), smooth_min(above, behind, 16.0), 12.0)
    depth = smooth_min(smooth_min(depth, tip, 14.0), _behind_kidney(frame, box), 10.0)
    depth += np.float32(WAVE_MM) * _wander(frame, box, 1)
    return Layer("liver", "liver", box, soft_edge(depth))


def _behind_kidney(frame: AbdomenFrame, box: Box) -> FloatArray:
    """Depth outside the bed of the right kidney, which is open to the back."""
    place, semi = frame.patient.kidney_place_mm[0], frame.patient.kidney_mm[0]
    x, y, z = frame.axes(box)
    room = semi[1] + 4.0
    # open to the back and, less so, to the middle: no liver lies behind a kidney
    v = y - np.float32(place[1])
    v = np.where(v > 0.0, np.float32(0.15) * v, v)
    u = x - np.float32(place[0])
    u = np.where(u > 0.0, np.float32(0.2) * u, u)
    rho = np.sqrt(
        (u / (semi[0] + 6.0)) ** 2 + (v / room) ** 2
        + ((z - place[2]) / (semi[2] + 8.0)) ** 2
    )  # fmt: skip
    return ((rho - 1.0) * room).astype(np.float32)


def _wander(frame: AbdomenFrame, box: Box, stream: int) -> FloatArray:
    """Smooth random field of variance 1, this person's own."""
    rng = np.random.default_rng([frame.patient.wave_seed, stream])
    x, y, z = np.broadcast_arrays(*frame.axes(box))
    return random_waves(rng, 45.0, 110.0, 10)(x, y, z)


def _fissure(frame: AbdomenFrame, body: Layer) -> Layer:
    """Fat in the fissure of the round ligament, between the left lobe and the rest."""
    x0, y0, z0 = frame.patient.at(14.0, -34.0, 34.0)
    b = frame.patient.cavity_mm[1]
    box = frame.grid.box((x0 - 10.0, -b, z0 - 60.0), (x0 + 10.0, y0 + 4.0, z0 + 8.0))
    x, y, z = frame.axes(box)
    # a sheet of 5 mm, drawn by its share of the voxel
    sheet = np.clip((2.5 + 0.5 * frame.pixel_mm - np.abs(x - x0)) / frame.pixel_mm, 0.0, 1.0)
    low = np.clip((y0 - y) / 3.0, 0.0, 1.0) * np.clip((z0 - z) / frame.grid.spacing_mm[2], 0.0, 1.0)
    member = (sheet * low).astype(np.float32)
    return clip_to(Layer("round ligament", "adipose", box, member), body, frame.grid)


def _gallbladder(frame: AbdomenFrame, marks: LiverLandmarks) -> Layer:
    """Pear-shaped, at the visceral surface."""
    rng = np.random.default_rng([frame.patient.wave_seed, 2])
    thick = float(rng.uniform(8.0, 15.0))
    x0, y0, z0 = marks.gallbladder
    box = frame.grid.box((x0 - 24.0, y0 - 30.0, z0 - 42.0), (x0 + 24.0, y0 + 30.0, z0 + 42.0))
    x, y, z = frame.axes(box)
    u, v, w = x - x0, y - y0 - 0.35 * (z - z0), z - z0
    rho = np.sqrt((u / thick) ** 2 + (v / thick) ** 2 + (w / (2.1 * thick)) ** 2)
    depth = ((1.0 - rho) * thick).astype(np.float32)
    return Layer("gallbladder", "bile", box, soft_edge(depth))


def _veins(frame: AbdomenFrame, body: Layer, marks: LiverLandmarks) -> list[Layer]:
    """Trunks with a few branches; inside the liver only."""
    rng = np.random.default_rng([frame.patient.wave_seed, 3])
    split, umbilical = np.array(marks.portal_split), np.array(marks.umbilical)
    place = frame.patient.at
    portal = [
        _branching(rng, split, np.array(place(-78.0, -26.0, 30.0)), 5.2),
        _branching(rng, split, np.array(place(-84.0, 28.0, 8.0)), 5.2),
        _branching(rng, split, umbilical, 4.6),
    ]
    end = np.array(marks.confluence)
    hepatic = [
        _branching(rng, end, np.array(far), radius)
        for far, radius in (
            (marks.right_vein, 4.4), (marks.middle_vein, 4.2), (marks.left_vein, 3.6),
        )
    ]  # fmt: skip
    layers = [
        tube_layer("hepatic veins", "liver_vein", _joined(hepatic), frame.grid),
        tube_layer("portal branches", "liver_vein", _joined(portal), frame.grid),
    ]
    return [clip_to(layer, body, frame.grid) for layer in layers]


def _branching(
    rng: np.random.Generator, start: FloatArray, end: FloatArray, radius_mm: float
) -> Tubes:
    """Draw a trunk that bends and tapers, with two branches at two thirds of its way."""
    along = np.linspace(0.0, 1.0, 5)[:, None]
    bend = rng.normal(0.0, 5.0, 3) * np.sin(np.pi * along)
    trunk = polyline(
        start + (end - start) * along + bend, radius_mm * np.array([1, 0.9, 0.75, 0.6])
    )
    parts = [trunk]
    for at in (2, 3):
        root = trunk.start_mm[at]
        reach = 0.45 * (end - start) + rng.normal(0.0, 17.0, 3)
        parts.append(polyline(np.stack([root, root + reach]), 0.5 * radius_mm))
    return _joined(parts)


def _joined(parts: list[Tubes]) -> Tubes:
    return Tubes(
        np.concatenate([p.start_mm for p in parts]),
        np.concatenate([p.end_mm for p in parts]),
        np.concatenate([p.radius_mm for p in parts]),
    )
