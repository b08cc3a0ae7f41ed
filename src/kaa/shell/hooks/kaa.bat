@REM The command kaa for cmd.exe: this text, from `kaa shell hook cmd`, is a file kaa.bat before kaa.exe on PATH.
@IF /I "%~1"=="activate" @GOTO :kaa_enter
@IF /I "%~1"=="deactivate" @GOTO :kaa_enter
@%__KAA_COMMAND% %*
@IF ERRORLEVEL 1 @EXIT /B %ERRORLEVEL%
@FOR %%I IN (install update upgrade remove uninstall) DO @IF /I "%~1"=="%%I" @GOTO :kaa_refresh
@EXIT /B 0
:kaa_refresh
@IF "%CONDA_SHLVL%"=="" @EXIT /B 0
@IF "%CONDA_SHLVL%"=="0" @EXIT /B 0
@SET "__KAA_FILE=%TEMP%\kaa-%RANDOM%%RANDOM%.bat"
@%__KAA_COMMAND% shell reactivate cmd > "%__KAA_FILE%"
@GOTO :kaa_call
:kaa_enter
@SET "__KAA_FILE=%TEMP%\kaa-%RANDOM%%RANDOM%.bat"
@%__KAA_COMMAND% shell %~1 cmd %2 %3 %4 > "%__KAA_FILE%"
:kaa_call
@IF ERRORLEVEL 1 @(
    @DEL /Q "%__KAA_FILE%"
    @SET "__KAA_FILE="
    @EXIT /B 1
)
@CALL "%__KAA_FILE%"
@DEL /Q "%__KAA_FILE%"
@SET "__KAA_FILE="
