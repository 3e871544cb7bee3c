#!/usr/bin/env bash
# Fuzz every target of the repository, one after the other.
#   scripts/fuzz.sh [TIME]      how long each target runs; 5m unless told
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5m}

for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "fuzz: $package $target, $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$package"
	done
done
