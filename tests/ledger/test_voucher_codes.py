"""Voucher codes: what people make of them is read, and what they get wrong is found."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from meter.admin.voucher_codes import digest, new_code, read_code

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEY = "k" * 32

codes = st.builds(new_code)


def test_a_code_has_seven_groups_of_four_without_letters_that_look_like_others() -> None:
    for _ in range(100):
        groups = new_code().split("-")
        assert [len(group) for group in groups] == [4] * 7
        assert set("".join(groups)) <= set(SYMBOLS)


def test_no_two_codes_are_alike_and_every_symbol_is_drawn() -> None:
    made = [new_code() for _ in range(2000)]
    assert len(set(made)) == len(made)
    for place in (0, 1, 15, 26):
        assert {code.replace("-", "")[place] for code in made} == set(SYMBOLS)


@given(codes)
def test_case_separators_and_letters_for_digits_do_not_matter(code: str) -> None:
    plain = read_code(code)
    assert plain == code.replace("-", "")
    for typed in (
        plain,
        code.lower(),
        code.replace("-", " "),
        f" {code}\t",
        code.replace("-", "\u2013"),
        code.replace("-", "_"),
    ):
        assert read_code(typed) == plain
    assert read_code(code.replace("0", "o").replace("1", "l")) == plain
    assert read_code(code.replace("0", "O").replace("1", "i")) == plain


@given(codes)
def test_any_one_wrong_symbol_is_found(code: str) -> None:
    plain = code.replace("-", "")
    for place, right in enumerate(plain):
        for wrong in SYMBOLS:
            assert (read_code(plain[:place] + wrong + plain[place + 1 :]) is None) == (
                wrong != right
            )


@given(codes)
def test_any_two_symbols_that_changed_places_are_found(code: str) -> None:
    plain = code.replace("-", "")
    for first, second in combinations(range(len(plain)), 2):
        typed = list(plain)
        typed[first], typed[second] = typed[second], typed[first]
        assert (read_code("".join(typed)) is None) == (plain[first] != plain[second])


@given(codes)
def test_a_code_too_short_or_too_long_is_no_code(code: str) -> None:
    for typed in ("", code[:-1], code + "0", code + code, code[1:]):
        assert read_code(typed) is None


@given(st.text(max_size=60))
def test_any_text_can_be_read_without_harm(typed: str) -> None:
    read = read_code(typed)
    assert read is None or read_code(read) == read


@given(codes)
def test_what_is_kept_depends_on_the_code_and_the_key_alone(code: str) -> None:
    kept = digest(KEY, code)
    assert digest(KEY, read_code(code.lower()) or "") == kept
    assert code.replace("-", "") not in kept.upper()
    assert digest("another" + KEY, code) != kept != digest(KEY, new_code())
