#!/usr/bin/env bash
# Runs TLC on the models of quorate.tla, and on each wrong rule of wrong_rules.txt, which must
# violate the property named there. Usage, with the tla2tools.jar of the TLA+ project:
#
#     QUORATE_TLC=path/to/tla2tools.jar docs/tla/check.sh [MODEL | rules]…
#
# Without arguments: everything. The searches of `transfer` and `leases` have never ended: they run last,
# and stop after an hour. Skips, and says so, where the jar or Java is missing.
set -euo pipefail
jar="$(realpath -m -- "${QUORATE_TLC:-/missing}")"
cd "$(dirname "${BASH_SOURCE[0]}")"

parts=(elections prevote replication figure8 reads membership shrink rules transfer leases)
[[ $# -eq 0 ]] || parts=("$@")
if [[ ! -f "$jar" ]] || ! command -v java >/dev/null; then
    echo "SKIPPED tla: ${parts[*]} need Java and QUORATE_TLC=path/to/tla2tools.jar"
    exit 0
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Runs TLC on a model, with another rule in place of one if that is given, and prints its report. A
# search stops at the limit, or never if that is 0.
run() {
    local model="$1" rule="${2:-}" limit="${3:-0}" dir
    dir="$(mktemp -d -p "$scratch")"
    cp ./*.tla "$dir"
    sed "s/^CONSTANTS/CONSTANTS\n    ${rule}/" "$model.cfg" >"$dir/quorate_models.cfg"
    # Each run has a directory of its own for the modules that TLC unpacks. TLC fails if it finds a
    # violation; the caller reads in the report which one.
    (cd "$dir" && nice -n 10 timeout --foreground "$limit" java "-Djava.io.tmpdir=$dir" -Xmx3g -XX:+UseSerialGC \
        -cp "$jar" tlc2.TLC -workers 1 -deadlock -metadir "$dir/states" quorate_models) || {
        [[ $? -ne 124 ]] || echo "stopped after $limit"
    }
}

# Runs TLC on a model, which must hold.
check_model() {
    local model="$1" limit=0 report numbers
    [[ "$model" != transfer && "$model" != leases ]] || limit=1h
    report="$(run "$model" "" "$limit")"
    if grep -q "No error has been found" <<<"$report"; then
        numbers="$(grep -E "distinct states found, 0 states left|^The depth" <<<"$report" | tr '\n' ' ')"
        echo "$model: no error. $numbers"
    elif grep -q "^stopped after" <<<"$report" && ! grep -q "^Error:" <<<"$report"; then
        echo "$model: no error so far, $(tail -n 1 <<<"$report"). $(grep "^Progress" <<<"$report" | tail -n 1)"
    else
        echo "$report"
        echo "$model: FAILED"
        failed=1
    fi
}

# Runs TLC with each wrong rule, which must violate its property.
check_rules() {
    local model rule property report
    while read -r model rule property; do
        report="$(run "$model" "${rule/=/ <- }")"
        if grep -q "Invariant $property is violated" <<<"$report"; then
            echo "$model with $rule: $property is violated in $(grep -c "^State " <<<"$report") states"
        else
            tail -n 5 <<<"$report"
            echo "$model with $rule: $property is NOT violated"
            failed=1
        fi
    done < <(grep -v "^#" wrong_rules.txt)
}

failed=0
for model in "${parts[@]}"; do
    if [[ "$model" == rules ]]; then check_rules; else check_model "$model"; fi
done
exit "$failed"
