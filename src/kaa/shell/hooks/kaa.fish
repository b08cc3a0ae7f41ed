# The function kaa for fish. What comes before this text defines __kaa_exe, which runs kaa itself.

function __kaa_eval --description 'Ask kaa for the text of an activation and evaluate it in this shell'
    set -l lines (__kaa_exe shell $argv)
    or return
    eval (string join \n -- $lines | string collect)
    return 0
end

function kaa --description 'Environments and packages'
    switch "$argv[1]"
        case activate deactivate
            if contains -- -h $argv; or contains -- --help $argv
                __kaa_exe $argv
            else
                __kaa_eval $argv[1] fish $argv[2..-1]
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
