# The alias kaa for xonsh. What comes before this text defines __kaa_command, the words that run kaa itself.


def __kaa_define(command):
    import subprocess
    from xonsh.tools import unthreadable

    def descriptor(stream):
        try:
            return None if stream is None else stream.fileno()
        except (OSError, AttributeError):
            return None

    def evaluate(words, stderr):
        made = subprocess.run(
            [*command, "shell", *words],
            stdout=subprocess.PIPE,
            stderr=descriptor(stderr),
            env=${...}.detype(),
        )
        if made.returncode == 0:
            text = made.stdout.decode("utf-8", "surrogateescape")
            execx(text, "exec", __xonsh__.ctx, filename="<kaa>")
        return made.returncode

    @unthreadable
    def kaa(args, stdin=None, stdout=None, stderr=None):
        verb = args[0] if args else ""
        if verb in ("activate", "deactivate") and not {"-h", "--help"} & set(args):
            return evaluate([verb, "xonsh", *args[1:]], stderr)
        code = subprocess.call(
            [*command, *args],
            stdin=descriptor(stdin),
            stdout=descriptor(stdout),
            stderr=descriptor(stderr),
            env=${...}.detype(),
        )
        changes = ("install", "update", "upgrade", "remove", "uninstall")
        if code == 0 and verb in changes and ${...}.get("CONDA_SHLVL", "0") not in ("", "0", 0):
            return evaluate(["reactivate", "xonsh"], stderr)
        return code

    aliases["kaa"] = kaa


__kaa_define(__kaa_command)
del __kaa_define, __kaa_command
