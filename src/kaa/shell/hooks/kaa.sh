# The function kaa for sh, bash, dash and zsh. What comes before this text defines __kaa_exe, which runs kaa itself, and
# __kaa_place, which says in __kaa_kept where activations are kept.

# __kaa_eval VERB [ARGUMENTS]: ask kaa for the text of an activation and evaluate it in this shell.
__kaa_eval() {
    __kaa_text="$(__kaa_exe shell "$@")" || {
        \set -- "$?"
        \unset -v __kaa_text
        \return "$1"
    }
    # The scripts of an environment must not see the arguments of this function as theirs.
    \set --
    \eval "\\unset -v __kaa_text
$__kaa_text"
}

# __kaa_find VERB [ARGUMENTS]: let __kaa_kept be the file in which this activation is kept, if it is one that can be.
__kaa_find() {
    __kaa_place
    __kaa_from="${CONDA_SHLVL:-0}${CONDA_PREFIX-}"
    __kaa_flag=''
    __kaa_word="${2-}"
    case "${#}:${2-}" in
        (1:|2:*) ;;
        (3:--stack|3:--no-stack)
            __kaa_flag="$2"
            __kaa_word="$3"
            ;;
        (*) __kaa_kept='' ;;
    esac
    case "$__kaa_from" in
        ([0-9]|[0-9]/*) ;;
        (*) __kaa_kept='' ;;
    esac
    case "$__kaa_word" in
        (-*|'~'*|.|..*|*/..*) __kaa_kept='' ;;
        (/*) ;;
        (*/*) __kaa_word="${PWD-}/$__kaa_word" ;;
    esac
    case "$__kaa_kept" in
        (/*) __kaa_kept="$__kaa_kept/$__kaa_from/:$1$__kaa_flag/$__kaa_word.sh" ;;
        (*) __kaa_kept='' ;;
    esac
    \unset -v __kaa_from __kaa_flag __kaa_word
}

# Without arguments of its own, so that the scripts of an environment see none.
__kaa_take() {
    \. "$__kaa_kept"
}

# __kaa_enter VERB [ARGUMENTS]: take the steps that are kept from the last time, if all is as it was; else ask kaa.
__kaa_enter() {
    __kaa_find "$@"
    if [ -O "$__kaa_kept" ] 2>/dev/null && [ ! -L "$__kaa_kept" ]; then
        __entered=''
        __kaa_take
        case "$__entered" in
            (yes)
                \unset -v __entered __kaa_kept
                \return 0
                ;;
        esac
        \unset -v __entered
    fi
    __kaa_verb="$1"
    \shift
    case "$__kaa_kept" in
        ('') \set -- "$__kaa_verb" posix "$@" ;;
        (*) \set -- "$__kaa_verb" posix --keep "$__kaa_kept" "$@" ;;
    esac
    \unset -v __kaa_verb __kaa_kept
    __kaa_eval "$@"
}

kaa() {
    case "${1-}" in
        (activate|deactivate)
            case " $* " in
                (*' -h '*|*' --help '*)
                    __kaa_exe "$@"
                    \return
                    ;;
            esac
            ;;
    esac
    case "${1-}" in
        (activate|deactivate)
            __kaa_enter "$@"
            ;;
        (install|update|upgrade|remove|uninstall)
            __kaa_exe "$@" || \return
            \hash -r
            case "${CONDA_SHLVL:-0}" in
                (0) ;;
                (*) __kaa_eval reactivate posix ;;
            esac
            ;;
        (*)
            __kaa_exe "$@"
            ;;
    esac
}
