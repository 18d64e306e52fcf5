# What ci/test, ci/try and ci/lock share: which Python, which environment, what a stage is.
# Sourced by POSIX sh scripts that lie beside it; it needs python3 and git, nothing else.

set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
VENV=${VDKPROBE_VENV:-$ROOT/.venv}
LOCK=$ROOT/ci/requirements.lock
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# Hundreds of processes are started; without byte code each would compile the same modules again.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "== $*"; }
die() {
    printf '%s\n' "ci: $*" >&2
    exit 2
}

# A name that is found on PATH may still be a shim that fails, so every candidate is run.
python_works() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}
python_has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }
python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# The Python of the main run: $PYTHON, or the first that is new enough and can make environments.
find_python() {
    too_bare=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        python_works "$candidate" || continue
        if python_has_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
        too_bare=$candidate
    done
    [ -z "$too_bare" ] || die "$too_bare lacks venv or ensurepip: install its package" \
        "(Debian: apt-get install python3-venv), or name another interpreter with PYTHON=..."
    die "no Python 3.11 or later found: install one, or name it with PYTHON=..."
}

# A working interpreter of exactly this version, from PATH or from pyenv; fails where there is none.
find_python_of() {
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/"python$1"; do
        if python_works "$candidate" && python_has_venv "$candidate" &&
            [ "$(python_version "$candidate")" = "$1" ]; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# environment DIR PYTHON: the locked packages and this checkout, editable, in DIR. Does nothing
# when that is what DIR already holds; the stamp is written last, so a broken start is made anew.
environment() {
    stamp="$("$2" -VV) $ROOT $(cat "$LOCK" "$ROOT/pyproject.toml" | cksum)"
    if [ "$(cat "$1/vdkprobe-stamp" 2>/dev/null)" = "$stamp" ] && python_works "$1/bin/python"; then
        return
    fi
    # Chained, because a caller that tests the result switches `set -e` off in here.
    rm -f "$1/vdkprobe-stamp" &&
        "$2" -m venv --clear "$1" &&
        "$1/bin/python" -m pip install --quiet -r "$LOCK" &&
        "$1/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e "$ROOT" &&
        printf '%s\n' "$stamp" >"$1/vdkprobe-stamp"
}

# stage NAME COMMAND...: run it, say how long it took, remember that it failed and go on, so that
# one run tells everything that is wrong.
FAILED=
stage() {
    stage_name=$1
    shift
    stage_started=$(date +%s)
    stage_result=ok
    "$@" || stage_result=FAILED
    [ "$stage_result" = ok ] || FAILED="$FAILED $stage_name"
    say "$stage_name: $stage_result after $(($(date +%s) - stage_started)) s"
}
