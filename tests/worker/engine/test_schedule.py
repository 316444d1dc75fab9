"""Timesteps and noise levels: the rules that the recorded tables don't show."""

import pytest

from framewire.worker.engine.schedule import SigmaTable, check_timesteps, enter_at, plan_steps

TABLE = SigmaTable(5.0)


def test_a_noise_level_is_found_in_the_table_where_the_shift_put_it() -> None:
    """Steps spread from a level's place begin at that level; 0 and 1 stay where they are."""
    assert TABLE.place(1.0) == 1.0 and TABLE.place(0.0) == 0.0
    for sigma in (0.3, 0.5, 0.8):
        assert TABLE.spread(4, TABLE.place(sigma))[0] == pytest.approx(1000 * sigma, abs=3)


def test_self_forcing_steps_are_the_even_ones_warped() -> None:
    """1000, 750, 500 and 250 become 1000, 937.5, 833.3 and 625 under shift 5."""
    assert TABLE.warp([1000, 750, 500, 250]) == pytest.approx([1000, 937.5, 833.333, 625], abs=1e-3)


def test_sigma_at_zero_is_the_tables_last_entry() -> None:
    """The pass at timestep 0 still removes half a percent of noise."""
    assert TABLE.sigma(0.0) == pytest.approx(0.0049801, abs=1e-6)


def test_noising_follows_the_sessions_shift_and_cleaning_the_loaders() -> None:
    """As in the reference, `timestep_shift` leaves the flow's noise level to the loader's table."""
    session = SigmaTable(7.0)
    plan = plan_steps(session.spread(3), session, TABLE)
    steps = plan.steps
    assert [step.next_sigma for step in steps[:-1]] == [
        session.sigma(step.timestep) for step in steps[1:]
    ]
    assert steps[-1].sigma == TABLE.sigma(0.0) != session.sigma(0.0)
    assert steps[-1].next_sigma is None


def test_a_last_pass_at_zero_can_be_left_out_but_not_an_only_pass() -> None:
    """Skipping drops timestep 0 at the end; what is left ends without noising again."""
    plan = plan_steps(TABLE.spread(4), TABLE, TABLE, skip_zero=True)
    assert [round(step.timestep) for step in plan.steps] == [1000, 909, 714]
    assert plan.steps[-1].next_sigma is None
    assert len(plan_steps([0.0], TABLE, TABLE, skip_zero=True).steps) == 1


def test_strength_enters_explicit_steps_at_its_own_timestep() -> None:
    """Steps above the strength's are dropped; a strength above the first changes nothing."""
    assert enter_at((1000, 700, 500), 650) == (650, 500)
    assert enter_at((700, 500), 900) == (700, 500)


@pytest.mark.parametrize("wrong", [(), (500, 500), (500, 700), (1001,), (100, -1)])
def test_timesteps_that_do_not_fall_within_range_are_refused(wrong: tuple[float, ...]) -> None:
    """The error says what they must be and what they were."""
    with pytest.raises(ValueError, match="strictly falling timesteps within 0-1000"):
        check_timesteps(wrong)
