#!/bin/sh
# Fills `previous/` with the library of a commit or a tag, as the package `quorate-previous`: no lock
# file can have two packages of one name and version from two folders.
#
#   ./previous.sh v0.1.0                  the library of that tag
#   ./previous.sh HEAD plants/NAME.patch  the same, with an incompatible change planted in it
set -eu
commit=${1:?"usage: previous.sh COMMIT_OR_TAG [PATCH]"}
patch=${2:+$(realpath "$2")}
cd "$(dirname "$0")"
# An unknown commit leaves the present folder as it is.
id=$(git -C ../.. rev-parse --short "$commit^{commit}")
rm -rf previous
mkdir previous
git -C ../.. archive "$commit" Cargo.toml src sim/page | tar -x -C previous
sed -i \
    -e 's/^name = "quorate"$/name = "quorate-previous"/' \
    -e 's/^members = .*/members = []/' \
    -e '/^exclude = /d' \
    -e '/^\[dev-dependencies\]/,/^$/d' \
    -e '/^\[\[bin\]\]/,/^$/d' \
    -e '/^\[\[example\]\]/,/^$/d' \
    -e '/^\[\[test\]\]/,/^$/d' \
    -e '/^\[\[bench\]\]/,/^$/d' \
    previous/Cargo.toml
# A commit before the feature `unstable` has everything public.
grep -q '^unstable = ' previous/Cargo.toml || sed -i 's/^\[features\]$/&\nunstable = []/' previous/Cargo.toml
# The library includes its README as documentation.
: > previous/README.md
if [ -n "$patch" ]; then
    patch -d previous -p1 -s < "$patch"
fi
echo "$id" > previous/COMMIT
