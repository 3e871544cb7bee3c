#!/usr/bin/env bash
# Fuzz targets of the repository, one after the other.
#   scripts/fuzz.sh [TIME [TARGETS]]
# TIME is how long each target runs (5m unless told), TARGETS a regular
# expression of their names (all unless told), FUZZ_PARALLEL how many processes
# work on one (all processors unless told). What comes from clients:
#   scripts/fuzz.sh 30m 'Connect|RequestPath|BodySpelling'
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5m}
targets=${2:-.}

for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' | grep -E "$targets" || true); do
		echo "fuzz: $package $target, $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel "${FUZZ_PARALLEL:-$(nproc)}" "$package"
	done
done
