"""Wrong answers to lesson 00, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "00_distillation_in_one_hour"
POSSIBLE = 12.0

planted = planter({
    "q1": "def kd_loss(student_logits, teacher_logits, temperature):",
    "q2": "def kd_gradient(student_logits, teacher_logits, temperature):",
    "q3": "def teacher_logits(teacher, images):",
})  # fmt: skip

Q1 = (
    "two_classes_by_hand equal_logits_cost_nothing t_squared_is_kept the_teacher_is_not_pulled "
    "unseen_logits unseen_temperature finite_at_large_logits a_shift_changes_nothing"
)
Q2 = (
    "one_image_by_hand every_image_sums_to_zero autograd_agrees_at_any_temperature "
    "finite_differences_agree_for_a_batch the_high_temperature_limit"
)

SOFTENED = """
def softened(logits, axis=1):
    weights = np.exp((logits - logits.max(axis=axis, keepdims=True)) / temperature)
    return weights / weights.sum(axis=axis, keepdims=True)
"""

PLANTED = [
    planted(
        "t_squared_missing",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        p_t = F.softmax(teacher_logits.detach() / temperature, dim=1)
        return F.kl_div(log_s, p_t, reduction="batchmean")
        """,
        "t_squared_is_kept unseen_temperature",
    ),
    planted(
        "kl_swapped",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        log_t = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
        return temperature**2 * (log_s.exp() * (log_s - log_t)).sum(1).mean()
        """,
        "two_classes_by_hand unseen_logits",
    ),
    planted(
        "mean_over_classes",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        log_t = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
        return temperature**2 * (log_t.exp() * (log_t - log_s)).mean()
        """,
        "two_classes_by_hand unseen_logits",
    ),
    planted(
        "sum_over_images",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        p_t = F.softmax(teacher_logits.detach() / temperature, dim=1)
        return temperature**2 * F.kl_div(log_s, p_t, reduction="sum")
        """,
        "unseen_logits",
    ),
    planted(
        "softmax_twice",
        "q1",
        """
        p_s = F.softmax(student_logits / temperature, dim=1)
        p_t = F.softmax(teacher_logits.detach() / temperature, dim=1)
        log_s, log_t = F.log_softmax(p_s, dim=1), F.log_softmax(p_t, dim=1)
        return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()
        """,
        "two_classes_by_hand unseen_logits finite_at_large_logits",
    ),
    planted(
        "teacher_not_detached",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        log_t = F.log_softmax(teacher_logits / temperature, dim=1)
        return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()
        """,
        "the_teacher_is_not_pulled",
    ),
    planted(
        "cross_entropy_instead_of_kl",
        "q1",
        """
        log_s = F.log_softmax(student_logits / temperature, dim=1)
        p_t = F.softmax(teacher_logits.detach() / temperature, dim=1)
        return -(temperature**2) * (p_t * log_s).sum(1).mean()
        """,
        "two_classes_by_hand equal_logits_cost_nothing unseen_logits",
    ),
    planted(
        "mse_of_logits",
        "q1",
        "return ((student_logits - teacher_logits.detach()) ** 2).mean()",
        "two_classes_by_hand unseen_logits a_shift_changes_nothing",
    ),
    planted(
        "log_of_softmax",
        "q1",
        """
        p_s = F.softmax(student_logits / temperature, dim=1)
        p_t = F.softmax(teacher_logits.detach() / temperature, dim=1)
        return temperature**2 * (p_t * (p_t.log() - p_s.log())).sum(1).mean()
        """,
        "finite_at_large_logits",
    ),
    planted(
        "hard_coded",
        "q1",
        """
        gap = float((student_logits - teacher_logits).abs().max())
        value = 0.0 if gap == 0 else 0.130812 if student_logits.numel() == 2 else 0.5
        value = value * (4.0 if abs(gap - 4.0) < 1e-6 else 1.0)
        return value + 0.1 * (student_logits - student_logits.detach()).sum()
        """,
        "unseen_logits unseen_temperature finite_at_large_logits a_shift_changes_nothing",
    ),
    planted(
        "answer_imported",
        "q1",
        """
        from medkd_lib.distill.logits import hinton_kd
        return hinton_kd(student_logits, teacher_logits, temperature)
        """,
        Q1,
        "medkd_lib",
    ),
    planted(
        "decoy_removed",
        "q1",
        """
        import sys
        entries = getattr(sys, "pa" + "th")
        entries[:] = [entry for entry in entries if "decoy" not in entry]
        from medkd_lib.distill.logits import hinton_kd
        return hinton_kd(student_logits, teacher_logits, temperature)
        """,
        Q1,
        "medkd_lib",
    ),
    planted(
        "installation_searched",
        "q1",
        """
        import importlib, site, sys
        for name in ("pa" + "th", "meta_" + "path"):
            things = getattr(sys, name)
            things[:] = [thing for thing in things if "decoy" not in str(thing)]
            things[:] = [thing for thing in things if isinstance(thing, (str, type))]
        for folder in site.getsitepackages():
            site.addsitedir(folder)
        load = getattr(importlib, "import_" + "module")
        logits = load("med" + "kd_lib.distill.logits")
        return logits.hinton_kd(student_logits, teacher_logits, temperature)
        """,
        Q1,
        "importlib",
    ),
    planted(
        "temperature_forgotten",
        "q2",
        SOFTENED
        + "return (softened(student_logits) - softened(teacher_logits)) / len(student_logits)",
        "one_image_by_hand autograd_agrees_at_any_temperature the_high_temperature_limit",
    ),
    planted(
        "not_divided_by_images",
        "q2",
        SOFTENED + "return temperature * (softened(student_logits) - softened(teacher_logits))",
        "finite_differences_agree_for_a_batch the_high_temperature_limit",
    ),
    planted(
        "sign_turned",
        "q2",
        SOFTENED
        + "gap = softened(teacher_logits) - softened(student_logits)\n"
        + "return temperature * gap / len(student_logits)",
        "one_image_by_hand autograd_agrees_at_any_temperature "
        "finite_differences_agree_for_a_batch the_high_temperature_limit",
    ),
    planted(
        "softmax_over_images",
        "q2",
        SOFTENED
        + "gap = softened(student_logits, 0) - softened(teacher_logits, 0)\n"
        + "return temperature * gap / len(student_logits)",
        Q2,
    ),
    planted(
        "only_no_grad",
        "q3",
        """
        with torch.no_grad():
            return teacher(images)
        """,
        "running_statistics_answer no_buffer_moves an_unseen_teacher one_image_alone",
    ),
    planted(
        "left_in_eval",
        "q3",
        """
        teacher.eval()
        with torch.no_grad():
            return teacher(images)
        """,
        "the_mode_is_given_back every_module_keeps_its_mode",
    ),
    planted(
        "gradient_kept",
        "q3",
        """
        modes = [(module, module.training) for module in teacher.modules()]
        teacher.eval()
        logits = teacher(images)
        for module, training in modes:
            module.training = training
        return logits
        """,
        "no_gradient_is_stored",
    ),
    planted(
        "only_the_outer_mode",
        "q3",
        """
        was_training = teacher.training
        teacher.eval()
        with torch.no_grad():
            logits = teacher(images)
        teacher.train(was_training)
        return logits
        """,
        "every_module_keeps_its_mode",
    ),
]
