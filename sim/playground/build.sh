#!/usr/bin/env bash
# Builds the playground: the simulator as WebAssembly in one HTML page. Prints the page's path.
#
#     rustup target add wasm32-unknown-unknown    # once
#     sim/playground/build.sh [PAGE]           # PAGE: a path from the root of the tree
#
# Without rustup: QUORATE_BUILD_STD=1 compiles the standard library too, from the sources of the
# same compiler in its sysroot (rustup: the component rust-src; Debian: the packages rustc-web,
# rust-web-src and lld). RUSTC and QUORATE_LLD name another compiler and linker (rust-lld, wasm-ld).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
cd "$root"
triple=wasm32-unknown-unknown
target="${CARGO_TARGET_DIR:-$root/target}"
page="${1:-$target/playground/index.html}"
rustc="${RUSTC:-rustc}"

build=(cargo rustc --locked --package quorate-playground --lib --crate-type cdylib
    --profile playground --target "$triple")
sysroot="$("$rustc" --print sysroot)"
if [[ -n "${QUORATE_BUILD_STD:-}" ]]; then
    if [[ ! -e "$sysroot/lib/rustlib/src/rust/library/std" ]]; then
        echo "no sources of the standard library in $sysroot/lib/rustlib/src/rust/library:" >&2
        echo "    rustup component add rust-src" >&2
        exit 2
    fi
    export RUSTC_BOOTSTRAP=1
    build+=(-Zbuild-std=std,panic_abort)
elif [[ ! -d "$sysroot/lib/rustlib/$triple" ]]; then
    echo "the compiler has no target $triple: install it," >&2
    echo "    rustup target add $triple" >&2
    echo "or see the comment at the top of sim/playground/build.sh for a build without it" >&2
    exit 2
fi

# Paths in panics and checks begin at the root of the tree, on every machine.
flags=(--remap-path-prefix="$root/=" --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=cargo"
    --remap-path-prefix="$sysroot=rustc")
[[ -z "${QUORATE_LLD:-}" ]] || flags+=(-Clinker="$QUORATE_LLD")
CARGO_ENCODED_RUSTFLAGS="$(IFS=$'\x1f'; printf '%s' "${flags[*]}")" "${build[@]}"
wasm="$target/$triple/playground/quorate_playground.wasm"

# Base64 has no character that ends an element of the page.
encoded() { gzip -9 -n -c "$1" | base64 | tr -d '\n'; }
version="quorate $(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
version+=", commit $(git rev-parse --short=10 HEAD 2>/dev/null || echo unknown)"
[[ -z "$(git status --porcelain 2>/dev/null)" ]] || version+=" with changes"

mkdir -p "$(dirname "$page")"
{
    cat "$here/page/head.html"
    printf '<style>\n'
    cat sim/page/assets/style/base.css "$here/page/playground.css"
    printf '</style>\n</head>\n'
    sed "s/@VERSION@/$version/" "$here/page/body.html"
    printf '<script type="text/plain" id="worker">\n'
    cat "$here/page/worker.js"
    printf '</script>\n<script type="text/plain" id="wasm">'
    encoded "$wasm"
    printf '</script>\n<script type="module">\n'
    cat sim/page/assets/parts/elements.js
    for part in simulator link editor stage drag play page; do cat "$here/page/$part.js"; done
    printf '</script>\n</body>\n</html>\n'
} > "$page"
echo "$page: $(wc -c < "$page") bytes, of which WebAssembly $(wc -c < "$wasm") before compression"
