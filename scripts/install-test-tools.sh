#!/usr/bin/env bash
# Install what the tests drive the proxy with, where it is missing: curl,
# openssl, strace, util-linux (unshare, nsenter), redis-server (which is Sentinel
# too), Chromium and the certutil that fills its certificate database, nghttp,
# slowhttptest and h2spec, Python with requests, httpx and h2, Node with the packages
# of e2e/clients. Quiet and quick when nothing is missing. Starts no service.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "test tools: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian starts the service of a package that it installs, unless this file
# says no (invoke-rc.d(8): 101 is "not allowed"). One that is there already is
# its owner's and stays as it is.
policy=/usr/sbin/policy-rc.d
without_services() {
	if [ -e "$policy" ]; then "$@"; return; fi
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	trap 'as_root rm -f "$policy"' EXIT
	as_root chmod 755 "$policy"
	local status=0
	"$@" || status=$?
	as_root rm -f "$policy"
	trap - EXIT
	return "$status"
}

# apt waits for another that is installing. `update` does not wait for another
# `update`, whose lock is a different one: it is asked again.
apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}
refresh() {
	local try
	for try in 1 2 3 4 5; do
		if apt update; then return; fi
		sleep "$try"0
	done
	say "the lists of packages are not new: trying with those that are here"
}

# install PACKAGE…, by whatever package manager this system has.
refreshed=
install() {
	say "installing $*"
	if has apt-get; then
		[ -n "$refreshed" ] || refresh
		without_services apt install -y --no-install-recommends "$@" >/dev/null
	elif has dnf; then
		as_root dnf install -y -q "$@"
	elif has apk; then
		as_root apk add --quiet "$@"
	elif has brew; then
		brew install --quiet "$@"
	else
		say "no apt-get, dnf, apk or brew here: install $* by hand"
		return 1
	fi
	refreshed=yes
}

# package DEBIAN FEDORA ALPINE HOMEBREW: the name here; - where there is none.
package() {
	local name
	if has apt-get; then name=$1; elif has dnf; then name=$2; elif has apk; then name=$3; else name=$4; fi
	if [ "$name" != - ]; then echo "$name"; fi
}

missing=()
need() { # need COMMAND DEBIAN FEDORA ALPINE HOMEBREW
	has "$1" || missing+=($(package "${@:2}"))
}
first() { # first COMMAND…: the first of them that is here, or nothing
	local all
	all=$(command -v "$@" 2>/dev/null) || true
	head -n 1 <<<"$all"
}

need curl         curl           curl         curl         curl
need openssl      openssl        openssl      openssl      openssl
need strace       strace         strace       strace       -
need unshare      util-linux     util-linux   util-linux   -
need redis-server redis-server   redis        redis        redis
need redis-cli    redis-tools    redis        redis        redis
need node         nodejs         nodejs       nodejs       node
need npm          npm            nodejs-npm   npm          node
need certutil     libnss3-tools  nss-tools    nss-tools    nss
need nghttp       nghttp2-client nghttp2      nghttp2      nghttp2
need slowhttptest slowhttptest   slowhttptest -            slowhttptest
# Fedora's Chromium goes by the second name. Homebrew has none for the command line.
[ -n "$(first chromium chromium-browser)" ] || need chromium chromium chromium chromium -

# The system's own Python first: that is where its packages arrive.
python_with() {
	local p
	for p in /usr/bin/python3 python3; do
		if has "$p" && "$p" -c "import $1" 2>/dev/null; then return 0; fi
	done
	return 1
}
python_with requests || missing+=($(package python3-requests python3-requests py3-requests -))
python_with httpx    || missing+=($(package python3-httpx python3-httpx py3-httpx -))
python_with h2       || missing+=($(package python3-h2 python3-h2 py3-h2 -))

if [ ${#missing[@]} -gt 0 ]; then
	install $(printf '%s\n' "${missing[@]}" | sort -u)
fi
for module in requests httpx h2; do
	if ! python_with "$module" && has brew; then
		python3 -m pip install --quiet --user --break-system-packages "$module"
	fi
done

# The last release of h2spec, of 2018, predates modules: Go builds it all the same.
bin=$PWD/.cache/bin
if [ ! -x "$bin/h2spec" ]; then
	say "go install h2spec"
	log=$(GOBIN=$bin GOFLAGS= go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible 2>&1) || say "no h2spec: $log"
fi

# npm keeps its own copy of the lock file in node_modules: it is as new as the
# last install. Node 20 is the oldest that these packages run on.
node -e 'if (parseInt(process.versions.node) < 20) { console.error("test tools: Node 20 or newer is needed, this is " + process.version); process.exit(1) }'
if [ ! e2e/clients/node_modules/.package-lock.json -nt e2e/clients/package-lock.json ]; then
	say "npm ci in e2e/clients"
	(cd e2e/clients && npm ci --loglevel=error)
	touch e2e/clients/node_modules/.package-lock.json
fi

# What the tests still miss is on the list without a version: they fail, and say
# of what.
version() { # version COMMAND ARG…: its name and the first number that it prints
	local name=$1 number=
	if has "$name"; then
		number=$("$@" 2>&1 | grep -Eo -m 1 '[0-9]+\.[0-9]+(\.[0-9]+)*' | head -n 1) || true
		echo "${name##*/} ${number:-here}"
	else
		echo "NO ${name##*/}"
	fi
}
browser=$(first chromium chromium-browser)
versions=(
	"$(version curl --version)" "$(version openssl version)" "$(version redis-server --version)"
	"$(version node --version)" "python requests, httpx and h2"
	"$(version "${browser:-chromium}" --version)" "$(has certutil && echo certutil || echo NO certutil)"
	"$(version nghttp --version)" "$(version slowhttptest -h)"
	"$([ -x "$bin/h2spec" ] && echo h2spec 2.2.1 || echo NO h2spec)" "$(version strace --version)"
)
say "$(printf '%s, ' "${versions[@]}" | sed 's/, $//')"
