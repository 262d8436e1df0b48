"""Wrong answers to lesson 04, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "04_unpaired_modalities"
POSSIBLE = 12.0

planted = planter({
    "q1": "def match_quantiles(ct, mr):",
    "q2": "def hint_loss(student_map, teacher_map):",
    "q3": "def step_losses(networks, ct, ct_masks, mr, mr_masks):",
    "q4": "def bar_and_reason(image, tumour):",
})  # fmt: skip

Q2 = (
    "two_positions_by_hand two_images_by_hand scale_and_shift_cost_nothing "
    "the_teacher_is_not_pulled unseen_maps a_dead_channel_stays_finite"
)


def matched(*, order: str = "np.argsort(ct)", first: str = "target = np.sort(mr)") -> str:
    """Return quantiles that are right but for the parts that are given."""
    return f"""
{first}
_, group, count = np.unique(ct, return_inverse=True, return_counts=True)
painted = np.empty(len(ct))
painted[{order}] = target
return (np.bincount(group, painted) / count)[group]
"""


def normalised(
    *,
    over: str = "(0, 2, 3)",
    correction: int = 0,
    epsilon: str = "1e-5",
    teacher: str = "teacher_map.detach()",
    student: str = "student_map",
    reduction: str = "mean",
) -> str:
    """Return a hint loss that is right but for the parts that are given."""
    return f"""
def normalised(x):
    variance = x.var(dim={over}, keepdim=True, correction={correction})
    return (x - x.mean(dim={over}, keepdim=True)) / (variance + {epsilon}).sqrt()

return F.mse_loss(normalised({student}), normalised({teacher}), reduction="{reduction}")
"""


def step(
    *,
    fooled: str = "translated",
    before: str = "judge.requires_grad_(False)",
    after: str = "judge.requires_grad_(True)",
    wanted: str = "1",
    fake: str = "pseudo",
    shown: str = "pseudo",
    label: str = "ct_masks",
    mine: str = "mine",
    told: str = "told.detach()",
) -> str:
    """Return a step that is right but for the parts that are given."""
    return f"""
judge, translated = networks["judge"], networks["generator"](ct)
pseudo = translated.detach()
{before}
adversarial = (judge({fooled}) - {wanted}).square().mean()
{after}
judged = (judge(mr) - 1).square().mean() + judge({fake}).square().mean()
mr_logits, _ = networks["teacher"](mr)
pseudo_logits, told = networks["teacher"]({shown})
logits, mine = networks["student"](ct)
return {{
    "adversarial": adversarial,
    "judge": judged,
    "teacher": F.cross_entropy(mr_logits, mr_masks) + F.cross_entropy(pseudo_logits, {label}),
    "student": F.cross_entropy(logits, ct_masks),
    "hint": F.mse_loss({mine}, {told}),
}}
"""


def bar(
    *,
    corners: str = "True",
    ring: str = "np.any(shifted, axis=0) & ~tumour",
    scale: str = "image.std()",
    letter: str = "c",
) -> str:
    """Return a bar that is right but for the parts that are given."""
    return f"""
height, width = tumour.shape
padded = np.pad(tumour, 1)
shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)
           if {corners} or 1 in (i, j)]
ring = {ring}
return float((image[tumour].mean() - image[ring].mean()) / {scale}), "{letter}"
"""


PLANTED = [
    # Exercise 1: quantiles matched.
    planted(
        "ties_broken_by_rank",
        "q1",
        "painted = np.empty(len(ct))\npainted[np.argsort(ct)] = np.sort(mr)\nreturn painted",
        "five_pixels_by_hand three_of_a_kind_by_hand equal_values_stay_equal",
    ),
    planted(
        "ties_get_the_lowest",
        "q1",
        "return np.sort(mr)[np.searchsorted(np.sort(ct), ct)]",
        "five_pixels_by_hand three_of_a_kind_by_hand equal_values_stay_equal",
    ),
    planted(
        "bright_becomes_dark",
        "q1",
        matched(order="np.argsort(-ct)"),
        "five_pixels_by_hand three_of_a_kind_by_hand darker_stays_darker equal_values_stay_equal",
    ),
    planted(
        "ranks_averaged_and_not_values",
        "q1",
        """
        _, group, count = np.unique(ct, return_inverse=True, return_counts=True)
        rank = np.empty(len(ct))
        rank[np.argsort(ct)] = np.arange(len(ct))
        mean_rank = (np.bincount(group, rank) / count)[group]
        return np.interp(mean_rank, np.arange(len(ct)), np.sort(mr))
        """,
        "three_of_a_kind_by_hand equal_values_stay_equal",
    ),
    planted(
        "sorted_in_place",
        "q1",
        matched(first="mr.sort()\ntarget = mr"),
        "the_inputs_stay_as_they_were",
    ),
    planted(
        "order_not_undone",
        "q1",
        "return np.sort(mr)",
        "five_pixels_by_hand three_of_a_kind_by_hand darker_stays_darker equal_values_stay_equal",
    ),
    planted(
        "mean_and_deviation_only",
        "q1",
        "return (ct - ct.mean()) / ct.std() * mr.std() + mr.mean()",
        "five_pixels_by_hand three_of_a_kind_by_hand the_histogram_is_mrs equal_values_stay_equal",
    ),
    # Exercise 2: the hint loss.
    planted(
        "maps_as_they_are",
        "q2",
        "return F.mse_loss(student_map, teacher_map.detach())",
        "two_positions_by_hand two_images_by_hand scale_and_shift_cost_nothing unseen_maps "
        "a_dead_channel_stays_finite",
    ),
    planted("teacher_pulled", "q2", normalised(teacher="teacher_map"), "the_teacher_is_not_pulled"),
    planted(
        "student_cut_off",
        "q2",
        normalised(student="student_map.detach()", teacher="teacher_map"),
        "the_teacher_is_not_pulled",
    ),
    planted(
        "every_image_on_its_own",
        "q2",
        normalised(over="(2, 3)"),
        "two_images_by_hand unseen_maps",
    ),
    planted(
        "all_channels_together",
        "q2",
        normalised(over="(0, 1, 2, 3)"),
        "two_images_by_hand unseen_maps",
    ),
    planted(
        "summed",
        "q2",
        normalised(reduction="sum"),
        "two_positions_by_hand two_images_by_hand unseen_maps a_dead_channel_stays_finite",
    ),
    planted(
        "deviation_of_a_sample",
        "q2",
        normalised(correction=1),
        "two_positions_by_hand two_images_by_hand unseen_maps a_dead_channel_stays_finite",
    ),
    planted(
        "dead_channel_divides_by_zero",
        "q2",
        normalised(epsilon="0.0"),
        "unseen_maps a_dead_channel_stays_finite",
    ),
    planted(
        "answer_imported",
        "q2",
        """
        from medkd_lib.distill.feature_distance import feature_distance
        return feature_distance(student_map, teacher_map, "l2", True)
        """,
        Q2,
        "medkd_lib",
    ),
    # Exercise 3: the step with three bugs, one of them left in; and mendings that go wrong.
    planted(
        "careless_as_it_was",
        "q3",
        step(fake="translated", label="mr_masks", told="told"),
        "a_pseudo_image_shows_the_cts_patient the_judge_alone_learns_to_judge "
        "the_hint_trains_the_student_alone unseen_losses",
    ),
    planted(
        "masks_still_swapped",
        "q3",
        step(label="mr_masks"),
        "a_pseudo_image_shows_the_cts_patient unseen_losses",
    ),
    planted(
        "fakes_still_attached", "q3", step(fake="translated"), "the_judge_alone_learns_to_judge"
    ),
    planted("teacher_still_pulled", "q3", step(told="told"), "the_hint_trains_the_student_alone"),
    planted(
        "hint_cut_off_from_the_student",
        "q3",
        step(mine="mine.detach()", told="told"),
        "the_hint_trains_the_student_alone",
    ),
    planted(
        "fooling_trains_the_judge",
        "q3",
        step(before="", after=""),
        "fooling_trains_the_generator_alone",
    ),
    planted(
        "judge_left_frozen",
        "q3",
        step(after=""),
        "everybody_stays_trainable the_judge_alone_learns_to_judge",
    ),
    planted(
        "student_cut_off_from_its_labels",
        "q3",
        step().replace("(logits, ct_masks)", "(logits, ct_masks).detach()"),
        "segmentation_stays_at_home",
    ),
    planted("nobody_is_fooled", "q3", step(fooled="pseudo"), "fooling_trains_the_generator_alone"),
    planted(
        "generator_paints_for_the_teacher",
        "q3",
        step(shown="translated"),
        "segmentation_stays_at_home",
    ),
    planted("paid_for_being_caught", "q3", step(wanted="0"), "unseen_losses"),
    # Exercise 4: the bar, and what it means.
    planted(
        "corners_left_out",
        "q4",
        bar(corners="False"),
        "the_five_in_the_middle an_unseen_tumour",
    ),
    planted("ring_is_all_the_rest", "q4", bar(ring="~tumour"), "an_unseen_tumour"),
    planted(
        "ring_with_the_tumour",
        "q4",
        bar(ring="np.any(shifted, axis=0)"),
        "the_five_in_the_middle an_unseen_tumour",
    ),
    planted("not_divided", "q4", bar(scale="1"), "the_five_in_the_middle an_unseen_tumour"),
    planted(
        "deviation_of_a_sample",
        "q4",
        bar(scale="image.std(ddof=1)"),
        "the_five_in_the_middle an_unseen_tumour",
    ),
    planted("small_error_is_enough", "q4", bar(letter="a"), "why_a_good_picture_need_not_help"),
    planted("no_gain_is_possible", "q4", bar(letter="b"), "why_a_good_picture_need_not_help"),
    planted(
        "no_letter_of_the_four",
        "q4",
        bar(letter="e"),
        "the_five_in_the_middle why_a_good_picture_need_not_help",
    ),
]
