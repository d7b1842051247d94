# Runs gansweep with the Python that Ray itself runs here, which need not be one of the PATH: a job
# is a child of one of Ray's workers, and that of a raylet, which knows how it starts its workers.
raylet=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$PPID/status" 2>/dev/null)
python=$(tr '\0' '\n' 2>/dev/null <"/proc/$raylet/cmdline" |
    sed -n 's/^--python_worker_command=\([^ ]*\) .*/\1/p')
"${python:=python3}" -m sweeps.jobs.needs || exit
exec "$python" -m sweeps.cli "$@"
