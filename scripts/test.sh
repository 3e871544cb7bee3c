#!/usr/bin/env bash
# Run every test of the repository with the race detector and close with a
# summary. Arguments go to `go test`. A test that was skipped is a failure,
# or with QUOTAGATE_TEST_ALLOW_SKIP=1 a line that says so.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
PATH=$PWD/.cache/bin:$PATH # h2spec

# The benchmarks are a module of their own, which the tests below do not reach.
if [ -f bench/go.mod ]; then
	echo "bench: go vet, go build"
	(cd bench && go vet ./... && go build -o /dev/null ./...) || status=1
fi

mkdir -p .cache
go build -o .cache/testreport ./scripts/testreport
# -json so that the report can tell a skipped test from one that passed;
# its exit code is the verdict, as it sees every failure that go test sees.
set +o pipefail
go test -race -pgo=off -count=1 -json "$@" ./... | .cache/testreport || status=1
exit "$status"
