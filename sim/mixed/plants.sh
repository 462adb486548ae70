#!/bin/sh
# Plants each incompatible change of `plants/` in the previous build, and prints in how many seeds
# the mixed runs find it. Then leaves the unchanged previous build behind, and fails if no seed found
# one of the changes.
#
#   ./plants.sh COMMIT_OR_TAG [SEEDS [NAME...]]
#   PROFILE=dev ./plants.sh COMMIT_OR_TAG     builds faster, and runs slower
set -eu
commit=${1:?"usage: plants.sh COMMIT_OR_TAG [SEEDS [NAME...]]"}
seeds=${2:-100}
profile=${PROFILE:-release}
cd "$(dirname "$0")"
[ $# -le 2 ] && set -- "$commit" "$seeds" $(basename -s .patch plants/*.patch)
shift 2
missed=""
for name; do
    ./previous.sh "$commit" "plants/$name.patch"
    cargo build --quiet --profile "$profile"
    # The gap before each failing seed is the number of seeds that a sweep from there needs.
    cargo run --quiet --profile "$profile" -- mixed --seeds "0..$seeds" --failures "$seeds" --shrink 0 |
        awk -v name="$name" -v seeds="$seeds" '
            /^seed / {
                gaps[++failed] = $2 + 1 - last; last = $2 + 1
                if (failed == 1) { $1 = ""; first = $0 }
            }
            END {
                for (i = 1; i <= failed; i++) for (j = i + 1; j <= failed; j++)
                    if (gaps[j] < gaps[i]) { gap = gaps[i]; gaps[i] = gaps[j]; gaps[j] = gap }
                median = failed ? gaps[int((failed + 1) / 2)] : "none"
                printf "%-20s %d of %d seeds, median %s; first:%s\n", name, failed, seeds, median, first
                exit failed == 0
            }' || missed="$missed $name"
done
./previous.sh "$commit"
[ -z "$missed" ] || { echo "no seed finds:$missed" >&2; exit 1; }
