# Completion of @program@ for bash: the words go to kaa, which answers a word a line, and behind a tab what it means.

__@program@_complete() {
    local IFS=$' \t\n' breaks='' last=-1 word line answer
    local -a words=()
    # bash takes --flag=value and host:port apart; kaa is to see them whole.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if ((last >= 0)) && [[ $word == [=:]* || ${words[last]} == *[=:] ]]; then
            words[last]+=$word
        else
            words[++last]=$word
        fi
    done
    ((last >= 0)) || return 0
    word=${words[last]}
    # What stands before the last of those marks is not replaced, and must not be repeated.
    [[ $word == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && breaks=${word%"${word##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        answer=${line%%$'\t'*}
        if [[ -n $answer ]]; then
            COMPREPLY+=("${answer#"$breaks"}")
            continue
        fi
        word=${word#"$breaks"}
        case ${line#*$'\t'} in
            files) compopt -o filenames 2>/dev/null; answer=-f ;;
            directories) compopt -o filenames 2>/dev/null; answer=-d ;;
            programs) answer=-c ;;
            *) continue ;;
        esac
        while IFS= read -r answer; do
            COMPREPLY+=("$answer")
        done < <(compgen "$answer" -- "$word")
    done < <(@program@ completion --complete -- "${words[@]}" 2>/dev/null)
    # A flag that wants its value behind a = is not at its end.
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F __@program@_complete @program@
