#!/usr/bin/env bash
# What must hold of the source before it is tested: format, vet, staticcheck,
# known vulnerabilities, the rules of the house. All of it runs, also after a
# failure, so that one run shows everything.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=()
step() { # step NAME COMMAND…
	local name=$1
	shift
	echo "check: $name"
	"$@" || failed+=("$name")
}

formatted() {
	local wrong
	wrong=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
	[ -z "$wrong" ] || { printf 'not gofmt-formatted: %s\n' $wrong; return 1; }
}

bench_vet() { (cd bench && go vet ./...); }

# govulncheck leaves with 3 when it found something, and with 1 when it could
# not look. Without a network the database is out of reach: that is said, and
# is no failure of the source.
vulnerabilities() {
	local out status=0
	out=$(timeout 300 go tool govulncheck ./... 2>&1) || status=$?
	if [ "$status" -eq 0 ]; then
		return 0
	elif [ "$status" -eq 124 ] || grep -q 'fetching vulnerabilities' <<<"$out"; then
		echo "check: the vulnerability database could not be reached: known vulnerabilities were NOT looked for"
		return 0
	fi
	printf '%s\n' "$out"
	return 1
}

step "gofmt" formatted
step "go vet" go vet ./...
[ ! -f bench/go.mod ] || step "go vet (bench)" bench_vet
step "staticcheck" go tool staticcheck ./...
step "govulncheck" vulnerabilities
step "go.mod is tidy" go mod tidy -diff
step "the rules of the house" go test -count=1 .

if [ ${#failed[@]} -gt 0 ]; then
	printf 'check: FAILED: %s\n' "${failed[@]}"
	exit 1
fi
echo "check: all is well"
