"""Effects of commands, told from edges alone."""

from collections import namedtuple

from host_tools.lab.effects import Count, Sent, count_levels, count_pulses

Edge = namedtuple("Edge", "level cause")
UP, DOWN = Edge(1, "agent"), Edge(0, "agent")
LOST = Edge(0, "power")


def test_each_pulse_has_one_rising_edge():
    assert count_pulses([Sent(1, 0), Sent(1, 2)], [UP, DOWN, UP, DOWN]) == Count(2, 0)


def test_a_pulse_without_an_edge_had_no_effect():
    assert count_pulses([Sent(1, 0), Sent(1, 2)], [UP, DOWN]) == Count(1, 0)


def test_a_pulse_that_came_twice_is_seen():
    assert count_pulses([Sent(1, 0)], [UP, DOWN, UP, DOWN]) == Count(1, 1)


def test_a_pulse_that_a_cut_ended_counts_and_its_repetition_is_seen():
    assert count_pulses([Sent(1, 0)], [UP, LOST]) == Count(1, 0)
    assert count_pulses([Sent(1, 0)], [UP, LOST, UP, DOWN]) == Count(1, 1)


def test_an_edge_from_before_a_command_is_not_its_effect():
    assert count_pulses([Sent(1, 2)], [UP, DOWN]) == Count(0, 1)


def test_levels_take_edges_in_order():
    assert count_levels([Sent(1, 0), Sent(0, 0), Sent(1, 0)], [UP, DOWN, UP]) == Count(3, 0)


def test_a_level_that_a_cut_had_set_already_counts():
    assert count_levels([Sent(1, 0), Sent(0, 1)], [UP, LOST]) == Count(2, 0)
    assert count_levels([Sent(1, 0), Sent(0, 2)], [UP, LOST]) == Count(2, 0)


def test_a_level_restored_after_a_cut_is_convergence_not_repetition():
    assert count_levels([Sent(1, 0)], [UP, LOST, UP]) == Count(1, 0)


def test_a_level_command_that_came_twice_is_seen():
    """Set 1, set 0, and the first again: the pin moves once more than it should."""
    assert count_levels([Sent(1, 0), Sent(0, 1)], [UP, DOWN, UP]) == Count(2, 1)


def test_nothing_sent_and_nothing_seen():
    assert count_levels([], []) == count_pulses([], []) == Count(0, 0)
