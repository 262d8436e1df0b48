"""X-ray scanner: attenuation along the beam, scatter, photon counts, detector, display."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.xray_settings import Positioning, XRaySettings

DETAIL_MM = 14.0
"""Width (σ) that parts detail from background in the display (D)."""


def line_integrals(
    mu_per_cm: FloatArray, spacing_mm: tuple[float, float, float], rotation_deg: float = 0.0
) -> FloatArray:
    r"""Line integrals of a volume along its second axis, as a film: head up, patient's left right.

    .. math:: p(x, z) = \sum_j \mu(x + y_j \tan\alpha,\ y_j,\ z)\,\Delta y

    The beam is parallel (a film taken at 180 cm magnifies front and back by up to 13 %
    differently; left out). Turning the patient by a small angle α is done as a shear.

    Args:
        mu_per_cm: (I, J, K) attenuation in cm⁻¹, axes Left, Posterior, Superior.
        spacing_mm: voxel size.
        rotation_deg: α.

    Returns:
        (K, I) float32, row 0 at the head, column 0 at the patient's right.
    """
    thickness_cm = spacing_mm[1] / 10.0
    if rotation_deg == 0.0:
        p = mu_per_cm.sum(axis=1)
    else:
        slope = np.tan(np.deg2rad(rotation_deg)) / spacing_mm[0]
        count, depth = mu_per_cm.shape[:2]
        pad = int(np.ceil(abs(slope) * spacing_mm[1] * depth / 2)) + 1
        p = np.zeros((count + 2 * pad, mu_per_cm.shape[2]), np.float32)
        for j in range(depth):
            moved = (j - (depth - 1) / 2) * spacing_mm[1] * slope
            whole = int(np.floor(moved))
            part = np.float32(moved - whole)
            plane = mu_per_cm[:, j]
            first = pad - whole - 1
            p[first + 1 : first + 1 + count] += (1 - part) * plane
            p[first : first + count] += part * plane
        p = p[pad : pad + count]
    return np.ascontiguousarray((p * np.float32(thickness_cm))[:, ::-1].T)


def on_detector(
    p: FloatArray, pixel_mm: tuple[float, float], settings: XRaySettings, positioning: Positioning
) -> FloatArray:
    """Line integrals seen by the detector's pixels: zoom, tilt, shift, linear interpolation.

    Args:
        p: (K, I) line integrals.
        pixel_mm: size of its pixels, (along rows, along columns).
        settings: field and pixel number.
        positioning: zoom, tilt and shift.

    Returns:
        (pixels, pixels) float32; outside the volume the nearest value goes on (the belly does
        not end where the grid does).
    """
    step = settings.field_mm / positioning.zoom / settings.pixels
    c, s = np.cos(np.deg2rad(positioning.tilt_deg)), np.sin(np.deg2rad(positioning.tilt_deg))
    # detector pixel → mm from its middle → turned and shifted → index in p
    turn = np.array([[c, -s], [s, c]]) * step / np.array(pixel_mm)[:, None]
    shift = np.array([positioning.shift_mm[1], -positioning.shift_mm[0]]) / np.array(pixel_mm)
    middle = (np.array(p.shape) - 1) / 2 + shift
    offset = middle - turn @ np.full(2, (settings.pixels - 1) / 2)
    size = (settings.pixels, settings.pixels)
    return np.asarray(
        ndimage.affine_transform(p, turn, offset, size, np.float32, order=1, mode="nearest")
    )


def expose(
    p: FloatArray,
    settings: XRaySettings,
    rng: np.random.Generator,
    exposure: float = 1.0,
    pixel_mm: float | None = None,
) -> FloatArray:
    r"""Photon counts behind the patient.

    .. math:: P = I_0 e^{-p}, \quad S = \tfrac{f}{1-f}\,G_\sigma * P, \quad
              N \sim \mathrm{Poisson}(P + S), \quad D = G_b * N

    Args:
        p: (H, W) line integrals.
        settings: I0, scatter fraction f and width σ, blur b.
        rng: source of the counts.
        exposure: factor on I0.
        pixel_mm: pixel size; default field over pixels.

    Returns:
        Detected counts, float32 (blurred counts are not whole numbers).
    """
    pixel = pixel_mm or settings.field_mm / settings.pixels
    primary = np.float32(settings.photons * exposure) * np.exp(-p)
    fraction = settings.scatter_fraction
    if fraction > 0.0:
        scatter = _low_pass(primary, settings.scatter_mm / pixel)
        primary = primary + np.float32(fraction / (1.0 - fraction)) * scatter
    counts = rng.poisson(primary).astype(np.float32)
    if settings.blur_mm > 0.0:
        counts = ndimage.gaussian_filter(counts, settings.blur_mm / pixel, mode="nearest")
    return counts


def _low_pass(image: FloatArray, sigma: float) -> FloatArray:
    """Wide Gaussian, computed on a coarser copy: σ of many pixels needs no fine grid."""
    step = max(int(sigma // 3), 1)
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest"))
    rows, columns = (-n % step for n in image.shape)
    padded = np.pad(image, ((0, rows), (0, columns)), mode="edge")
    shape = (padded.shape[0] // step, step, padded.shape[1] // step, step)
    coarse = padded.reshape(shape).mean(axis=(1, 3))
    coarse = ndimage.gaussian_filter(coarse, sigma / step, mode="nearest")
    # pixel i of the fine image lies at (i + 1/2)/step − 1/2 of the coarse one
    offset = 0.5 / step - 0.5
    return np.asarray(
        ndimage.affine_transform(
            coarse, np.full(2, 1.0 / step), offset, image.shape, np.float32, order=1, mode="nearest"
        )
    )


def display(
    counts: FloatArray, open_beam: float, settings: XRaySettings, positioning: Positioning
) -> NDArray[np.uint8]:
    r"""Turn counts into an 8-bit film, bone bright and lung dark.

    .. math:: q = -\log(N / N_0), \qquad
              g = 240\Big/\Big(1 + e^{-(q - c)/w - b}\Big)

    The centre :math:`c` is the automatic exposure: the median of q over the middle of the film.

    Args:
        counts: detected counts.
        open_beam: counts of the beam without a patient, scatter included.
        settings: contrast and brightness.
        positioning: this film's deviations from them.
    """
    q = -np.log(np.maximum(counts, 1.0) / np.float32(open_beam))
    # q ← q + gain (q − low-pass q): digital films are shown with their detail raised
    pixel = settings.field_mm / settings.pixels
    q = q + np.float32(settings.detail) * (q - _low_pass(q, DETAIL_MM / pixel))
    edge = settings.pixels // 5
    centre = np.median(q[edge:-edge:2, edge:-edge:2])
    width = settings.contrast * positioning.contrast
    shift = settings.brightness + positioning.brightness
    gray = 240.0 / (1.0 + np.exp(-(q - centre) / width - shift))
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)


# The letter R, one row of seven per line: burned into the film on the patient's right.
_LETTER_R = ("11110", "10001", "10001", "11110", "10100", "10010", "10001")


def burn_marker(
    film: NDArray[np.uint8], height: int, place: tuple[float, float]
) -> NDArray[np.uint8]:
    """Copy of the film with a bright R on the patient's right (the image's left)."""
    if height <= 0:
        return film
    glyph = np.array([[int(c) for c in row] for row in _LETTER_R], np.uint8)
    times = max(height // len(_LETTER_R), 1)
    letter = np.kron(glyph, np.ones((times, times), np.uint8))
    row, column = (int(share * n) for share, n in zip(place, film.shape, strict=True))
    marked = film.copy()
    part = marked[row : row + letter.shape[0], column : column + letter.shape[1]]
    part[letter[: part.shape[0], : part.shape[1]] > 0] = 250
    return marked


def take_film(
    mu_per_cm: FloatArray,
    spacing_mm: tuple[float, float, float],
    settings: XRaySettings,
    positioning: Positioning,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Volume → film: line integrals, detector, photons, display, side marker.

    Args:
        mu_per_cm: (I, J, K) attenuation at the beam's mean energy (65 keV), cm⁻¹.
        spacing_mm: voxel size.
        settings: the room.
        positioning: this film.
        rng: source of the photon noise.

    Returns:
        (pixels, pixels) uint8, patient's left on the image's right.
    """
    p = line_integrals(mu_per_cm, spacing_mm, positioning.rotation_deg)
    p = on_detector(p, (spacing_mm[2], spacing_mm[0]), settings, positioning)
    counts = expose(p, settings, rng, positioning.exposure)
    open_beam = settings.photons * positioning.exposure / (1.0 - settings.scatter_fraction)
    film = display(counts, open_beam, settings, positioning)
    return burn_marker(film, settings.marker, positioning.marker_place)
