"""The learning rate as a function of the step."""

import pytest
import torch

from melanoma_pl.models.schedules import Constant, Cosine, OneCycle, Schedule


@pytest.mark.parametrize("schedule", [Constant(), Cosine(), Cosine(warm_up=0.1, final=0.01), OneCycle()])
@pytest.mark.parametrize("total", [1, 2, 10, 1000])
def test_factors_stay_between_0_and_1(schedule: Schedule, total: int) -> None:
    factors = [schedule.factor(step, total) for step in range(total + 5)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors[:total]) > 0


def test_one_cycle_is_pytorchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=101,
        pct_start=31 / 101,
        div_factor=25,
        final_div_factor=400,
        cycle_momentum=False,
    )
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step() if len(rates) < 101 else None
    ours = OneCycle(rise=30 / 100, start=1 / 25, final=1 / 10_000)
    assert [ours.factor(step, 100) for step in range(101)] == pytest.approx(rates, abs=1e-3)


def test_cosine_is_pytorchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    for step in range(50):
        assert Cosine(final=0.1).factor(step, 50) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_warm_up_rises() -> None:
    factors = [Cosine(warm_up=0.2).factor(step, 20) for step in range(5)]
    assert factors == sorted(factors)
    assert factors[3] == 1.0
