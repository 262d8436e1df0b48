"""One film of one person at one source: shadow, detector, display, letters, history, and mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.film_energy import mu_at
from medkd_lib.phantom.film_marks import (
    Film,
    burn_letters,
    close_shutters,
    resized,
    through_jpeg,
)
from medkd_lib.phantom.film_person import FilmPerson
from medkd_lib.phantom.film_sources import FilmSource
from medkd_lib.phantom.thorax import ThoraxAnatomy, voxelise_thorax
from medkd_lib.phantom.xray import line_integrals, on_detector, take_film
from medkd_lib.phantom.xray_settings import Positioning, sample_positioning

Size = Literal["small", "full"]

GRIDS: Mapping[Size, Grid] = MappingProxyType(
    {"small": Grid((128, 32, 128), (3.0, 8.25, 3.0)), "full": Grid()}
)
NATIVE_PIXELS: Mapping[Size, int] = MappingProxyType({"small": 160, "full": 320})
"""Edge of a film before any set resized it; films of one person and take are the same in all."""

LUNG_CM = 5.0
"""A mask marks where an adult's beam meets that much lung (D), before or behind the heart."""

MASK_GREY = 255


@dataclass(frozen=True)
class Standing:
    """A person before the detector.

    Attributes:
        person: who.
        source: where.
        anatomy: the layers.
        mu: attenuation at the source's energy, cm⁻¹.
        lungs: share of each voxel that lung takes, opacities included.
    """

    person: FilmPerson
    source: FilmSource
    anatomy: ThoraxAnatomy
    mu: FloatArray
    lungs: FloatArray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size of this body."""
        x, y, z = (s * self.person.scale for s in self.anatomy.grid.spacing_mm)
        return x, y, z


@dataclass(frozen=True)
class Taken:
    """A native film.

    Attributes:
        film: (pixels, pixels), patient's left on the image's right.
        mask: the same shape, 0 and 255.
        positioning: how the patient stood.
    """

    film: Film
    mask: Film
    positioning: Positioning


def stand(person: FilmPerson, source: FilmSource, size: Size) -> Standing:
    """Lay a person on the grid of a size and paint what the source's beam sees."""
    anatomy = voxelise_thorax(person.body, GRIDS[size])
    mu = anatomy.paint(mu_at(person.body.mu_values(), source.kev))
    return Standing(person, source, anatomy, mu, anatomy.fraction("lung", "exudate"))


def take(standing: Standing, size: Size, rng: np.random.Generator) -> Taken:
    """Take one film; position, exposure, photons, borders and losses are drawn anew.

    The field follows the body: a child is collimated as tightly as an adult.

    Args:
        standing: who, and where.
        size: sets the pixels.
        rng: source of randomness of this film.
    """
    source, scale, pixels = standing.source, standing.person.scale, NATIVE_PIXELS[size]
    drawn = sample_positioning(rng)
    positioning = replace(drawn, shift_mm=(drawn.shift_mm[0] * scale, drawn.shift_mm[1] * scale))
    room = replace(source.room, pixels=pixels, marker=0, field_mm=source.room.field_mm * scale)
    film = take_film(standing.mu, standing.spacing_mm, room, positioning, rng)
    # the same projection of the lungs alone, in cm of lung
    shadow = line_integrals(standing.lungs, standing.spacing_mm, positioning.rotation_deg)
    pixel_mm = (standing.spacing_mm[2], standing.spacing_mm[0])
    depth = on_detector(shadow, pixel_mm, room, positioning)
    mask = np.where(depth >= LUNG_CM * scale, MASK_GREY, 0).astype(np.uint8)
    film, mask = _squeezed(film, mask, rng.uniform(*source.cut))
    return Taken(_developed(film, source, rng), mask, positioning)


def _squeezed(film: Film, mask: Film, cut: float) -> tuple[Film, Film]:
    """Cut a share of the height, half above and half below, and squeeze the rest into a square."""
    height, width = film.shape
    lost = round(cut * height / 2)
    rows = np.s_[lost : height - lost]
    size = (height, width)
    return resized(film[rows], size), resized(mask[rows], size, mask=True)


def _developed(film: Film, source: FilmSource, rng: np.random.Generator) -> Film:
    """Close the shutters, burn the letters in, and send the film through its history."""
    top, right, bottom, left = (float(rng.uniform(*source.shutter)) for _ in range(4))
    film = close_shutters(film, (top, right, bottom, left))
    for text, side in source.letters:
        row, column = float(rng.uniform(0.05, 0.16)), float(rng.uniform(0.04, 0.09))
        place = (row, column if side == "left" else 1.0 - column)
        film = burn_letters(film, text, round(source.letter * film.shape[0]), place)
    share = float(rng.uniform(*source.detail))
    if share < 1.0:
        small = round(share * film.shape[0])
        film = resized(resized(film, (small, small)), (film.shape[0], film.shape[1]))
    for _ in range(source.saved):
        film = through_jpeg(film, int(rng.integers(int(source.quality[0]), int(source.quality[1]))))
    return film
