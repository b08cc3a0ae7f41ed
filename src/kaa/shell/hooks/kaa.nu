# The command kaa for nushell. What comes before this text defines KAA_COMMAND, the words that run kaa itself.

def --wrapped __kaa_exe [...words] {
    let rest = ($KAA_COMMAND | skip 1)
    ^($KAA_COMMAND | first) ...$rest ...$words
}

def --env __kaa_load [text: string] {
    let change = ($text | from json)
    for name in $change.unset { hide-env --ignore-errors $name }
    let change_path = ("PATH" in $change.set)
    load-env ($change.set | reject --ignore-errors PATH)
    if $change_path { $env.PATH = ($change.set.PATH | split row (char esep)) }
}

def --env --wrapped kaa [...words] {
    let verb = ($words | get --ignore-errors 0 | default "")
    let asks_help = ("-h" in $words) or ("--help" in $words)
    if ($verb in ["activate" "deactivate"]) and not $asks_help {
        let text = (__kaa_exe shell $verb nushell ...($words | skip 1))
        if ($text | is-not-empty) { __kaa_load $text }
    } else {
        __kaa_exe ...$words
        let changes = ["install" "update" "upgrade" "remove" "uninstall"]
        if ($verb in $changes) and (($env.CONDA_SHLVL? | default "0") != "0") {
            let text = (__kaa_exe shell reactivate nushell)
            if ($text | is-not-empty) { __kaa_load $text }
        }
    }
}
