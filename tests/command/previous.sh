#!/bin/sh
# Builds the command `quorate` of a commit or a tag, in a directory of its own below `target/`, and
# prints its path. Messages of the build go to standard error.
#
#   tests/command/previous.sh v0.1.0
#   PROFILE=dev tests/command/previous.sh v0.1.0    builds faster
#   tests/command/previous.sh HEAD sim/mixed/plants/NAME.patch    with a planted change
set -eu
commit=${1:?"usage: previous.sh COMMIT_OR_TAG [PATCH]"}
patch=${2:+$(realpath "$2")}
profile=${PROFILE:-release}
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --short "$commit^{commit}")
name=previous-$commit${patch:+-$(basename "$patch" .patch)}
directory=${CARGO_TARGET_DIR:-$PWD/target}/$name
rm -rf "$directory/tree"
mkdir -p "$directory/tree"
git archive "$commit" | tar -x -C "$directory/tree"
if [ -n "$patch" ]; then
    patch -d "$directory/tree" -p1 -s < "$patch"
fi
cd "$directory/tree"
CARGO_TARGET_DIR=$directory cargo build --profile "$profile" --locked --features cli --bin quorate >&2
echo "$directory/$([ "$profile" = dev ] && echo debug || echo "$profile")/quorate"
