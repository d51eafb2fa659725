import pytest

from hyperprune import __version__, cli
from hyperprune.errors import HyperpruneError, Stopped


def test_help_names_every_command(hyperprune):
    shown = hyperprune("--help").out
    for name in (
        *("run", "resume", "show", "spectrum", "report"),
        *("validate", "recipes", "schema", "plugins", "doctor"),
    ):
        assert f" {name} " in shown


def test_version(hyperprune):
    assert hyperprune("--version").out == f"hyperprune {__version__}\n"


def test_a_mistyped_command_or_option_is_a_usage_error(hyperprune):
    for words in (["vallidate"], ["run"], ["run", "quickstart", "--nope"], ["show"]):
        result = hyperprune(*words)
        assert result.code == 2
        assert result.out == ""
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (HyperpruneError("first\nsecond"), 2, "error: first\nsecond\n"),
        (Stopped("stopped; go on"), 130, "stopped; go on\n"),
        (HyperpruneError("a \x1b[31mred\x07 name"), 2, "error: a \\x1b[31mred\\x07 name\n"),
        (HyperpruneError("[bold]no markup[/bold]"), 2, "error: [bold]no markup[/bold]\n"),
    ],
)
def test_expected_failures_are_a_message_and_a_code(hyperprune, monkeypatch, error, code, said):
    def fail():
        raise error

    monkeypatch.setattr(cli, "app", fail)
    result = hyperprune()
    assert (result.code, result.out, result.err) == (code, "", said)


def test_our_own_mistakes_are_named_without_a_traceback(hyperprune, monkeypatch):
    def fail():
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(cli, "app", fail)
    result = hyperprune()
    assert result.code == cli.INTERNAL
    assert result.err.startswith("error: internal error: ZeroDivisionError: by zero\n")
    assert "HYPERPRUNE_DEBUG=1" in result.err


def test_debug_shows_where(hyperprune, monkeypatch):
    def fail():
        raise HyperpruneError("expected")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.delenv("HYPERPRUNE_DEBUG", raising=False)
    monkeypatch.setenv("HYPERPRUNE_DEBUG", "1")
    with pytest.raises(HyperpruneError, match="expected"):
        cli.main()
