"""Wrong answers to lesson 07, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "07_labels_and_boxes"
POSSIBLE = 10.5

planted = planter({
    "q1": "def told_by_house(houses, classes, asked):",
    "q2": "def within(scores, positive, houses):",
    "q3": "def hint(student, teacher, inside):",
    "q4": "def found_at(scores, hit, lesions, images, per_image):",
})  # fmt: skip


def framed(
    *, unknown: str = "whole", first: str = "np.argmax(np.bincount(what[where == h]))",
    house: str = "(where == h).any()",
) -> str:  # fmt: skip
    """Return a reader of frames that is right but for the parts that are given."""
    return f"""
where, what = np.array(houses), np.array(classes)
whole = np.argmax(np.bincount(what))
return np.array([{first} if {house} else {unknown} for h in asked])
"""


def ranked(
    *, tie: str = "+ 0.5 * (ahead == 0)",
    same: str = "houses[positive][:, None] == houses[~positive]",
    nothing: str = 'float("nan")', letter: str = "b",
) -> str:  # fmt: skip
    """Return pairs within houses that are right but for the parts that are given."""
    return f"""
ahead = scores[positive][:, None] - scores[~positive]
same = {same}
value = float(((ahead > 0) {tie})[same].mean()) if same.any() else {nothing}
return value, "{letter}"
"""


def hinted(
    *, teacher: str = "teacher.detach()", hard: str = "topk(min(int(f.sum()), int((~f).sum())))",
    each: str = "torch.cat([d[f], hardest]).mean()", mean: str = "mean(dim=1)",
) -> str:  # fmt: skip
    """Return a hint on boxes that is right but for the parts that are given."""
    return f"""
distance = (student - {teacher}).square().{mean}
losses = []
for d, f in zip(distance, inside, strict=True):
    hardest = d[~f].{hard}.values
    losses.append({each})
return torch.stack(losses).mean()
"""


def counted(
    *, passed: str = "scores >= threshold",
    least: str = "(passed & ~hit).sum() <= per_image * images",
    share: str = "best / lesions", start: str = "0",
) -> str:  # fmt: skip
    """Return a point of the FROC that is right but for the parts that are given."""
    return f"""
best = {start}
for threshold in np.unique(scores):
    passed = {passed}
    if {least}:
        best = max(best, int((passed & hit).sum()))
return {share}
"""


PLANTED = [
    # Exercise 1: the reader of frames.
    planted("class_zero_for_strangers", "q1", framed(unknown="0"), "a_house_nobody_trained_on"),
    planted("last_of_equal_ones", "q1",
            framed(first="max(what[where == h], key=lambda c: ((what[where == h] == c).sum(), c))"),
            "of_equal_ones_the_lowest"),
    planted("the_whole_set_for_everybody", "q1", framed(house="False"),
            "the_table_above a_house_nobody_trained_on of_equal_ones_the_lowest fresh_films"),
    planted("one_answer_in_all", "q1", "return np.array([np.argmax(np.bincount(classes))])",
            "the_table_above one_answer_for_each_film a_house_nobody_trained_on fresh_films "
            "of_equal_ones_the_lowest"),
    planted(
        "answer_imported",
        "q1",
        """
        from medkd_lib.course.mended_tasks import told_by_house as theirs
        return theirs(houses, classes, asked)
        """,
        "the_table_above one_answer_for_each_film a_house_nobody_trained_on fresh_films "
        "of_equal_ones_the_lowest",
        "medkd_lib",
    ),
    # Exercise 2: within a house.
    planted("pairs_of_two_houses", "q2", ranked(same="np.ones(ahead.shape, bool)"),
            "two_houses_by_hand who_knows_the_house_alone_is_a_coin fresh_scores "
            "no_pair_no_number"),
    planted("equal_ones_lost", "q2", ranked(tie="+ 0"),
            "two_houses_by_hand who_knows_the_house_alone_is_a_coin fresh_scores"),
    planted("half_without_a_pair", "q2", ranked(nothing="0.5"), "no_pair_no_number"),
    planted("distillation_taught_lungs", "q2", ranked(letter="a"), "what_was_handed_on"),
    planted("no_letter", "q2", ranked(letter=""), "a_letter_is_noted what_was_handed_on"),
    # Exercise 3: hints where it matters.
    planted("teacher_is_taught", "q3", hinted(teacher="teacher"), "the_teacher_is_a_constant"),
    planted("easy_background", "q3",
            hinted(hard="topk(min(int(f.sum()), int((~f).sum())), largest=False)"),
            "four_cells_by_hand image_by_image"),
    planted("boxes_alone", "q3", hinted(each="d[f].mean()"),
            "four_cells_by_hand image_by_image a_box_of_nearly_everything"),
    planted("two_means", "q3", hinted(each="(d[f].mean() + hardest.mean()) / 2"),
            "a_box_of_nearly_everything"),
    planted("sum_over_channels", "q3", hinted(mean="sum(dim=1)"),
            "image_by_image a_box_of_nearly_everything"),
    planted(
        "one_background_for_the_batch",
        "q3",
        """
        d = (student - teacher.detach()).square().mean(dim=1)
        hardest = d[~inside].topk(min(int(inside.sum()), int((~inside).sum()))).values
        return torch.cat([d[inside], hardest]).mean()
        """,
        "image_by_image",
    ),
    # Exercise 4: a point of the FROC.
    planted("above_and_not_at", "q4", counted(passed="scores > threshold"),
            "five_boxes_by_hand equal_scores_pass_together"),
    planted("per_set_not_per_image", "q4",
            counted(least="(passed & ~hit).sum() <= per_image"),
            "five_boxes_by_hand fresh_boxes"),
    planted("share_of_the_boxes", "q4", counted(share="best / max(1, hit.sum())"),
            "five_boxes_by_hand fresh_boxes"),
    planted("one_is_always_found", "q4", counted(start="1"), "nothing_found_is_zero"),
    planted("one_by_one", "q4",
            """
            order = np.argsort(-scores, kind="stable")
            false = np.cumsum(~hit[order])
            return float(hit[order][false <= per_image * images].sum() / lesions)
            """,
            "equal_scores_pass_together fresh_boxes"),
]  # fmt: skip
