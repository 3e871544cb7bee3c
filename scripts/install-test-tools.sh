#!/usr/bin/env bash
# Install what the tests drive the proxy with, where it is missing: curl,
# strace, util-linux (unshare, nsenter), redis-server (which is Sentinel too),
# Python with requests and httpx, Node with the packages of e2e/clients. Quiet
# and quick when nothing is missing. Starts no service.
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

# install PACKAGE…, by whatever package manager this system has.
refreshed=
install() {
	say "installing $*"
	if has apt-get; then
		[ -n "$refreshed" ] || as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
		without_services as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
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

need curl   curl       curl       curl       curl
need strace strace     strace     strace     -
need unshare util-linux util-linux util-linux -
need redis-server redis-server redis redis redis
need redis-cli redis-tools redis redis redis
need node   nodejs     nodejs     nodejs     node
need npm    npm        nodejs-npm npm        node

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

if [ ${#missing[@]} -gt 0 ]; then
	install $(printf '%s\n' "${missing[@]}" | sort -u)
fi
for module in requests httpx; do
	if ! python_with "$module" && has brew; then
		python3 -m pip install --quiet --user --break-system-packages "$module"
	fi
done

# npm keeps its own copy of the lock file in node_modules: it is as new as the
# last install. Node 20 is the oldest that these packages run on.
node -e 'if (parseInt(process.versions.node) < 20) { console.error("test tools: Node 20 or newer is needed, this is " + process.version); process.exit(1) }'
if [ ! e2e/clients/node_modules/.package-lock.json -nt e2e/clients/package-lock.json ]; then
	say "npm ci in e2e/clients"
	(cd e2e/clients && npm ci --loglevel=error)
	touch e2e/clients/node_modules/.package-lock.json
fi

say "$(curl --version | head -n 1 | cut -d ' ' -f 1,2), redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/'), node $(node --version), python requests and httpx, $(has strace && strace --version | head -n 1 || echo 'no strace')"
