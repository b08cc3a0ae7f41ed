# Completion of @program@ for fish: the words go to kaa, which answers a word a line, and behind a tab what it means.

function __@program@_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (@program@ completion --complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case \tfiles
                __fish_complete_path "$current"
            case \tdirectories
                __fish_complete_directories "$current"
            case \tprograms
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end

complete -c @program@ -f -a '(__@program@_complete)'
