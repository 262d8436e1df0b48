"""Wrong answers to lesson 06, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "06_many_datasets_one_teacher"
POSSIBLE = 9.25

planted = planter({
    "q1": "def hide(features, progress, gamma=10.0):",
    "q2": "def same_images(ours, theirs, least=0.95):",
    "q3": "def look_around(maps, attention):",
    "q4": "def effects_and_reason(dice):",
})  # fmt: skip


def turned(
    *, strength: str = "2 / (1 + np.exp(-gamma * progress)) - 1", sign: str = "-",
    start: str = "features.detach()",
) -> str:  # fmt: skip
    """Return a gradient reversal that is right but for the parts that are given."""
    return f"""
strength = {strength}
return {start} {sign} strength * (features - features.detach())
"""


def same(
    *, spread: str = "/ flat.std(dim=1, keepdim=True).clamp(min=1e-9)",
    mean: str = "torch.cat([a, b]).mean(dim=0)", least: str = "least", pair: str = "(i, j)",
) -> str:  # fmt: skip
    """Return a search for copies that is right but for the parts that are given."""
    return f"""
def standard(x):
    flat = x.flatten(1)
    return (flat - flat.mean(dim=1, keepdim=True)) {spread}

a, b = standard(ours), standard(theirs)
mean = {mean}
a, b = (nn.functional.normalize(x - mean, dim=1) for x in (a, b))
return [{pair} for i, j in torch.nonzero(a @ b.T >= {least}).tolist()]
"""


def looked(
    *, tokens: str = "maps.flatten(2).transpose(1, 2)", query: str = "tokens",
    back: str = "seen.transpose(1, 2).unflatten(2, maps.shape[-2:])",
) -> str:  # fmt: skip
    """Return a look around that is right but for the parts that are given."""
    return f"""
tokens = {tokens}
seen = attention({query}, tokens, tokens)[0]
return {back}
"""


def worth(
    *, mechanism: str = '("joint", "finetuned")', mean: str = "np.mean", letter: str = "b"
) -> str:
    """Return effects that are right but for the parts that are given."""
    return f"""
pairs = {{"data": ("finetuned", "alone"), "capacity": ("target_teachers", "alone"),
         "self": ("self_distilled", "alone"), "mechanism": {mechanism}}}
return {{n: float({mean}(dice[a] - dice[b])) for n, (a, b) in pairs.items()}}, "{letter}"
"""


PLANTED = [
    # Exercise 1: turn a gradient round.
    planted("not_turned", "q1", turned(sign="+"), "the_sign_is_turned the_schedule_is_the_papers"),
    planted("full_strength_from_the_start", "q1", turned(strength="1.0"),
            "nothing_is_heard_at_first the_schedule_is_the_papers"),
    planted("gamma_of_the_libraries", "q1",
            turned(strength="2 / (1 + np.exp(-progress)) - 1"),
            "the_sign_is_turned the_schedule_is_the_papers"),
    planted("as_far_as_the_training", "q1", turned(strength="progress"),
            "the_schedule_is_the_papers"),
    planted("value_turned_as_well", "q1",
            "return -(2 / (1 + np.exp(-gamma * progress)) - 1) * features", "the_value_stays"),
    planted(
        "answer_imported",
        "q1",
        """
        from medkd_lib.course.mended_joint import hide as theirs
        return theirs(features, progress, gamma)
        """,
        "the_value_stays the_sign_is_turned nothing_is_heard_at_first the_schedule_is_the_papers",
        "medkd_lib",
    ),
    # Exercise 2: who came twice?
    planted("anatomy_left_in", "q2", same(mean="0.0"),
            "strangers_share_an_anatomy a_plain_copy least_is_asked a_copy_in_another_window"),
    planted("contrast_left_in", "q2", same(spread="* 1.0"), "a_copy_in_another_window"),
    planted("own_limit", "q2", same(least="0.95"), "least_is_asked"),
    planted("pairs_the_wrong_way_round", "q2", same(pair="(j, i)"),
            "a_plain_copy a_copy_in_another_window least_is_asked"),
    planted(
        "byte_by_byte",
        "q2",
        """
        rows = [(i, j) for i in range(len(ours)) for j in range(len(theirs))]
        return [(i, j) for i, j in rows if torch.equal(ours[i], theirs[j])]
        """,
        "a_copy_in_another_window least_is_asked",
    ),
    # Exercise 3: one image, whoever is beside it.
    planted(
        "as_in_the_public_code",
        "q3",
        """
        sequence = maps.flatten(2).transpose(0, 1)
        return attention(sequence, sequence, sequence)[0].transpose(0, 1).view_as(maps)
        """,
        "alone_as_in_company any_size position_by_position",
    ),
    planted("batch_for_the_sequence", "q3",
            looked(tokens="maps.flatten(2).permute(2, 0, 1)",
                   back="seen.permute(1, 2, 0).unflatten(2, maps.shape[-2:])"),
            "alone_as_in_company position_by_position"),
    planted("column_by_column", "q3",
            looked(back="seen.transpose(1, 2).unflatten(2, maps.shape[-2:][::-1]).transpose(2, 3)"),
            "position_by_position"),
    planted("height_and_width_exchanged", "q3",
            looked(back="seen.transpose(1, 2).unflatten(2, maps.shape[-2:][::-1])"),
            "any_size position_by_position"),
    # Exercise 4: beat the arm that decides, or explain.
    planted("mechanism_against_the_floor", "q4", worth(mechanism='("joint", "alone")'),
            "two_patients_by_hand unseen_patients"),
    planted("median_for_the_mean", "q4", worth(mean="np.median"), "unseen_patients"),
    planted("sources_did_it", "q4", worth(letter="a"), "what_two_baselines_leave_open"),
    planted("no_letter", "q4", worth(letter=""), "a_letter_is_noted what_two_baselines_leave_open"),
]  # fmt: skip
