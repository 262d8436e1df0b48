"""Wrong answers to lesson 02, and exactly what each must lose."""

from tests.course.planted import planter

MASTER = "02_two_architectures_in_one_teacher"
POSSIBLE = 11.0

planted = planter({
    "q1": "def node_attention(query, keys, places_mm, node, neighbours, reach_mm):",
    "q2": "def rollout(attention):",
    "q3": "def warp(feature_map, flow):",
    "q4": "def fair_comparison(records, labels, patient_of):",
})  # fmt: skip

Q2 = "one_block_by_hand two_blocks_by_hand unseen_blocks shares_of_one_token"
Q4 = (
    "the_same_images_for_all the_colleagues_hybrid_comes_down one_networks_patient_is_nobodys_test "
    "rare_classes_count_alike unseen_records nothing_left_is_an_error"
)

SQUARED = "squared = ((places_mm - places_mm[node]) ** 2).sum(axis=1)\n"
SCORES = SQUARED + "scores = keys @ query / np.sqrt(len(query)) - squared / (2 * reach_mm**2)\n"
SOFTMAX = """
scores = np.where(neighbours, scores, -np.inf)
weights = np.exp(scores - scores.max())
return weights / weights.sum()
"""
MIXED = """
identity = np.eye(attention[0].shape[-1])
mixed = [0.5 * (block.mean(axis=0) + identity) for block in attention]
"""
WALK = """
warped = np.empty(feature_map.shape, float)
for channel, image in enumerate(feature_map):
    for r, c in np.ndindex(image.shape):
        warped[channel, r, c] = {}
return warped
"""
SEEN = "seen = frozenset().union(*(r.trained_on for r in records.values()))\n"
COMMON = "common = set.intersection(*(set(r.answers) for r in records.values()))\n"
UNSEEN = "common = {i for i in common if patient_of[i] not in seen}\n"
REFUSED = 'if not common:\n    raise ValueError("nothing in common")\n'
BALANCED = """
def score(answers, images):
    classes = sorted({labels[i] for i in images})
    each = [np.mean([answers[i] == k for i in images if labels[i] == k]) for k in classes]
    return float(np.mean(each))
"""
ALL = "return {name: score(r.answers, common) for name, r in records.items()}"

PLANTED = [
    # Exercise 1: geometric attention.
    planted(
        "root_of_d_forgotten",
        "q1",
        SQUARED + "scores = keys @ query - squared / (2 * reach_mm**2)" + SOFTMAX,
        "unseen_nodes",
    ),
    planted(
        "mask_after_the_softmax",
        "q1",
        SCORES
        + """
weights = np.exp(scores - scores.max())
return neighbours * weights / weights.sum()
""",
        "only_neighbours_and_all_of_it unseen_nodes large_scores_stay_finite",
    ),
    planted(
        "everybody_is_read",
        "q1",
        SCORES
        + """
weights = np.exp(scores - scores.max())
return weights / weights.sum()
""",
        "distance_alone only_neighbours_and_all_of_it unseen_nodes large_scores_stay_finite",
    ),
    planted(
        "zero_for_minus_infinity",
        "q1",
        SCORES
        + """
scores = np.where(neighbours, scores, 0.0)
weights = np.exp(scores - scores.max())
return weights / weights.sum()
""",
        "distance_alone only_neighbours_and_all_of_it unseen_nodes",
    ),
    planted(
        "distance_not_squared",
        "q1",
        SQUARED
        + "scores = keys @ query / np.sqrt(len(query)) - np.sqrt(squared) / (2 * reach_mm)"
        + SOFTMAX,
        "distance_alone unseen_nodes",
    ),
    planted(
        "two_forgotten",
        "q1",
        SQUARED + "scores = keys @ query / np.sqrt(len(query)) - squared / reach_mm**2" + SOFTMAX,
        "distance_alone unseen_nodes",
    ),
    planted(
        "distance_added",
        "q1",
        SQUARED
        + "scores = keys @ query / np.sqrt(len(query)) + squared / (2 * reach_mm**2)"
        + SOFTMAX,
        "distance_alone unseen_nodes",
    ),
    planted(
        "no_largest_score_taken_away",
        "q1",
        SCORES
        + """
with np.errstate(all="ignore"):
    weights = np.where(neighbours, np.exp(scores), 0)
    return weights / weights.sum()
""",
        "large_scores_stay_finite",
    ),
    planted(
        "largest_score_of_all_nodes",
        "q1",
        SCORES
        + """
with np.errstate(all="ignore"):
    weights = np.where(neighbours, np.exp(scores - scores.max()), 0)
    return weights / weights.sum()
""",
        "large_scores_stay_finite",
    ),
    planted(
        "distance_from_the_first_node",
        "q1",
        "squared = ((places_mm - places_mm[0]) ** 2).sum(axis=1)\n"
        "scores = keys @ query / np.sqrt(len(query)) - squared / (2 * reach_mm**2)" + SOFTMAX,
        "unseen_nodes",
    ),
    planted(
        "distance_from_the_corner",
        "q1",
        "squared = (places_mm**2).sum(axis=1)\n"
        "scores = keys @ query / np.sqrt(len(query)) - squared / (2 * reach_mm**2)" + SOFTMAX,
        "unseen_nodes the_patient_may_move",
    ),
    # Exercise 2: attention rollout.
    planted(
        "identity_forgotten",
        "q2",
        """
        product = np.eye(attention[0].shape[-1])
        for block in attention:
            product = block.mean(axis=0) @ product
        return product[0, 1:]
        """,
        Q2,
    ),
    planted(
        "half_forgotten",
        "q2",
        """
        identity = np.eye(attention[0].shape[-1])
        product = identity
        for block in attention:
            product = (block.mean(axis=0) + identity) @ product
        return product[0, 1:]
        """,
        Q2,
    ),
    planted(
        "order_turned_round",
        "q2",
        MIXED
        + """
product = identity
for block in mixed:
    product = product @ block
return product[0, 1:]
""",
        "two_blocks_by_hand unseen_blocks",
    ),
    planted(
        "heads_summed",
        "q2",
        """
        identity = np.eye(attention[0].shape[-1])
        product = identity
        for block in attention:
            product = 0.5 * (block.sum(axis=0) + identity) @ product
        return product[0, 1:]
        """,
        "one_block_by_hand unseen_blocks shares_of_one_token",
    ),
    planted(
        "first_head_alone",
        "q2",
        """
        identity = np.eye(attention[0].shape[-1])
        product = identity
        for block in attention:
            product = 0.5 * (block[0] + identity) @ product
        return product[0, 1:]
        """,
        "one_block_by_hand unseen_blocks",
    ),
    planted(
        "class_token_kept",
        "q2",
        MIXED
        + """
product = identity
for block in mixed:
    product = block @ product
return product[0]
""",
        Q2,
    ),
    planted(
        "last_block_alone",
        "q2",
        MIXED + "return mixed[-1][0, 1:]",
        "two_blocks_by_hand unseen_blocks",
    ),
    planted(
        "multiplied_number_by_number",
        "q2",
        MIXED
        + """
product = mixed[0]
for block in mixed[1:]:
    product = block * product
return product[0, 1:]
""",
        "two_blocks_by_hand unseen_blocks",
    ),
    planted(
        "shares_made_to_sum_to_one",
        "q2",
        MIXED
        + """
product = identity
for block in mixed:
    product = block @ product
return product[0, 1:] / product[0, 1:].sum()
""",
        Q2,
    ),
    # Exercise 3: a map read along a flow.
    planted(
        "dx_and_dy_swapped",
        "q3",
        WALK.format("bilinear(image, r + flow[0, r, c], c + flow[1, r, c])"),
        "half_a_cell_from_the_right down_is_positive beyond_the_border "
        "the_map_given_stays_as_it_was",
    ),
    planted(
        "pushed_instead_of_read",
        "q3",
        WALK.format("bilinear(image, r - flow[1, r, c], c - flow[0, r, c])"),
        "half_a_cell_from_the_right down_is_positive beyond_the_border "
        "the_map_given_stays_as_it_was",
    ),
    planted(
        "up_is_positive",
        "q3",
        WALK.format("bilinear(image, r - flow[1, r, c], c + flow[0, r, c])"),
        "down_is_positive beyond_the_border the_map_given_stays_as_it_was",
    ),
    planted(
        "nearest_cell",
        "q3",
        WALK.format("bilinear(image, round(r + flow[1, r, c]), round(c + flow[0, r, c]))"),
        "half_a_cell_from_the_right down_is_positive",
    ),
    planted(
        "wrapped_around",
        "q3",
        """
        height, width = feature_map.shape[1:]
        doubled = np.pad(feature_map, ((0, 0), (0, 1), (0, 1)), mode="wrap")
        warped = np.empty(feature_map.shape, float)
        for channel, image in enumerate(doubled):
            for r, c in np.ndindex(height, width):
                place = (r + flow[1, r, c]) % height, (c + flow[0, r, c]) % width
                warped[channel, r, c] = bilinear(image, *place)
        return warped
        """,
        "half_a_cell_from_the_right beyond_the_border",
    ),
    planted(
        "zeros_beyond_the_border",
        "q3",
        """
        wide = np.pad(feature_map, ((0, 0), (1, 1), (1, 1)))
        warped = np.empty(feature_map.shape, float)
        for channel, image in enumerate(wide):
            for r, c in np.ndindex(feature_map.shape[1:]):
                place = r + 1 + flow[1, r, c], c + 1 + flow[0, r, c]
                warped[channel, r, c] = bilinear(image, *place)
        return warped
        """,
        "half_a_cell_from_the_right beyond_the_border",
    ),
    planted(
        "written_into_the_map",
        "q3",
        """
        for image in feature_map:
            for r, c in np.ndindex(image.shape):
                image[r, c] = bilinear(image, r + flow[1, r, c], c + flow[0, r, c])
        return feature_map
        """,
        "down_is_positive the_map_given_stays_as_it_was",
    ),
    planted(
        "one_flow_for_all_cells",
        "q3",
        WALK.format("bilinear(image, r + flow[1, 0, 0], c + flow[0, 0, 0])"),
        "down_is_positive the_map_given_stays_as_it_was",
    ),
    planted(
        "flow_as_share_of_the_width",
        "q3",
        WALK.format("bilinear(image, *(np.array([r, c]) + flow[::-1, r, c] * image.shape))"),
        "half_a_cell_from_the_right down_is_positive the_map_given_stays_as_it_was",
    ),
    planted(
        "half_a_cell_off",
        "q3",
        WALK.format("bilinear(image, r + flow[1, r, c] - 0.5, c + flow[0, r, c] - 0.5)"),
        "zero_flow_changes_nothing half_a_cell_from_the_right down_is_positive beyond_the_border "
        "the_map_given_stays_as_it_was",
    ),
    # Exercise 4: a fair comparison.
    planted(
        "as_the_colleague_did",
        "q4",
        """
        return {
            name: float(np.mean([labels[i] == a for i, a in r.answers.items()]))
            for name, r in records.items()
        }
        """,
        Q4,
    ),
    planted(
        "each_on_its_own_new_patients",
        "q4",
        BALANCED
        + """
fair = {}
for name, r in records.items():
    common = [i for i in r.answers if patient_of[i] not in r.trained_on]
    if not common:
        raise ValueError(name)
    fair[name] = score(r.answers, common)
return fair
""",
        "the_same_images_for_all unseen_records nothing_left_is_an_error",
    ),
    planted(
        "training_patients_kept",
        "q4",
        BALANCED + COMMON + REFUSED + ALL,
        "one_networks_patient_is_nobodys_test nothing_left_is_an_error",
    ),
    planted(
        "only_patients_that_all_have_seen",
        "q4",
        BALANCED
        + "seen = frozenset.intersection(*(r.trained_on for r in records.values()))\n"
        + COMMON
        + UNSEEN
        + REFUSED
        + ALL,
        "one_networks_patient_is_nobodys_test nothing_left_is_an_error",
    ),
    planted(
        "plain_accuracy",
        "q4",
        SEEN
        + COMMON
        + UNSEEN
        + REFUSED
        + "return {n: float(np.mean([labels[i] == r.answers[i] for i in common]))\n"
        + "        for n, r in records.items()}",
        "rare_classes_count_alike unseen_records",
    ),
    planted(
        "patients_in_common",
        "q4",
        BALANCED
        + SEEN
        + """
tested = [{patient_of[i] for i in r.answers} for r in records.values()]
kept = set.intersection(*tested) - seen
if not kept:
    raise ValueError("nobody in common")
return {n: score(r.answers, [i for i in r.answers if patient_of[i] in kept])
        for n, r in records.items()}
""",
        "the_same_images_for_all",
    ),
    planted(
        "absent_classes_count_as_missed",
        "q4",
        SEEN
        + COMMON
        + UNSEEN
        + REFUSED
        + """
def recall(answers, k):
    own = [answers[i] == k for i in common if labels[i] == k]
    return np.mean(own) if own else 0.0
return {n: float(np.mean([recall(r.answers, k) for k in range(3)])) for n, r in records.items()}
""",
        "the_same_images_for_all rare_classes_count_alike",
    ),
    planted(
        "zero_where_nothing_is_left",
        "q4",
        BALANCED
        + SEEN
        + COMMON
        + UNSEEN
        + "if not common:\n    return dict.fromkeys(records, 0.0)\n"
        + ALL,
        "nothing_left_is_an_error",
    ),
]
