"""How to step: fields out of range are refused, and the schedules rise and fall as they say."""

import pytest

from mgnet.training.recipe import Steps


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "adam"),
        ("schedule", "cosin"),
        ("precision", "float16"),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", None),
        ("momentum", 1.0),
        ("epochs", 1.5),
        ("epochs", [3]),
        ("validation", 1.0),
        ("batch_size", "128"),
        ("compile", "no"),
        ("channels_last", 1),
    ],
)
def test_steps_refuse(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{field}` must be"):
        Steps(**{field: value})  # type: ignore[arg-type]


def test_the_nearest_word_is_suggested() -> None:
    with pytest.raises(ValueError, match="Did you mean 'adamw'"):
        Steps(optimizer="adam")


def test_accumulation_divides_the_batch() -> None:
    with pytest.raises(ValueError, match="must be a multiple of `accumulate`"):
        Steps(batch_size=64, accumulate=3)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "step"])
def test_schedules_rise_then_fall(schedule: str) -> None:
    recipe = Steps(epochs=100, warmup=5, schedule=schedule, step_epochs=30)
    rates = [recipe.learning_rate(t / 10) for t in range(1001)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(recipe.lr)
    assert rates[25] == pytest.approx(recipe.lr / 2)
    assert all(a >= b for a, b in zip(rates[50:], rates[51:], strict=False))
    assert rates[-1] == pytest.approx(1e-4 if schedule == "step" else 0)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_few_epochs_reach_the_peak_and_fall_from_it(epochs: int, schedule: str) -> None:
    recipe = Steps(epochs=epochs, warmup=2, schedule=schedule)
    rates = [recipe.learning_rate(epochs * t / 100) for t in range(101)]
    assert max(rates) == pytest.approx(recipe.lr)
    assert rates[-1] == pytest.approx(0)
