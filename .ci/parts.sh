# What .ci/real-parts and .ci/peers have in common: sourced by them, in the checkout's root, with `set -euo pipefail`.
# Parts are made once per machine and kept in a cache outside the checkout. What is done goes to stderr. Nothing is
# installed: packages are unpacked into the cache, by an apt state of its own, so that the machine's sources and packages
# stay as they are. A part appears in the cache complete or not at all.

cache=${SOCKSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sockscope}
arch=$(dpkg --print-architecture)
# The suite that has victoria-metrics. It is not pinned, because it keeps old versions of nothing: a machine stays with
# what it fetched first, and a fresh one tests with what is current.
newer_suite=sid
own_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

say() { echo "${0##*/}: $*" >&2; }

mkdir -p "$cache"
# Two runs at the same time build once.
exec 9>"$cache/.lock"
flock 9
# Left by runs that were killed.
rm -rf "$cache"/.work.*
work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# part NAME COMMAND...: $cache/NAME, made by running COMMAND FOLDER in a folder that is renamed once it is complete.
part() {
  local name=$1 started=$SECONDS
  shift
  [ -d "$cache/$name" ] && return 0
  say "making $cache/$name"
  mkdir "$work/$name"
  "$@" "$work/$name" >&2
  mv -T "$work/$name" "$cache/$name"
  say "$name took $((SECONDS - started)) s"
}

# The address of the Debian mirror that this machine is configured to use.
mirror() {
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
    awk -v suite="$own_suite" '$2 == suite && $3 == "Debian" { print $1; exit }'
}

apt_private() {
  apt-get -q -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
    -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o APT::Sandbox::User=root -o APT::Default-Release="$own_suite" -o Acquire::Languages=none "$@"
}

# unpack SUITE FOLDER PACKAGE...: what the packages would install below /, in the folder.
unpack() {
  local suite=$1 folder=$2 base
  shift 2
  if [ ! -d "${apt:=$work/apt}" ]; then
    base=$(mirror)
    [ -n "$base" ] || { apt-get update -q && base=$(mirror); }
    [ -n "$base" ] || { say "apt has no source of Debian's $own_suite to take the mirror's address from"; return 1; }
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    printf "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $base %s main\n" \
      "$own_suite" "$newer_suite" >"$apt/sources.list"
    apt_private update
  fi
  local debs=$work/debs.$suite
  rm -rf "$debs" && mkdir "$debs"
  (cd "$debs" && apt_private download "${@/%//$suite}")
  for deb in "$debs"/*.deb; do
    say "unpacking $(dpkg-deb -f "$deb" Package Version | xargs)"
    dpkg -x "$deb" "$folder"
  done
}

# A machine whose Go can fetch the toolchain that a module asks for needs no other.
has_go() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || return 1
  [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 21 ]
}

make_go() {
  unpack "$newer_suite" "$1" golang-1.26-go golang-1.26-src
  "$1/usr/lib/go-1.26/bin/go" version
}

use_go() {
  has_go && return 0
  part "go-1.26-$arch" make_go
  export GOROOT=$cache/go-1.26-$arch/usr/lib/go-1.26
  export PATH=$GOROOT/bin:$PATH
}
