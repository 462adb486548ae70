#!/usr/bin/env bash
# Runs TLC on the models of quorate.tla, and on each wrong rule of wrong_rules.txt, which must
# violate the property named there. Usage, with the tla2tools.jar of the TLA+ project:
#
#     QUORATE_TLC=path/to/tla2tools.jar docs/tla/check.sh [MODEL | rules]…
#
# Without arguments: everything. Skips, and says so, where the jar or Java is missing.
set -euo pipefail
jar="$(realpath -m -- "${QUORATE_TLC:-/missing}")"
cd "$(dirname "${BASH_SOURCE[0]}")"

all=(elections prevote transfer replication figure8 reads leases membership shrink rules)
if [[ ! -f "$jar" ]] || ! command -v java >/dev/null; then
    echo "SKIPPED tla: ${#all[@]} models need Java and QUORATE_TLC=path/to/tla2tools.jar"
    exit 0
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Runs TLC on a model, with another rule in place of one if that is given, and prints its report.
run() {
    local model="$1" rule="${2:-}" dir
    dir="$(mktemp -d -p "$scratch")"
    cp ./*.tla "$dir"
    sed "s/^CONSTANTS/CONSTANTS\n    ${rule}/" "$model.cfg" >"$dir/quorate_models.cfg"
    # Each run has a directory of its own for the modules that TLC unpacks. TLC fails if it finds a
    # violation; the caller reads in the report which one.
    (cd "$dir" && nice -n 10 java "-Djava.io.tmpdir=$dir" -Xmx3g -XX:+UseSerialGC \
        -cp "$jar" tlc2.TLC -workers 1 -deadlock -metadir "$dir/states" quorate_models) || true
}

failed=0
[[ $# -gt 0 ]] && all=("$@")
for model in "${all[@]}"; do
    [[ "$model" == rules ]] && continue
    report="$(run "$model")"
    if grep -q "No error has been found" <<<"$report"; then
        numbers="$(grep -E "distinct states found, 0 states left|^The depth" <<<"$report" | tr '\n' ' ')"
        echo "$model: no error. $numbers"
    else
        echo "$report"
        echo "$model: FAILED"
        failed=1
    fi
done
[[ " ${all[*]} " == *" rules "* ]] || exit "$failed"
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
exit "$failed"
