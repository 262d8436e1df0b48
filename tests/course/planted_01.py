"""Wrong answers to lesson 01, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "01_from_scanner_to_tensor"
POSSIBLE = 11.0

planted = planter({
    "q1": "def lesion_side(lesion, brain, affine):",
    "q2": "def resize_mask(mask, shape):",
    "q3": "def suv_from(bq_ml, weight_kg, injected_bq, half_life_s,\n"
    "             injected_at, scanned_at, decay_correction):",
    "q4": "def split_slices(patients, classes, seed):",
})  # fmt: skip

Q1 = (
    "the_toy_lesion_is_on_the_right lps_is_the_same_patient a_mirrored_lesion_is_on_the_left "
    "any_order_of_axes any_origin a_turned_grid"
)
Q2 = "twice_and_half no_label_is_invented the_centre_decides names_stay_whole_numbers"
Q4 = "nobody_is_in_two_parts eighty_ten_ten each_class_in_each_part the_seed_decides"

CENTRE = """
def centre(mask):
    return affine @ np.append(np.argwhere(mask).mean(axis=0), 1.0)
"""
REFUSED = """
if decay_correction not in ("START", "ADMIN"):
    raise ValueError(decay_correction)
"""
TWO_CUTS = """
def cut(members):
    tenth = max(1, round(len(members) / 10))
    ranks = enumerate(members)
    return {m: "val" if r < tenth else "test" if r < 2 * tenth else "train" for r, m in ranks}
"""

PLANTED = [
    # Exercise 1: the side of a lesion.
    planted(
        "sign_of_x_alone",
        "q1",
        CENTRE + 'return "right" if centre(lesion)[0] > 0 else "left"',
        "the_toy_lesion_is_on_the_right any_order_of_axes any_origin a_turned_grid",
    ),
    planted(
        "affine_forgotten",
        "q1",
        """
        first = [np.argwhere(mask).mean(axis=0)[0] for mask in (lesion, brain)]
        return "right" if first[0] > first[1] else "left"
        """,
        "lps_is_the_same_patient any_order_of_axes any_origin a_turned_grid",
    ),
    planted(
        "direction_of_the_first_axis_only",
        "q1",
        """
        first = [np.argwhere(mask).mean(axis=0)[0] for mask in (lesion, brain)]
        return "right" if (first[0] - first[1]) * affine[0, 0] > 0 else "left"
        """,
        "lps_is_the_same_patient any_order_of_axes a_turned_grid",
    ),
    planted(
        "nearest_axis_alone",
        "q1",
        """
        axis = int(np.abs(affine[0, :3]).argmax())
        place = [np.argwhere(mask).mean(axis=0)[axis] for mask in (lesion, brain)]
        return "right" if (place[0] - place[1]) * affine[0, axis] > 0 else "left"
        """,
        "a_turned_grid",
    ),
    planted(
        "sides_swapped",
        "q1",
        CENTRE + 'return "left" if centre(lesion)[0] > centre(brain)[0] else "right"',
        Q1,
    ),
    planted(
        "middle_of_the_array",
        "q1",
        """
        middle = affine @ np.append((np.array(brain.shape) - 1) / 2, 1.0)
        centre = affine @ np.append(np.argwhere(lesion).mean(axis=0), 1.0)
        return "right" if centre[0] > middle[0] else "left"
        """,
        "any_origin",
    ),
    planted(
        "first_voxel_for_the_centre",
        "q1",
        CENTRE + "first = affine @ np.append(np.argwhere(lesion)[0], 1.0)\n"
        'return "right" if first[0] > centre(brain)[0] else "left"',
        "a_turned_grid",
    ),
    # Exercise 2: a mask resized.
    planted(
        "half_a_pixel_forgotten",
        "q2",
        """
        rows = np.arange(shape[0]) * mask.shape[0] // shape[0]
        columns = np.arange(shape[1]) * mask.shape[1] // shape[1]
        return mask[np.ix_(rows, columns)]
        """,
        "twice_and_half the_centre_decides",
    ),
    planted(
        "corners_aligned",
        "q2",
        """
        rows, columns = (np.linspace(0, n - 1, m).round() for n, m in zip(mask.shape, shape))
        return mask[np.ix_(rows.astype(int), columns.astype(int))]
        """,
        "twice_and_half the_centre_decides",
    ),
    planted(
        "bilinear_and_rounded",
        "q2",
        """
        rows, columns = ((np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(mask.shape, shape))
        along = np.stack([np.interp(columns, np.arange(mask.shape[1]), line) for line in mask])
        both = [np.interp(rows, np.arange(mask.shape[0]), line) for line in along.T]
        return np.stack(both).T.round().astype(mask.dtype)
        """,
        Q2,
    ),
    planted(
        "axes_swapped",
        "q2",
        """
        columns, rows = (
            np.floor((np.arange(m) + 0.5) * n / m).astype(int)
            for n, m in zip(mask.shape[::-1], shape)
        )
        return mask[np.ix_(rows, columns)]
        """,
        "twice_and_half the_centre_decides",
    ),
    planted(
        "eight_bits",
        "q2",
        """
        rows, columns = (
            np.floor((np.arange(m) + 0.5) * n / m).astype(int) for n, m in zip(mask.shape, shape)
        )
        return mask.astype(np.uint8)[np.ix_(rows, columns)]
        """,
        "names_stay_whole_numbers",
    ),
    planted(
        "filled_into_floats",
        "q2",
        """
        new = np.zeros(shape)
        for r in range(shape[0]):
            for c in range(shape[1]):
                row = int((r + 0.5) * mask.shape[0] / shape[0])
                new[r, c] = mask[row, int((c + 0.5) * mask.shape[1] / shape[1])]
        return new
        """,
        "names_stay_whole_numbers",
    ),
    planted(
        "pixels_repeated",
        "q2",
        """
        by = [max(1, m // n) for n, m in zip(mask.shape, shape)]
        return np.kron(mask, np.ones(by, mask.dtype))
        """,
        "twice_and_half the_centre_decides",
    ),
    # Exercise 3: SUV.
    planted(
        "over_midnight_negative",
        "q3",
        REFUSED + 'waited = scanned_at - injected_at if decay_correction == "START" else 0.0\n'
        "return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))",
        "over_midnight",
    ),
    planted(
        "absolute_difference",
        "q3",
        REFUSED + 'waited = abs(scanned_at - injected_at) if decay_correction == "START" else 0.0\n'
        "return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))",
        "over_midnight",
    ),
    planted(
        "admin_taken_as_start",
        "q3",
        REFUSED + "waited = (scanned_at - injected_at) % 86400\n"
        "return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))",
        "evenly_spread_is_one any_patient",
    ),
    planted(
        "start_taken_as_admin",
        "q3",
        REFUSED + "return bq_ml * 1000 * weight_kg / injected_bq",
        "one_half_life_doubles any_patient over_midnight",
    ),
    planted(
        "weight_in_kilograms",
        "q3",
        REFUSED
        + 'waited = (scanned_at - injected_at) % 86400 if decay_correction == "START" else 0.0\n'
        "return bq_ml * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))",
        "evenly_spread_is_one one_half_life_doubles any_patient over_midnight",
    ),
    planted(
        "e_instead_of_two",
        "q3",
        REFUSED
        + 'waited = (scanned_at - injected_at) % 86400 if decay_correction == "START" else 0.0\n'
        "return bq_ml * 1000 * weight_kg / (injected_bq * np.exp(-waited / half_life_s))",
        "one_half_life_doubles any_patient over_midnight",
    ),
    planted(
        "always_fluorine",
        "q3",
        REFUSED
        + 'waited = (scanned_at - injected_at) % 86400 if decay_correction == "START" else 0.0\n'
        "return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / 6586.2))",
        "any_patient over_midnight",
    ),
    planted(
        "anything_else_taken_as_admin",
        "q3",
        """
        waited = (scanned_at - injected_at) % 86400 if decay_correction == "START" else 0.0
        return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))
        """,
        "nothing_is_guessed",
    ),
    planted(
        "only_none_refused",
        "q3",
        """
        if decay_correction == "NONE":
            raise ValueError(decay_correction)
        waited = 0.0 if decay_correction == "ADMIN" else (scanned_at - injected_at) % 86400
        return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))
        """,
        "nothing_is_guessed",
    ),
    # Exercise 4: a split by patient and class.
    planted(
        "slices_split",
        "q4",
        TWO_CUTS
        + """
part_of = {}
for label in sorted(set(classes)):
    own = [i for i, c in enumerate(classes) if c == label]
    part_of |= cut(np.random.default_rng(seed).permutation(own).tolist())
return [part_of[i] for i in range(len(patients))]
""",
        "nobody_is_in_two_parts each_class_in_each_part the_seed_decides",
    ),
    planted(
        "classes_ignored",
        "q4",
        TWO_CUTS
        + "part_of = cut(np.random.default_rng(seed).permutation(sorted(set(patients))).tolist())\n"
        "return [part_of[p] for p in patients]",
        "each_class_in_each_part",
    ),
    planted(
        "seed_ignored",
        "q4",
        TWO_CUTS
        + """
part_of = {}
for label in sorted(set(classes)):
    part_of |= cut(sorted({p for p, c in zip(patients, classes) if c == label}))
return [part_of[p] for p in patients]
""",
        "the_seed_decides",
    ),
    planted(
        "in_order_of_the_slices",
        "q4",
        TWO_CUTS
        + """
rng, part_of = np.random.default_rng(seed), {}
for label in sorted(set(classes)):
    own = dict.fromkeys(p for p, c in zip(patients, classes) if c == label)
    part_of |= cut(rng.permutation(list(own)).tolist())
return [part_of[p] for p in patients]
""",
        "the_seed_decides",
    ),
    planted(
        "seed_never_used",
        "q4",
        TWO_CUTS
        + """
part_of = {}
for label in sorted(set(classes)):
    own = sorted({p for p, c in zip(patients, classes) if c == label})
    part_of |= cut(np.random.permutation(own).tolist())
return [part_of[p] for p in patients]
""",
        "the_seed_decides",
    ),
    planted(
        "die_thrown_per_patient",
        "q4",
        """
        rng = np.random.default_rng(seed)
        names = ["train", "val", "test"]
        part_of = {p: str(rng.choice(names, p=[0.8, 0.1, 0.1])) for p in sorted(set(patients))}
        return [part_of[p] for p in patients]
        """,
        "each_class_in_each_part",
    ),
    planted(
        "one_answer_per_patient",
        "q4",
        TWO_CUTS
        + """
rng, part_of = np.random.default_rng(seed), {}
for label in sorted(set(classes)):
    own = sorted({p for p, c in zip(patients, classes) if c == label})
    part_of |= cut(rng.permutation(own).tolist())
return [part_of[p] for p in sorted(part_of)]
""",
        Q4,
    ),
]
