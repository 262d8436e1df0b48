"""Wrong answers to lesson 03, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "03_across_architectures"
POSSIBLE = 12.0

planted = planter({
    "q1": "def crossed_attention_loss(student_qkv, teacher_qkv, p_student):",
    "q2": "def layer_of_position(grid, share):",
    "q3": "def step_losses(student, teacher, discriminator, images, labels, temperature):",
})  # fmt: skip

Q1 = (
    "two_tokens_by_hand nothing_of_the_student_costs_nothing the_share_is_p_on_average "
    "the_teacher_is_not_pulled unseen_matrices every_element_has_its_own_draw "
    "q_k_and_v_are_drawn_apart"
)
Q2 = (
    "four_by_four_in_pairs the_papers_grid_has_sixteen any_grid the_last_blocks_are_narrower "
    "the_extremes"
)
ATTEND = """
def attend(q, k, v):
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v

teacher = [t.detach() for t in teacher_qkv]
"""
MIXED = """
pairs = zip(student_qkv, teacher)
mixed = [torch.where(torch.rand_like(s) < p_student, s, t) for s, t in pairs]
"""
LOSS = "return F.mse_loss(attend(*mixed), attend(*teacher))"


def step(
    *,
    asked: str = "teacher.eval()\nwith torch.no_grad():\n"
    "    teacher_logits, teacher_tokens = teacher(images, squash=False)",
    soft: str = "temperature**2 * F.kl_div(log_s, log_t, reduction='batchmean', log_target=True)",
    detached: str = "student_tokens.detach()",
    judged: str = "discriminator.requires_grad_(False)\njudged = discriminator(student_tokens)\n"
    "discriminator.requires_grad_(True)",
    fooling: str = "F.softplus(-judged).mean()",
    real: str = "real",
) -> str:
    """Return a step that is right but for the parts that are given."""
    return f"""
student_logits, student_tokens = student(images)
{asked}
log_s = F.log_softmax(student_logits / temperature, dim=1)
log_t = F.log_softmax(teacher_logits / temperature, dim=1)
real, fake = discriminator(teacher_tokens), discriminator({detached})
{judged}
return {{
    "cross_entropy": F.cross_entropy(student_logits, labels),
    "distillation": {soft},
    "fooling": {fooling},
    "discriminator": F.softplus(-{real}).mean() + F.softplus(fake).mean(),
}}
"""


PLANTED = [
    # Exercise 1: crossed attention.
    planted(
        "share_is_the_teachers",
        "q1",
        ATTEND + MIXED.replace("s, t) for", "t, s) for") + LOSS,
        "two_tokens_by_hand nothing_of_the_student_costs_nothing the_share_is_p_on_average "
        "unseen_matrices every_element_has_its_own_draw",
    ),
    planted(
        "not_divided_by_the_root",
        "q1",
        ATTEND.replace(" / q.shape[-1] ** 0.5", "") + MIXED + LOSS,
        "unseen_matrices q_k_and_v_are_drawn_apart",
    ),
    planted(
        "divided_by_the_number_of_tokens",
        "q1",
        ATTEND.replace("q.shape[-1] ** 0.5", "q.shape[-2] ** 0.5") + MIXED + LOSS,
        "two_tokens_by_hand unseen_matrices q_k_and_v_are_drawn_apart",
    ),
    planted(
        "softmax_over_queries",
        "q1",
        ATTEND.replace("dim=-1) @", "dim=-2) @") + MIXED + LOSS,
        "two_tokens_by_hand unseen_matrices q_k_and_v_are_drawn_apart",
    ),
    planted(
        "squares_summed",
        "q1",
        ATTEND + MIXED + LOSS.replace("teacher))", "teacher), reduction='sum')"),
        "two_tokens_by_hand unseen_matrices every_element_has_its_own_draw "
        "q_k_and_v_are_drawn_apart",
    ),
    planted(
        "teacher_not_detached",
        "q1",
        ATTEND.replace("t.detach()", "t") + MIXED + LOSS,
        "the_teacher_is_not_pulled",
    ),
    planted(
        "one_draw_for_each_matrix",
        "q1",
        ATTEND + MIXED.replace("torch.rand_like(s) <", "torch.rand(()) <") + LOSS,
        "every_element_has_its_own_draw q_k_and_v_are_drawn_apart",
    ),
    planted(
        "one_draw_for_each_token",
        "q1",
        ATTEND + MIXED.replace("torch.rand_like(s) <", "torch.rand_like(s[..., :1]) <") + LOSS,
        "every_element_has_its_own_draw q_k_and_v_are_drawn_apart",
    ),
    planted(
        "q_k_and_v_share_their_draws",
        "q1",
        ATTEND
        + "stays = torch.rand_like(student_qkv[0]) < p_student\n"
        + "mixed = [torch.where(stays, s, t) for s, t in zip(student_qkv, teacher)]\n"
        + LOSS,
        "q_k_and_v_are_drawn_apart",
    ),
    planted(
        "values_not_crossed",
        "q1",
        ATTEND + MIXED + "mixed[2] = student_qkv[2]\n" + LOSS,
        "nothing_of_the_student_costs_nothing the_share_is_p_on_average "
        "every_element_has_its_own_draw",
    ),
    planted(
        "blended_instead_of_replaced",
        "q1",
        ATTEND
        + "pairs = zip(student_qkv, teacher)\n"
        + "mixed = [p_student * s + (1 - p_student) * t for s, t in pairs]\n"
        + LOSS,
        "the_share_is_p_on_average every_element_has_its_own_draw",
    ),
    planted(
        "p_ignored",
        "q1",
        ATTEND + MIXED.replace("p_student", "0.5") + LOSS,
        "two_tokens_by_hand nothing_of_the_student_costs_nothing the_share_is_p_on_average "
        "unseen_matrices every_element_has_its_own_draw",
    ),
    planted(
        "scores_compared_as_released",
        "q1",
        """
        (q, k, _), (q_t, k_t, _) = student_qkv, [t.detach() for t in teacher_qkv]
        return F.mse_loss(q @ k.transpose(-2, -1), q_t @ k_t.transpose(-2, -1))
        """,
        Q1,
    ),
    # Exercise 2: which layer serves which position.
    planted(
        "last_blocks_forgotten",
        "q2",
        """
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        return rows // share * (grid // share) + columns // share
        """,
        "the_papers_grid_has_sixteen any_grid the_last_blocks_are_narrower",
    ),
    planted(
        "numbered_column_by_column",
        "q2",
        """
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        return columns // share * -(-grid // share) + rows // share
        """,
        "four_by_four_in_pairs any_grid the_extremes",
    ),
    planted(
        "blocks_evened_out",
        "q2",
        """
        blocks = -(-grid // share)
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        return rows * blocks // grid * blocks + columns * blocks // grid
        """,
        "any_grid the_last_blocks_are_narrower",
    ),
    planted(
        "every_fourth_position",
        "q2",
        """
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        return rows % share * share + columns % share
        """,
        "four_by_four_in_pairs the_papers_grid_has_sixteen any_grid "
        "the_last_blocks_are_narrower the_extremes",
    ),
    planted(
        "runs_instead_of_blocks",
        "q2",
        "return np.arange(grid * grid) // share**2",
        "four_by_four_in_pairs the_papers_grid_has_sixteen any_grid the_last_blocks_are_narrower",
    ),
    planted(
        "blocks_counted_from_one",
        "q2",
        """
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        return rows // share * -(-grid // share) + columns // share + 1
        """,
        Q2,
    ),
    planted(
        "made_for_the_papers_grid",
        "q2",
        """
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        blocks = 4 if grid == 14 else 2
        return rows // share * blocks + columns // share
        """,
        "any_grid the_extremes",
    ),
    # Exercise 3: the step with five bugs, one of them left in; and mendings that go wrong.
    planted(
        "t_squared_still_missing",
        "q3",
        step(soft="F.kl_div(log_s, log_t, reduction='batchmean', log_target=True)"),
        "the_distillation_term unseen_values",
    ),
    planted(
        "mean_over_classes_still_there",
        "q3",
        step(soft="temperature**2 * (log_t.exp() * (log_t - log_s)).mean()"),
        "the_distillation_term unseen_values",
    ),
    planted(
        "tanh_still_there",
        "q3",
        step(
            asked="teacher.eval()\nwith torch.no_grad():\n"
            "    teacher_logits, teacher_tokens = teacher(images)"
        ),
        "the_distillation_term unseen_values",
    ),
    planted(
        "teacher_still_in_train_mode",
        "q3",
        step(
            asked="with torch.no_grad():\n"
            "    teacher_logits, teacher_tokens = teacher(images, squash=False)"
        ),
        "the_distillation_term the_teacher_stays_as_it_was the_discriminator_learns_from_both "
        "unseen_values",
    ),
    planted(
        "fooling_still_detached",
        "q3",
        step(judged="judged = fake"),
        "fooling_teaches_the_student fooling_leaves_the_discriminator",
    ),
    planted(
        "fooling_pulls_the_discriminator",
        "q3",
        step(judged="judged = discriminator(student_tokens)"),
        "fooling_leaves_the_discriminator",
    ),
    planted(
        "discriminator_left_frozen",
        "q3",
        step(judged="discriminator.requires_grad_(False)\njudged = discriminator(student_tokens)"),
        "fooling_leaves_the_discriminator the_discriminator_learns_from_both",
    ),
    planted(
        "one_answer_for_both_losses",
        "q3",
        step(detached="student_tokens", judged="judged = fake"),
        "fooling_leaves_the_discriminator the_discriminator_learns_from_both",
    ),
    planted(
        "real_detached_as_released",
        "q3",
        step(real="real.detach()"),
        "the_discriminator_learns_from_both",
    ),
    planted(
        "teacher_in_eval_mode_but_pulled",
        "q3",
        step(
            asked="teacher.eval()\nteacher_logits, teacher_tokens = teacher(images, squash=False)"
        ),
        "nothing_pulls_the_teacher",
    ),
    planted(
        "student_paid_for_being_caught",
        "q3",
        step(fooling="F.softplus(judged).mean()"),
        "unseen_values",
    ),
    planted(
        "answer_imported",
        "q3",
        """
        from medkd_lib.course.mended import mended_losses
        return mended_losses(student, teacher, discriminator, images, labels, temperature)
        """,
        "the_distillation_term the_teacher_stays_as_it_was fooling_teaches_the_student "
        "fooling_leaves_the_discriminator the_discriminator_learns_from_both "
        "nothing_pulls_the_teacher unseen_values",
        "medkd_lib",
    ),
]
