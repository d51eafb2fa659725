from hyperprune.plan.make import make_plan
from hyperprune.recipe import loads


def test_a_plan_counts_every_epoch_once():
    recipe = loads("[space]\nremoval_rate = { low = 0.4, high = 0.9 }")
    plan = make_plan(recipe)
    assert (plan.candidates, plan.finalists, plan.epochs) == (40, 2, 100)
    assert (plan.search_epochs, plan.full_search_epochs, plan.dense_epochs) == (404, 4000, 100)
    assert make_plan(recipe, dense_cached=True).dense_epochs == 0


def test_a_small_space_limits_the_pool():
    plan = make_plan(loads("[space]\ngrowth = ['random', 'gradient', 'momentum']"))
    assert (plan.candidates, plan.rounds, plan.finalists) == (3, ((3, 3),), 2)
