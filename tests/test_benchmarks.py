"""The benchmarks compare like with like, and the page says what was measured.

Would catch: a contender that trains something else or less than its rival, a table edited by hand
or left behind by a new measurement, a missed promise called reached, a disturbed run that does not
say so, a measurement that leaves out worker processes. No time is asserted.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import gcn, gpt, lenet, overhead, page
from benchmarks.measure import Floor, Others, Result, Run, about, fresh, interleaved, ratios
from practicum.nn.lenet import LeNet5

TINY = {"images": 192, "epochs": 1, "seeds": 2}


@pytest.fixture
def small_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """LeNet measured on made-up images, few of them."""
    monkeypatch.setenv("PRACTICUM_DATA", "/nowhere")
    monkeypatch.setenv("BENCHMARK_THREADS", "1")
    monkeypatch.setattr(lenet, "TEST", 500)
    lenet.data.cache_clear()


# --- like with like


@pytest.mark.usefixtures("small_test_part")
def test_lenet_by_hand_and_ours_reach_the_same_accuracies() -> None:
    before = torch.get_num_threads()
    try:
        by_hand = lenet.by_hand(**TINY)["accuracies"]
        ours = lenet.ours(**TINY, workers=1)["accuracies"]
        for arm, values in by_hand.items():  # an image in 500 may lie on the edge
            assert ours[arm] == pytest.approx(values, abs=0.0021)
    finally:
        torch.set_num_threads(before)
    assert set(by_hand) == set(lenet.ARMS)
    values = [one for arm in by_hand.values() for one in arm]
    assert len(values) == 4
    assert len(set(values)) > 2  # seeds and arms are different trainings


@pytest.mark.parametrize("modern", [False, True])
def test_the_network_by_hand_is_the_same_function(modern: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = LeNet5(modern=modern).double()
        x = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    by_hand = lenet.plain(ours)
    answers = [network(x) for network in (ours, by_hand)]
    torch.testing.assert_close(*answers, rtol=1e-12, atol=1e-12)
    gradients = []
    for network, answer in zip((ours, by_hand), answers, strict=True):
        found = torch.autograd.grad(answer.square().sum(), list(network.parameters()))
        gradients.append(sorted(float(one.square().sum()) for one in found))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-9)


@pytest.mark.usefixtures("small_test_part")
def test_a_lenet_that_trains_less_is_seen() -> None:
    by_hand = lenet.by_hand(**TINY)["accuracies"]
    less = lenet.ours(images=TINY["images"] // 2, epochs=1, seeds=2, workers=1)["accuracies"]
    assert by_hand != less


@pytest.mark.usefixtures("small_test_part")
def test_the_made_up_images_have_fashion_mnists_shape() -> None:
    (x, y), (x_test, y_test), source = lenet.data(100)
    assert x.shape == (100, 1, 28, 28)
    assert x_test.shape == (500, 1, 28, 28)
    assert x.dtype == torch.float32
    assert y.dtype == y_test.dtype == torch.int64
    assert set(y_test.tolist()) == set(range(10))
    assert "made up" in source


def test_fit_and_the_loop_by_hand_end_in_the_same_weights() -> None:
    (by_hand, right), (ours, same) = overhead.by_hand(3, 2), overhead.ours(3, 2)
    assert right == same > 0.5
    for a, b in zip(by_hand.values(), ours.values(), strict=True):
        assert torch.equal(a, b)


def test_contenders_that_end_in_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "ours", lambda seed, epochs: overhead.by_hand(seed + 1, epochs))
    before = torch.get_num_threads()
    try:
        with pytest.raises(RuntimeError, match="same weights"):
            overhead.turns(epochs=1, turns=1)
    finally:
        torch.set_num_threads(before)


def lenet_answers(monkeypatch: pytest.MonkeyPatch, hand: float, ours: float) -> None:
    def answer(function: str, arguments: dict[str, Any], *, threads: int) -> Run:
        value = ours if function.endswith("ours") else hand
        wall = 2.0 if function.endswith("ours") else 4.0 + threads
        return Run(wall=wall, processor=1.0, memory=1.0, answer={"accuracies": {"a": [value]}})

    monkeypatch.setattr(lenet, "fresh", answer)
    monkeypatch.setattr(lenet, "data", lambda images: ((), (), "nothing"))


def test_lenets_ratio_is_to_the_best_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenet, "cores", lambda: 3)
    lenet_answers(monkeypatch, 0.9, 0.9)
    assert lenet.run(repeats=2).floors[0].measured == 2.5


def test_lenets_that_differ_in_accuracy_are_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lenet_answers(monkeypatch, 0.9, 0.89)
    with pytest.raises(RuntimeError, match="same accuracy"):
        lenet.run(repeats=1)


def test_gcn_trains_the_same_seeds_whatever_their_company() -> None:
    whole = gcn.together([0, 1, 2], 6, True)
    assert gcn.together([0, 2], 6, True) == [whole[0], whole[2]]
    assert gcn.together([0, 1, 2], 0 + 1, True) != whole


def test_gcn_of_torch_geometric_begins_and_ends_where_ours_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch_geometric", reason="needs torch_geometric; lifted by `make bench`")
    monkeypatch.setenv("BENCHMARK_THREADS", "1")
    before = torch.get_num_threads()
    try:
        ours = gcn.ours(seeds=2, steps=6, small=True)["accuracies"]
        for way in gcn.WAYS:
            theirs = gcn.theirs(way=way, seeds=2, steps=6, small=True)["accuracies"]
            assert theirs == pytest.approx(ours, abs=2.6)  # a node of 40 may lie on the edge
    finally:
        torch.set_num_threads(before)


# --- measuring


def test_rounds_begin_with_another_contender_each() -> None:
    order: list[str] = []

    def run(name: str) -> Run:
        order.append(name)
        return Run(wall=float(len(order)), processor=0, memory=None, answer=None)

    runs = interleaved({name: partial(run, name) for name in "abc"}, repeats=3)
    assert "".join(order) == "abcbcacab"
    assert ratios(runs["a"], runs["b"]) == [1 / 2, 6 / 4, 8 / 9]


def test_a_fresh_process_counts_its_children_and_tells_its_error() -> None:
    run = fresh("json:loads", {"s": "[1, 2]"}, threads=1)
    assert run.answer == [1, 2]
    assert run.processor > 0
    with pytest.raises(RuntimeError, match="JSONDecodeError"):
        fresh("json:loads", {"s": "["}, threads=1)


def test_own_work_is_not_taken_for_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import measure

    monkeypatch.setattr(measure, "_busy", lambda: 7.0)
    monkeypatch.setattr(measure, "_own", lambda: 1.0)
    others = Others()
    monkeypatch.setattr(measure, "_busy", lambda: 9.0)
    monkeypatch.setattr(measure, "_own", lambda: 3.0)
    assert others.cores() == 0


# --- the page


def result(**changes: Any) -> dict[str, Any]:
    made = Result(
        name="startup",
        title="A title",
        what="What was done.",
        columns=["contender", "seconds"],
        rows=[["one", 1234.5678], ["two", 0.012345], ["three", None], ["four", "1 (0 to 2)"]],
        floors=[
            Floor(text="fast", bound=2, measured=3),
            Floor(text="faster", bound=4, measured=3),
            Floor(text="small", bound=2, measured=3, at_most=True, unit="s"),
        ],
    )
    return made.to_json() | about("python -m benchmarks startup", 0.0) | changes


def test_a_table_says_numbers_promises_and_command() -> None:
    text = page.table(result())
    for line in (
        "| one | 1,235 |",
        "| two | 0.0123 |",
        "| three | - |",
        "| four | 1 (0 to 2) |",
        "- **Reached**: fast: at least 2 promised, 3 measured.",
        "- **MISSED**: faster: at least 4 promised, 3 measured.",
        "- **MISSED**: small: at most 2 s promised, 3 s measured.",
    ):
        assert line in text.splitlines()
    assert "`python -m benchmarks startup`" in text
    assert torch.__version__.split("+")[0] in text


def test_a_disturbed_run_says_so() -> None:
    assert "disturbed" not in page.table(result(others=0.05))
    assert "disturbed" in page.table(result(others=0.5))
    assert "not known" in page.table(result(others=None))


def test_peers_are_told_with_their_promises_met_missed_or_not_measured() -> None:
    run = {"seconds": 1.0, "steps": 100, "accuracy": 97.0, "peak_mib": 300.0}
    contenders = {
        "us": {"threads": 1, "problem": "", "runs": [run], "ratios": [1.0]},
        "slow": {"threads": 2, "problem": "", "runs": [run | {"seconds": 4}], "ratios": [4.0]},
        "quick": {"threads": 1, "problem": "", "runs": [run | {"seconds": 2}], "ratios": [2.0]},
        "gone": {"threads": 1, "problem": "not installed", "runs": [], "ratios": []},
    }
    floors = {"slow": 3, "quick": 3, "gone": 3}
    text = page.table(
        {"contenders": contenders, "floors": floors} | about("python -m benchmarks digits", 0.0)
    )
    assert "- **Reached**: times the speed of slow: at least 3 promised, 4 measured." in text
    assert "- **MISSED**: times the speed of quick: at least 3 promised, 2 measured." in text
    assert "- **Not measured**: gone (not installed)." in text
    plain = {"cores": 2, "python": "3.11", "torch": "2"}  # as `python -m benchmarks.digits` leaves
    text = page.table({"contenders": contenders, "floors": floors, "machine": plain})
    assert text.endswith("2 cores, Python 3.11, torch 2. " + page.UNKNOWN + "\n")
    loaded = page.table({"contenders": contenders, "machine": plain | {"load_average": [3, 5, 9]}})
    assert page.DISTURBED in loaded


def test_the_page_is_filled_between_its_markers_only() -> None:
    text = "before\n<!-- benchmark startup -->\nold\n<!-- end -->\nafter\n"
    once = page.filled(text, {"startup": result()})
    assert once.startswith("before\n<!-- benchmark startup -->\n")
    assert once.endswith("<!-- end -->\nafter\n")
    assert "old" not in once
    assert page.filled(once, {"startup": result()}) == once
    assert "Not measured yet" in page.filled(once, {})
    with pytest.raises(ValueError, match="no place for other"):
        page.filled(text, {"other": result()})


def test_the_pages_tables_are_what_the_result_files_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, page.saved()) == text, "run `python -m benchmarks`, or page.update()"
    assert {match.group(2) for match in page.SECTION.finditer(text)} == set(command.ORDER)


def test_a_number_changed_in_a_table_would_be_seen() -> None:
    text = "<!-- benchmark startup -->\n<!-- end -->\n"
    made = page.filled(text, {"startup": result()})
    forged = made.replace("1,235", "1,234")
    assert page.filled(forged, {"startup": result()}) != forged


# --- the command


def test_the_command_keeps_a_file_for_each_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import startup

    monkeypatch.setattr(startup, "programs", lambda: {name: ["true"] for name in NAMES})
    assert command.main(["startup", "--repeats", "2", "--into", str(tmp_path)]) == 0
    kept = json.loads((tmp_path / "startup.json").read_text())
    assert kept["command"] == "python -m benchmarks startup --repeats 2" or (
        kept["command"].startswith("PRACTICUM_DATA=... ")
    )
    assert len(kept["runs"]["practicum list"]) == 2
    assert kept["machine"]["cores"] >= 1
    assert page.table(kept) in capsys.readouterr().out


NAMES = ("practicum list", 'python -c "pass"')


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["speeed"]) == 2
    assert "no benchmark 'speeed'" in capsys.readouterr().err


def test_equal_quality_asks_for_seeds_that_tell_no_difference_and_for_enough_of_them() -> None:
    def reached(ours: list[float], theirs: list[float]) -> list[bool]:
        return [floor.reached for floor in gpt._quality([ours, theirs])]

    assert reached([1.90, 1.91, 1.89], [1.89, 1.91, 1.90]) == [True, True]
    assert reached([1.98, 2.00, 1.99], [1.89, 1.90, 1.89]) == [False, False]
    assert reached([1.95, 2.05], [1.88, 1.88]) == [True, False]  # two seeds cannot tell
    low, high = gpt._quality([[2.0, 3.0, 5.0], [1.0, 1.0, 2.0]])
    # differences 1, 2, 3: mean 2, Student's t with 2 degrees of freedom at 97.5 %: 4.3027
    assert (low.measured + high.measured) / 2 == pytest.approx(2.0)
    assert high.measured - low.measured == pytest.approx(2 * 4.30265 / 3**0.5, rel=1e-5)
    assert gpt._quality([[1.9], [1.8]]) == []
