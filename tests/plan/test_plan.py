from hyperprune.plan.make import make_plan
from hyperprune.recipe import loads, space_of


def test_a_plan_counts_every_epoch_once():
    recipe = loads("[space]\nremoval_rate = { low = 0.4, high = 0.9 }")
    plan = make_plan(recipe, None)
    assert (plan.candidates, plan.finalists, plan.epochs) == (40, 2, 100)
    assert (plan.search_epochs, plan.full_search_epochs, plan.dense_epochs) == (404, 4000, 100)


def test_further_seeds_belong_to_the_full_search_as_well():
    recipe = loads("final.seeds = 3\n[space]\nremoval_rate = { low = 0.4, high = 0.9 }")
    plan = make_plan(recipe, None)
    # two finalists from two more seeds, 100 epochs each
    assert (plan.search_epochs, plan.full_search_epochs) == (404 + 400, 4000 + 400)


def test_a_small_space_limits_the_pool():
    recipe = loads("[space]\ngrowth = ['random', 'gradient', 'momentum']")
    plan = make_plan(recipe, space_of(recipe).size)
    assert (plan.candidates, plan.rounds, plan.finalists) == (3, ((3, 3),), 2)
