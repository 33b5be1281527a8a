"""Tables fit on the terminal, and no word of a cell is broken."""

from __future__ import annotations

import random

import pytest

from relaxit.cli.tables import print_notes, print_table, table_lines, wrapped

WIDTHS = (40, 60, 80, 120)


def random_table(seed: int) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of one word or several, without words that fill half of 40 columns."""
    draw = random.Random(seed)
    count = draw.randint(1, 8)
    prose = {n for n in range(count) if draw.random() < 0.3}

    def word() -> str:
        return "".join(draw.choices("abcdefgh-_=.[]", k=draw.randint(1, 10)))

    def cell(number: int) -> str:
        most = 14 if number in prose and number else 2
        return " ".join(word() for _ in range(draw.randint(0 if number else 1, most)))

    columns = [f"{word()} {number}" for number in range(count)]
    return columns, [[cell(n) for n in range(count)] for _ in range(draw.randint(1, 5))]


def words_of(cells: list[str]) -> list[str]:
    return sorted(word for cell in cells for word in cell.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(60))
def test_every_word_is_whole_and_no_line_is_too_long(seed, width):
    columns, rows = random_table(seed)
    lines = table_lines(columns, rows, width)
    assert max(map(len, lines)) <= width
    shown = [word for line in lines for word in line.split() if set(word) != {"─"}]
    assert set(words_of([cell for row in rows for cell in row])) <= set(shown)
    first = [row[0] for row in rows]
    assert all(any(line.startswith(f"  {name}") for line in lines) for name in first)
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_or_said_twice(seed, width):
    columns, rows = random_table(seed)
    lines = table_lines(["" for _ in columns], rows, width)
    shown = sorted(word for line in lines for word in line.split())
    blocks = lines.count("") + 1  # each begins with the first column
    cells = [cell for row in rows for cell in row[1:]] + [row[0] for row in rows] * blocks
    assert shown == words_of(cells)


def test_what_fits_is_printed_as_it_is():
    rows = [["one", "1.5 2.5", "a long cell of prose that fits"], ["three", "-", ""]]
    assert table_lines(["name", "ms", "why"], rows, 80) == [
        "  name   ms       why",
        "  " + "─" * 46,
        "  one    1.5 2.5  a long cell of prose that fits",
        "  three  -",
    ]


def test_headings_are_wrapped_before_anything_else():
    assert table_lines(["", "test discrete ELBO"], [["seed-0", "-23.94"]], 20) == [
        "          test",
        "          discrete",
        "          ELBO",
        "  ────────────────",
        "  seed-0  -23.94",
    ]


def test_prose_is_wrapped_where_there_is_room_for_it():
    why = "there is a discrete distribution to compare with"
    assert table_lines(["check", "why"], [["a", why]], 40) == [
        "  check  why",
        "  ──────────────────────────────────────",
        "  a      there is a discrete",
        "         distribution to compare with",
    ]


def test_prose_goes_below_its_row_where_there_is_none():
    why = "there is a discrete distribution to compare with"
    rows = [["kl_to_uniform_is_usable", "pass", why], ["masks", "pass", ""]]
    assert table_lines(["check", "outcome", "why"], rows, 40) == [
        "  check                    outcome",
        "      why",
        "  ────────────────────────────────",
        "  kl_to_uniform_is_usable  pass",
        "      there is a discrete distribution",
        "      to compare with",
        "  masks                    pass",
    ]


def test_columns_that_do_not_fit_are_printed_below():
    rows = [["gumbel_softmax", "3.52", "2.51 4.53", "1.00"]]
    assert table_lines(["implementation", "ms", "quartiles", "ratio"], rows, 34) == [
        "  implementation  ms    quartiles",
        "  ───────────────────────────────",
        "  gumbel_softmax  3.52  2.51 4.53",
        "",
        "  implementation  ratio",
        "  ─────────────────────",
        "  gumbel_softmax  1.00",
    ]


def test_a_word_longer_than_the_terminal_is_in_one_piece():
    path = "/" + "x" * 90
    assert table_lines(["", ""], [["run", path], ["test", "1"]], 60)[0] == f"  run   {path}"
    assert wrapped(f"written: {path}", 60)[-1].strip() == path


def test_wide_characters_count_twice():
    lines = table_lines(["name", "summary"], [["日本語", "x"], ["abcdef", "y"]], 80)
    assert lines[-2:] == ["  日本語  x", "  abcdef  y"]


def test_brackets_are_text_and_a_table_without_rows_says_so(capsys):
    print_table("options", ["name"], [])
    print_table("shapes", ["", ""], [["params", "[*batch, 5]"]])
    print_notes("a [bold]note[/bold] " + "of words " * 30, stderr=True)
    out, err = capsys.readouterr()
    assert out == "options: none\nshapes\n  params  [*batch, 5]\n\n"
    first, *others = err.splitlines()
    assert first.startswith("  a [bold]note[/bold] of words")
    assert all(line.startswith("    of words") or line.startswith("    words") for line in others)
