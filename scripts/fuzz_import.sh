#!/usr/bin/env bash
# Fuzzes the import and compilation of ONNX files: scripts/fuzz_import.sh [SECONDS]
#
# Needs a nightly compiler, which rustup installs; cargo-fuzz is installed into .tools. Starts from the networks of
# compiler/tests/fixtures/operators.zip; what libFuzzer finds on the way is kept in .cache/fuzz, what fails in
# compiler/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.13.2
if [[ $(.tools/cargo/bin/cargo-fuzz --version 2> /dev/null) != "cargo-fuzz $version" ]]; then
  cargo install --quiet cargo-fuzz --version "$version" --locked --root .tools/cargo
fi
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
corpus=$PWD/.cache/fuzz
mkdir -p "$corpus"
python3 -m zipfile -e compiler/tests/fixtures/operators.zip "$corpus/seeds"
find "$corpus/seeds" -type f ! -name '*.onnx' -delete
cd compiler
PATH=$PWD/../.tools/cargo/bin:$PATH cargo +nightly fuzz run network "$corpus" "$corpus/seeds" -- \
  -max_total_time="${1:-600}" -max_len=65536 -rss_limit_mb=2048 -timeout=60 -print_final_stats=1
