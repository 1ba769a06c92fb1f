"""Scripts that complete in a shell, made of the flags of every verb and their choices.

Flags: by verb, a dict from a flag to its choices: [] of a flag without a value, None where a file or a number follows.
"""

from collections.abc import Callable, Mapping


Flags = Mapping[str, Mapping[str, list[str] | None]]

BASH = """# completion of lm-jax for bash
_lm_jax() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb=${{COMP_WORDS[1]}} words=""
    case "$verb" in {groups}) [ "$COMP_CWORD" -gt 2 ] && verb="$verb ${{COMP_WORDS[2]}}" ;; esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{first}"
    else
        case "$verb $before" in
{seconds}
{choices}
        *) case "$verb" in
{flags}
            esac
            case "$current" in -*) ;; *) words="" ;; esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _lm_jax lm-jax"""

FISH_VERB = """# completion of lm-jax for fish
function __lm_jax_verb
    set -l words (commandline -opc)
    set -l verb (string split ' ' -- $argv[1])
    test (count $words) -gt (count $verb); or return 1
    test "$words[2.."(math 1 + (count $verb))"]" = "$argv[1]"
end
function __lm_jax_words
    test (count (commandline -opc)) -eq $argv[1]
end
complete -c lm-jax -n '__lm_jax_words 1' -f"""


def bash(flags: Flags) -> str:
    """Writes the script for bash; zsh reads it too."""
    seconds = [f'        "{group} {group}") words="{" ".join(rest)}" ;;' for group, rest in _groups(flags).items()]
    choices = [
        f'        "{verb} {flag}") words="{" ".join(options)}" ;;'
        for verb, own in flags.items()
        for flag, options in own.items()
        if options
    ]
    lines = [f'            "{verb}") words="{" ".join(own)}" ;;' for verb, own in flags.items()]
    return BASH.format(
        groups="|".join(_groups(flags)),
        first=" ".join([*_first(flags), "help", "--help", "--version"]),
        seconds="\n".join(seconds),
        choices="\n".join(choices),
        flags="\n".join(lines),
    )


def zsh(flags: Flags) -> str:
    """Writes the script for zsh, which has the functions of bash's completion."""
    return f"# completion of lm-jax for zsh\nautoload -U +X bashcompinit && bashcompinit\n{bash(flags)}"


def fish(flags: Flags) -> str:
    """Writes the script for fish."""
    lines = [FISH_VERB, f"complete -c lm-jax -n '__lm_jax_words 1' -a '{' '.join([*_first(flags), 'help'])}'"]
    for group, rest in _groups(flags).items():
        lines.append(f"complete -c lm-jax -n '__lm_jax_words 2; and __lm_jax_verb {group}' -fa '{' '.join(rest)}'")
    for verb, own in flags.items():
        for flag, options in own.items():
            value = f" -xa '{' '.join(options)}'" if options else " -r" if options is None else ""
            lines.append(f"complete -c lm-jax -n '__lm_jax_verb \"{verb}\"' -l {flag.removeprefix('--')}{value}")
    return "\n".join(lines)


def _first(flags):
    """The first words of all verbs."""
    return list(dict.fromkeys(verb.split()[0] for verb in flags))


def _groups(flags):
    """The second words of the verbs of two words, by the first."""
    groups: dict[str, list[str]] = {}
    for verb in flags:
        first, _, second = verb.partition(" ")
        if second:
            groups.setdefault(first, []).append(second)
    return groups


SCRIPTS: dict[str, Callable[[Flags], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
