"""Each objective on candidates small enough to score by hand."""

import math
from dataclasses import replace

import pytest

from hyperprune.errors import PluginError, RecipeError
from hyperprune.plugins import registry
from hyperprune.recipe import loads
from hyperprune.search.objective import Comparison, Progress, Score, scores

# candidate   losses          distances   explored   lost
# a           3.0  2.00       1, 9        0.5        0
# b           3.0  2.01       1, 4        0.9        3
# c           3.0  2.50       1, 1        0.7        1
LOSSES = {"a": (3.0, 2.0), "b": (3.0, 2.01), "c": (3.0, 2.5)}
DISTANCES = {"a": (1.0, 9.0), "b": (1.0, 4.0), "c": (1.0, 1.0)}
EXPLORED = {"a": 0.5, "b": 0.9, "c": 0.7}
LOST = {"a": 0.0, "b": 3.0, "c": 1.0}
DENSE = Progress((3.0, 2.0, 1.5, 1.2), (3.0, 2.1, 1.8, 1.7))
ABC = Comparison(
    tuple(
        Progress(
            train_losses=LOSSES[name],
            valid_losses=LOSSES[name],
            distances=DISTANCES[name],
            errors=(0.1, 0.2),
            noises=(0.1, 0.1),
            lost=(0.0, LOST[name]),
            reference_lost=(0.0, 2.0),
            exploration=(0.4, EXPLORED[name]),
        )
        for name in "abc"
    ),
    budget=4,
    dense=DENSE,
    target=1.7,
)


def asked(name, compared=ABC, **options):
    found = scores(registry().bind("objective", name, options), compared, name)
    return [item.value for item in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", [2.0, 2.01, 2.5]),
        ("distance", [9.0, 4.0, 1.0]),
        ("both", [1 + 3, 2 + 2, 3 + 1]),
        ("explored", [1 + 3 + 3, 2 + 2 + 1, 3 + 1 + 2]),
        ("loss_and_lost", [1 + 1, 2 + 3, 3 + 2]),
        ("lost_directions", [2, 1, 1]),
        ("training_speed", [2.5, 2.505, 2.75]),
        # a and b are within 0.02 of a, the lowest: b is nearer, so it comes first; c is by itself.
        ("loss_then_distance", [2.0 + 0.02 / 2, 2.0, 2.5]),
    ],
)
def test_scores_by_hand(name, expected):
    assert asked(name) == pytest.approx(expected)


def test_the_distance_says_how_sure_it_is():
    found = scores(registry().bind("objective", "distance"), ABC)
    assert found == [Score(9.0, 0.2), Score(4.0, 0.2), Score(1.0, 0.2)]


def test_the_last_training_losses_alone_may_count():
    assert asked("training_speed", last=1) == pytest.approx([2.0, 2.01, 2.5])


def test_older_training_losses_may_weigh_less():
    # c: 3.0 with weight 1/2, 2.5 with weight 1.
    assert asked("training_speed", decay=0.5)[2] == pytest.approx(4.0 / 1.5)


def law(a, b, c, epochs):
    return tuple(a + b * epoch**-c for epoch in range(1, epochs + 1))


def test_a_power_law_of_one_exponent_for_all_is_followed_to_the_end_of_the_budget():
    curves = [law(1.0, 2.0, 1.0, 4), law(0.5, 1.0, 1.0, 4)]
    compared = Comparison([Progress(curve, curve) for curve in curves], budget=20)
    assert asked("extrapolated", compared) == pytest.approx([1.0 + 2 / 20, 0.5 + 1 / 20])
    rising = (1.0, 2.0, 3.0)  # no law with b ≥ 0 falls: the mean is all that is known
    assert asked("extrapolated", Comparison((Progress(rising, rising),), 9)) == [2.0]


def test_the_dense_curve_helps_to_tell_the_power():
    two = law(1.0, 2.0, 0.5, 2)  # any power fits two points; the earliest tried is 0.25
    alone = Comparison((Progress(two, two),), budget=16)
    whole = law(1.0, 1.0, 0.5, 16)
    assert asked("extrapolated", alone) != pytest.approx([1.5])
    beside = replace(alone, dense=Progress(whole, whole))
    assert asked("extrapolated", beside) == pytest.approx([1.5])


def test_beside_the_dense_curve_only_the_difference_is_predicted():
    # Gaps at epochs 1 and 2: a 0, −0.1; b 0, −0.09; c 0, 0.4. The slopes over ln(epoch) are these
    # over ln 2, their mean 0.07 / ln 2; half-way to it, and ln 2 to go, from the dense 1.7.
    expected = [1.7 - 0.1 - 0.015, 1.7 - 0.09 - 0.01, 1.7 + 0.4 + 0.235]
    assert asked("beside_dense") == pytest.approx(expected)


def test_similar_settings_share_their_level():
    def candidate(loss, removal):
        curve = (loss + 1, loss + 0.5, loss)
        return Progress(curve, curve, configuration={"removal": removal})

    compared = Comparison(
        (candidate(2.0, "x"), candidate(2.0, "y"), candidate(2.2, "x"), candidate(2.0, "y")), 9
    )
    first, second, third, fourth = asked("freeze_thaw", compared)
    assert second == pytest.approx(fourth)
    assert second < first < third  # x's other try was worse, y's was not


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1.0, 2.0], "2 scores for 3 candidates"),
        ([1.0, 2.0, math.nan], "a score is finite"),
        ([1.0, 2.0, "3"], "a score is a number"),
        (1.0, "expected a list of scores"),
    ],
)
def test_an_answer_that_is_no_score_is_refused(answer, said):
    with pytest.raises(PluginError, match=said):
        scores(lambda compared: answer, ABC)


def test_nothing_compared_is_nothing_asked():
    assert scores(lambda compared: 1 / 0, replace(ABC, candidates=())) == []


def test_a_recipe_names_an_objective_with_its_options():
    recipe = loads('[search]\nobjective = { name = "loss_then_distance", tolerance = 0.1 }')
    assert recipe.search.objective.options == {"tolerance": 0.1}
    with pytest.raises(RecipeError, match=r"search.objective.*did you mean 'loss'"):
        loads('[search]\nobjective = "los"')
    with pytest.raises(RecipeError, match=r"search\.objective\.tolerance"):
        loads('[search]\nobjective = { name = "loss_then_distance", tolerance = -1 }')
