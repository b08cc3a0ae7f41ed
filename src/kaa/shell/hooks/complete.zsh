#compdef @program@
# Completion of @program@ for zsh: the words go to kaa, which answers a word a line, and behind a tab what it means.

__@program@_complete() {
    local line word
    local -a suggestions kinds
    for line in "${(@f)$(@program@ completion --complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        [[ $line == *$'\t'* ]] || continue
        word=${line%%$'\t'*}
        if [[ -z $word ]]; then
            kinds+=("${line#*$'\t'}")
        else
            suggestions+=("${word//:/\\:}:${line#*$'\t'}")
        fi
    done
    (( $#suggestions )) && _describe -V '@program@' suggestions
    for word in $kinds; do
        case $word in
            files) _files ;;
            directories) _files -/ ;;
            programs) _command_names -e ;;
        esac
    done
}

if (( $+functions[compdef] )); then
    compdef __@program@_complete @program@
fi
