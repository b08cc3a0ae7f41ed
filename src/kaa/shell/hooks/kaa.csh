# What the alias kaa sources in tcsh, with the words of the command line as $argv. The hook has set __kaa_exe, the words
# that run kaa itself. csh has no functions; all names that this file sets are taken away at its end.

set __kaa_verb = ""
if ( $#argv > 0 ) then
    set __kaa_verb = "$argv[1]:q"
endif
set __kaa_text = ( )

switch ( "$__kaa_verb:q" )
    case "activate":
    case "deactivate":
        set __kaa_help = 0
        foreach __kaa_word ( $argv:q )
            if ( "$__kaa_word:q" == "-h" || "$__kaa_word:q" == "--help" ) set __kaa_help = 1
        end
        if ( $__kaa_help ) then
            $__kaa_exe:q $argv:q
            set __kaa_status = $status
        else
            shift
            set __kaa_text = ( $__kaa_verb csh $argv:q )
        endif
        unset __kaa_help __kaa_word
        breaksw
    case "install":
    case "update":
    case "upgrade":
    case "remove":
    case "uninstall":
        $__kaa_exe:q $argv:q
        set __kaa_status = $status
        rehash
        if ( $__kaa_status == 0 && $?CONDA_SHLVL ) then
            if ( "$CONDA_SHLVL" != "0" ) set __kaa_text = ( reactivate csh )
        endif
        breaksw
    default:
        $__kaa_exe:q $argv:q
        set __kaa_status = $status
        breaksw
endsw

if ( $#__kaa_text > 0 ) then
    set __kaa_file = "`mktemp`"
    $__kaa_exe:q shell $__kaa_text:q >! "$__kaa_file:q"
    set __kaa_status = $status
    if ( $__kaa_status == 0 ) source "$__kaa_file:q"
    \rm -f "$__kaa_file:q"
    unset __kaa_file
    rehash
endif

unset __kaa_verb __kaa_text
eval "unset __kaa_status; ( exit $__kaa_status )"
