"""The notation: str and parse are inverse; spellings agree; what is wrong is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgnet.vision.notation import RESTRICTIONS, SMOOTHERS, Notation, parse

channels = st.integers(1, 2048)


@st.composite
def notations(draw: st.DrawFn) -> Notation:
    grids = draw(st.integers(1, 6))
    nu = [draw(st.integers(1, 40)), *draw(st.lists(st.integers(0, 40), min_size=grids - 1, max_size=grids - 1))]
    smoother, Pi = draw(st.sampled_from(sorted(SMOOTHERS))), draw(st.sampled_from(sorted(RESTRICTIONS)))
    pairs = draw(st.lists(st.tuples(channels, channels), min_size=grids, max_size=grids))
    if smoother == "B":
        pairs = pairs[:1] * grids
    if Pi == "Pi_2":
        pairs = [(pairs[0][0], c_f) for _, c_f in pairs] if smoother != "B" else pairs
    if Pi == "Pi_0":
        nu[-1] = max(nu[-1], 1)
    omega = draw(st.just(1.0) | st.floats(0, 2, exclude_min=True, exclude_max=True))
    return Notation(tuple(nu), tuple(pairs), smoother, Pi, omega)


@given(notations())
def test_parse_inverts_str(notation: Notation) -> None:
    assert parse(str(notation)) == notation


@given(notations(), st.randoms())
def test_spaces_and_case_do_not_matter(notation: Notation, random) -> None:  # type: ignore[no-untyped-def]
    text = str(notation).replace("MgNet", random.choice(["mgnet", "MGNET", "MgNet"]))
    assert parse("".join(c + " " * random.randint(0, 1) for c in text)) == notation


@given(st.text(alphabet="MgNet[](),-0129Bli^{}_alphPomega=. ", max_size=30).map(lambda tail: "MgNet[2,2]-" + tail))
def test_any_text_is_parsed_or_refused_with_one_error(text: str) -> None:
    if (refusal := refused(text)) is None:
        assert parse(str(parse(text))) == parse(text)
    else:
        assert refusal.startswith(f"`notation` must look like MgNet[2,2,2,2]-64-B^l; it is {text!r}: ")


def refused(text: str) -> str | None:
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("MgNet[2,2]-64-B^{l}", "MgNet[2,2]-64-B^l"),
        ("MgNet[2,2]-64-B^l,i", "MgNet[2,2]-64-B^{l,i}"),
        ("MgNet[2,2]-[64,64]-B^l", "MgNet[2,2]-64-B^l"),
        ("MgNet[2,2]-[(64,64),(32,32)]-B^l", "MgNet[2,2]-[64,32]-B^l"),
        (r"MgNet[2,2]-64-\alpha_i B^l", "MgNet[2,2]-64-alpha_i B^l"),
        ("MgNet[2,2]-64-\u03b1_iB^l", "MgNet[2,2]-64-alpha_i B^l"),
        ("MgNet[2,2]-64-B^l-Pi_1", "MgNet[2,2]-64-B^l"),
        ("MgNet[2,2]-64-B^l-omega=0.50-\u03a0_2", "MgNet[2,2]-64-B^l-Pi_2-omega=0.5"),
    ],
)
def test_spellings(spelling: str, canonical: str) -> None:
    assert str(parse(spelling)) == canonical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MgNet[2,2]-64-B^k", "Did you mean 'B^l'"),
        ("MgNet[2,2]-64-B^{l,j}", "Did you mean 'B^{l,i}'"),
        ("MgNet[2,2]-64-B^l-Pi_3", "Did you mean 'Pi_"),
        ("MgNet[2,2]-64", "three fields"),
        ("MgNet[2,2]-[64,64,64]-B^l", "2 grids have 3 widths"),
        ("MgNet[0,2]-64-B^l", "finest grid needs a smoothing step"),
        ("MgNet[2,0]-64-B^l-Pi_0", "coarsest grid needs a smoothing step"),
        ("MgNet[2,x]-64-B^l", "'x' should be a whole number"),
        ("MgNet[2,2]-[(1,2,3),64]-B^l", "should be c or (c_u,c_f)"),
        ("MgNet[2,2]-0-B^l", "channels is below 1"),
        ("MgNet[2,2]-[32,64]-B", "same channels on each grid"),
        ("MgNet[2,2]-[32,64]-B^l-Pi_2", "keeps the number of feature channels"),
        ("MgNet[2,2]-64-B^l-omega=2", "between 0 and 2"),
        ("MgNet[2,2]-64-B^l-omega=half", "should read omega=0.5"),
        ("MgNet[2,2]-64-B^l-Pi_0-Pi_0", "a second time"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="`notation` must look like") as caught:
        parse(text)
    assert says in str(caught.value)
    assert repr(text) in str(caught.value)


def test_a_notation_is_a_string() -> None:
    with pytest.raises(TypeError, match="must be a string"):
        parse(64)  # type: ignore[arg-type]
