#!/usr/bin/env bash
# Compares traces of the core with quorate.tla: each FILE.tla is what `cargo sim trace --tla FILE.tla`
# writes. Usage, with the tla2tools.jar of the TLA+ project:
#
#     QUORATE_TLC=path/to/tla2tools.jar docs/tla/check_trace.sh FILE.tla…
#
# Prints a line for each trace. A refused one also has the first line that no action explains, what
# was expected there, and the state of the node. Skips, and says so, where the jar or Java is missing.
set -euo pipefail
jar="$(realpath -m -- "${QUORATE_TLC:-/missing}")"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

if [[ ! -f "$jar" ]] || ! command -v java >/dev/null; then
    echo "SKIPPED tla traces: $# traces need Java and QUORATE_TLC=path/to/tla2tools.jar"
    exit 0
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cp "$here"/quorate.tla "$here"/quorate_trace.tla "$here"/quorate_trace.cfg "$scratch"

failed=0
for file in "$@"; do
    cp -- "$file" "$scratch/trace_data.tla"
    # TLC fails if it refuses a trace: the report says what happened.
    report="$(cd "$scratch" && nice -n 10 java "-Djava.io.tmpdir=$scratch" -Xss64m -Xmx2g \
        -XX:+UseSerialGC -cp "$jar" tlc2.TLC -workers 1 -deadlock \
        -metadir "$scratch/states" quorate_trace 2>&1)" || true
    rm -rf "$scratch/states"
    if grep -q '"ACCEPTED"' <<<"$report" && grep -q "No error has been found" <<<"$report"; then
        lines="$(grep -o '"ACCEPTED", [0-9]*' <<<"$report" | grep -o '[0-9]*$')"
        echo "$file: accepted, $lines lines"
    elif grep -q '"REFUSED"' <<<"$report"; then
        echo "$file: REFUSED"
        awk '/"UNEXPECTED"|"REFUSED"/ {shown = 1} shown {print} />>$/ {shown = 0}' <<<"$report"
        failed=1
    else
        echo "$report"
        echo "$file: FAILED"
        failed=1
    fi
done
exit "$failed"
