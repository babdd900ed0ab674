#!/bin/sh
# Changes safety/ in one place at a time and counts how many of the changes the tests of safety/ notice.
#
#   sh scripts/mutation.sh                            everything that has no verdict yet
#   sh scripts/mutation.sh 'forearm.safety.guard*'    one file, by mutmut's name
#   sh scripts/mutation.sh --again '*boxes*'          also what has a verdict
#
# What survives is listed at the end; `mutmut show NAME` says what it is. docs/mutants.md argues those that may live.
set -eu

python=${PYTHON:-.venv/bin/python}
tools=build/mutation

if ! test -x "$tools/bin/mutmut"; then
    "$python" -m venv --without-pip "$tools"
    site=$("$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    "$python" -m pip install --quiet --target "$site" mutmut==3.8.1
    # Our own dependencies are found where they are, without the editable forearm: mutmut has its own copy.
    "$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' > "$site/zz_dependencies.pth"
    printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m mutmut "$@"\n' > "$tools/bin/mutmut"
    chmod +x "$tools/bin/mutmut"
fi

MUJOCO_GL=${MUJOCO_GL:-egl} OPENBLAS_NUM_THREADS=1 "$tools/bin/python" scripts/mutation.py "$@"
"$tools/bin/mutmut" results
