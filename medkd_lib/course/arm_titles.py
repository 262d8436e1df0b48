"""What a reader calls the arms of lesson 00: the same words in tables and figures."""

ARM_TITLES = {
    "teacher": "teacher",
    "bad_teacher": "bad teacher (few labels)",
    "few_alone": "few: labels alone",
    "few_smooth": "few: label smoothing",
    "few_pseudo": "few: teacher's hard answers",
    "few_kd": "few: KD",
    "few_kd_own": "few: KD, labelled films only",
    "few_kd_no_t2": "few: KD, T² dropped",
    "few_kd_shuffled": "few: KD, shuffled teacher",
    "few_kd_untrained": "few: KD, untrained teacher",
    "few_kd_bad_teacher": "few: KD, bad teacher",
    "few_kd_train_mode": "few: KD, teacher in train mode",
    "many_alone": "many: labels alone",
    "many_smooth": "many: label smoothing",
    "many_kd": "many: KD",
    "many_kd_bad_teacher": "many: KD, bad teacher",
}
