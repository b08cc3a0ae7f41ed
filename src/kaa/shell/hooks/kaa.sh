# The function kaa for sh, bash, dash and zsh. What comes before this text defines __kaa_exe, which runs kaa itself.

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
        (activate)
            \shift
            __kaa_eval activate posix "$@"
            ;;
        (deactivate)
            \shift
            __kaa_eval deactivate posix "$@"
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
