# The function kaa for PowerShell. What comes before this text defines $__KaaCommand, the words that run kaa itself.

function global:__Kaa-Invoke {
    $words = @($global:__KaaCommand | Select-Object -Skip 1) + @($args)
    & $global:__KaaCommand[0] @words
}

function global:kaa {
    $verb = if ($args.Count -gt 0) { [string]$args[0] } else { '' }
    $rest = @($args | Select-Object -Skip 1)
    if ($verb -in 'activate', 'deactivate' -and -not ($rest -contains '-h' -or $rest -contains '--help')) {
        $text = (__Kaa-Invoke shell $verb powershell @rest) -join "`n"
        if ($LASTEXITCODE -eq 0 -and $text) { . ([scriptblock]::Create($text)) }
        return
    }
    __Kaa-Invoke @args
    if ($verb -in 'install', 'update', 'upgrade', 'remove', 'uninstall') {
        $status = $LASTEXITCODE
        if ($status -eq 0 -and $Env:CONDA_SHLVL -and $Env:CONDA_SHLVL -ne '0') {
            $text = (__Kaa-Invoke shell reactivate powershell) -join "`n"
            if ($LASTEXITCODE -eq 0 -and $text) { . ([scriptblock]::Create($text)) }
        }
        $global:LASTEXITCODE = $status
    }
}

# Show the active environment in the prompt, unless another hook or conda's own function does it already.
if (-not (Test-Path Function:\__PromptWithoutEnvironment) -and -not (Test-Path Function:\CondaPromptBackup)) {
    Copy-Item Function:\prompt Function:\global:__PromptWithoutEnvironment
    function global:prompt {
        if ($Env:CONDA_PROMPT_MODIFIER) { $Env:CONDA_PROMPT_MODIFIER | Write-Host -NoNewline }
        __PromptWithoutEnvironment
    }
}
