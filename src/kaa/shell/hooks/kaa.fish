# The function kaa for fish. What comes before this text defines __kaa_exe, which runs kaa itself, and __kaa_place, which
# says in __kaa_kept where activations are kept.

function __kaa_eval --description 'Ask kaa for the text of an activation and evaluate it in this shell'
    set -l lines (__kaa_exe shell $argv)
    or return
    eval (string join \n -- $lines | string collect)
    return 0
end

function __kaa_find --description 'Let __kaa_kept be the file in which this activation is kept, if it can be'
    __kaa_place
    set -l from "$CONDA_SHLVL$CONDA_PREFIX"
    test -n "$from"; or set from 0
    set -l flag ''
    set -l word "$argv[2]"
    if test (count $argv) -eq 3; and contains -- "$argv[2]" --stack --no-stack
        set flag $argv[2]
        set word "$argv[3]"
    else if test (count $argv) -gt 2
        set word --
    end
    if not string match -q '/*' -- "$__kaa_kept"
        or not string match -qr '^[0-9](/|$)' -- "$from"
        or string match -qr '^[-~]|^\.$|^\.\.|/\.\.' -- "$word"
        set -g __kaa_kept ''
        return
    end
    if string match -q '*/*' -- "$word"; and not string match -q '/*' -- "$word"
        set word "$PWD/$word"
    end
    set -g __kaa_kept "$__kaa_kept/$from/:$argv[1]$flag/$word.fish"
end

function __kaa_take
    source $__kaa_kept
end

function __kaa_enter --description 'Take the steps that are kept from the last time, if all is as it was; else ask kaa'
    __kaa_find $argv
    if test -O "$__kaa_kept"; and not test -L "$__kaa_kept"
        set -g __entered ''
        __kaa_take
        if test "$__entered" = yes
            set -e -g __entered
            set -e -g __kaa_kept
            return 0
        end
        set -e -g __entered
    end
    set -l words $argv[1] fish
    test -n "$__kaa_kept"; and set -a words --keep $__kaa_kept
    set -e -g __kaa_kept
    __kaa_eval $words $argv[2..-1]
end

function kaa --description 'Environments and packages'
    switch "$argv[1]"
        case activate deactivate
            if contains -- -h $argv; or contains -- --help $argv
                __kaa_exe $argv
            else
                __kaa_enter $argv
            end
        case install update upgrade remove uninstall
            __kaa_exe $argv
            or return
            if set -q CONDA_SHLVL; and test "$CONDA_SHLVL" != 0
                __kaa_eval reactivate fish
            end
        case '*'
            __kaa_exe $argv
    end
end

# Show the active environment in the prompt, unless another hook or conda's own function does it already.
if not functions -q __prompt_without_environment; and not functions -q __conda_add_prompt
    if functions -q fish_prompt
        functions -c fish_prompt __prompt_without_environment
    else
        function __prompt_without_environment
            echo -n (prompt_pwd)'> '
        end
    end
    function __prompt_with_status --description 'Let the next command see this exit status'
        return $argv[1]
    end
    function fish_prompt
        set -l last $status
        if set -q CONDA_PROMPT_MODIFIER
            printf '%s' $CONDA_PROMPT_MODIFIER
        end
        __prompt_with_status $last
        __prompt_without_environment
    end
end
