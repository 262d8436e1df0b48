"""Tests mirror medkd_lib; numpy and torch get one thread each, as in lessons."""

from medkd_lib.threads import one_thread

# Before pytest-xdist starts its workers, which inherit it: two processes with two threads each
# on two cores need ten times as long for small arrays.
one_thread()
