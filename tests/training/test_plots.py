"""Learning curves.

1  Ticks are whole epochs, and numbers as they are written.
2  A letter that the font has not costs no warning.
"""

import warnings

import pytest

from mgnet.training import plots


def row(epoch: int, value: float) -> dict[str, float]:
    names = [f"{split}_{what}" for split in ("train", "validation") for what in ("loss", "error")]
    return {"epoch": epoch, **dict.fromkeys(names, value)}


@pytest.mark.parametrize("values", [[2.0], [2.0, 1.7, 1.5, 1.3], [2.0, 0.3, 0.02]], ids=["one", "near", "far"])
def test_ticks_are_whole_epochs_and_plain_numbers(values, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    plots.curves([row(i + 1, value) for i, value in enumerate(values)], "curves.png", "error")
    drawn[0].canvas.draw()
    for axes in drawn[0].axes:
        across = [tick.get_text() for tick in axes.get_xticklabels()]
        assert {str(i + 1) for i in range(len(values))} <= set(across)
        assert all(text.isdecimal() for text in across)
        up = [tick.get_text() for tick in axes.get_yticklabels() + axes.get_yticklabels(minor=True)]
        shown = [float(text) for text in up if text]
        assert len(shown) >= 2


def test_letters_that_the_font_has_not(tmp_path):
    figure = plots.Figure()
    figure.suptitle("\N{CJK UNIFIED IDEOGRAPH-732B}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plots.save(figure, tmp_path / "a.png").exists()
