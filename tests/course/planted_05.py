"""Wrong answers to lesson 05, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "05_a_graph_of_regions"
POSSIBLE = 9.75

planted = planter({
    "q1": "def edge_loss(student, teacher, plan):",
    "q2": "def weighed_channels(features, narrow, widen):",
    "q3": "def node_step(student, teacher, ct, pet, dropped, masks):",
    "q4": "def benefit_and_reason(scores, sick, threshold):",
})  # fmt: skip


def edges(
    *,
    rows: str = "plan / plan.sum(dim=1, keepdim=True)",
    units: str = "nn.functional.normalize(x, dim=1)",
    teacher: str = "teacher.detach()",
    student: str = "student",
    kept: str = "~torch.eye(len(student), dtype=torch.bool)",
) -> str:
    """Return an edge loss that is right but for the parts that are given."""
    return f"""
mine, theirs = ({units} for x in ({student}, {teacher}))
rows = {rows}
return (mine @ mine.T - rows @ (theirs @ theirs.T) @ rows.T)[{kept}].square().mean()
"""


def channels(
    *, pooled: str = "passed(mean) + passed(highest)", over: str = "(2, 3, 4)", act: str = "relu"
) -> str:
    """Return channel weights that are right but for the parts that are given."""
    return f"""
def passed(x):
    return torch.{act}(x @ narrow.T) @ widen.T

mean, highest = features.mean(dim={over}), features.amax(dim={over})
return torch.sigmoid({pooled})[:, :, None, None, None] * features
"""


def step(
    *,
    shown: str = "pet * (~dropped)[:, None, None, None, None]",
    mine: str = "student(torch.cat([ct, shown], dim=1))",
    theirs: str = "teacher(torch.cat([ct, pet], dim=1)).detach()",
    size: str = "masks.sum(dim=(2, 3, 4))",
    result: str = "apart[size > 0].mean()",
) -> str:
    """Return a step that is right but for the parts that are given."""
    return f"""
shown = {shown}
mine = {mine}
theirs = {theirs}
size = {size}
nodes = [torch.einsum("bcdhw,brdhw->brc", x, masks) / size.clamp(min=1)[..., None]
         for x in (mine, theirs)]
apart = 1 - torch.cosine_similarity(*nodes, dim=2)
return {result}
"""


def benefit(
    *,
    treated: str = "scores >= threshold",
    price: str = "threshold / (1 - threshold)",
    found: str = "(treated & sick).mean()",
    letter: str = "b",
) -> str:
    """Return a net benefit that is right but for the parts that are given."""
    return f"""
treated = {treated}
return float({found} - (treated & ~sick).mean() * {price}), "{letter}"
"""


PLANTED = [
    # Exercise 1: zero for equal graphs.
    planted(
        "plan_with_mass_one",
        "q1",
        edges(rows="plan"),
        "three_regions_by_hand equal_graphs_in_another_order other_numbers_of_nodes",
    ),
    planted("columns_instead_of_rows", "q1", edges(rows="plan / plan.sum(dim=0, keepdim=True)"),
            "other_numbers_of_nodes"),
    planted("teacher_pulled", "q1", edges(teacher="teacher"), "the_teacher_is_a_given"),
    planted(
        "features_of_any_length",
        "q1",
        edges(units="x"),
        "other_numbers_of_nodes length_does_not_matter",
    ),
    planted(
        "diagonal_counted",
        "q1",
        edges(kept="torch.ones(len(student), len(student), dtype=torch.bool)"),
        "three_regions_by_hand other_numbers_of_nodes",
    ),
    planted(
        "student_cut_off",
        "q1",
        edges(student="student.detach()", teacher="teacher"),
        "the_teacher_is_a_given",
    ),
    planted(
        "answer_imported",
        "q1",
        """
        from medkd_lib.course.mended_react import edge_loss as theirs
        return theirs(student, teacher, plan)
        """,
        "three_regions_by_hand equal_graphs_in_another_order the_teacher_is_a_given "
        "other_numbers_of_nodes length_does_not_matter",
        "medkd_lib",
    ),
    # Exercise 2: which channels?
    planted("mean_alone", "q2", channels(pooled="passed(mean)"),
            "one_channel_by_hand unseen_maps"),
    planted("pooled_before_the_matrices", "q2", channels(pooled="passed(mean + highest)"),
            "unseen_maps"),
    planted("no_relu", "q2", channels(act="clone"), "one_channel_by_hand unseen_maps"),
    planted(
        "sum_after_the_sigmoid",
        "q2",
        channels(pooled="passed(mean)) + torch.sigmoid(passed(highest)"),
        "one_channel_by_hand a_weight_per_channel_and_patient unseen_maps",
    ),
    planted(
        "batch_pooled_too",
        "q2",
        channels(pooled="(passed(mean) + passed(highest)).mean(dim=0, keepdim=True)"),
        "a_weight_per_channel_and_patient unseen_maps",
    ),
    # Exercise 3: the step with four bugs, one of them left in.
    planted(
        "careless_as_it_was",
        "q3",
        """
        if dropped.any():
            pet.zero_()
        mine = student(torch.cat([ct, pet], dim=1)).detach()
        theirs = teacher(torch.cat([ct, pet], dim=1))
        size = masks.sum(dim=(2, 3, 4))[..., None].clamp(min=1)
        nodes = [torch.einsum("bcdhw,brdhw->brc", x, masks) / size for x in (mine, theirs)]
        return (1 - torch.cosine_similarity(*nodes, dim=2)).mean()
        """,
        "the_student_learns inputs_stay_as_they_were nothing_dropped_and_one_network "
        "patient_by_patient",
    ),
    planted("still_detached", "q3", step(mine="student(torch.cat([ct, shown], dim=1)).detach()"),
            "the_student_learns"),
    planted(
        "teacher_is_blinded_too",
        "q3",
        step(theirs="teacher(torch.cat([ct, shown], dim=1)).detach()"),
        "nothing_dropped_and_one_network patient_by_patient",
    ),
    planted("one_draw_for_all", "q3", step(shown="pet * (not dropped.any())"),
            "nothing_dropped_and_one_network patient_by_patient"),
    planted("teacher_learns", "q3", step(theirs="teacher(torch.cat([ct, pet], dim=1))"),
            "the_student_learns"),
    planted("absent_regions_count", "q3", step(result="apart.mean()"),
            "nothing_dropped_and_one_network patient_by_patient"),
    planted("kept_and_dropped_exchanged", "q3",
            step(shown="pet * dropped[:, None, None, None, None]"),
            "nothing_dropped_and_one_network patient_by_patient"),
    # Exercise 4: read a decision curve.
    planted("above_and_not_at", "q4", benefit(treated="scores > threshold"),
            "ten_patients_by_hand unseen_scores"),
    planted("no_price", "q4", benefit(price="1"), "ten_patients_by_hand unseen_scores"),
    planted("share_of_the_sick", "q4", benefit(found="(treated & sick).sum() / sick.sum()"),
            "ten_patients_by_hand unseen_scores"),
    planted("each_class_better", "q4", benefit(letter="a"), "what_an_average_hides"),
    planted("no_letter", "q4", benefit(letter=""), "a_letter_is_noted what_an_average_hides"),
]  # fmt: skip
