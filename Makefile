# Everything here needs Go and make; `make test` installs the rest by itself.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
RULES   ?= $(or $(wildcard quotagate.yaml),starter/quotagate.yaml)
FUZZTIME ?= 5m

.DEFAULT_GOAL := help
.PHONY: help run build test soak bench profile check clean test-tools

help: ## say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build, then start the proxy on the embedded store with quotagate.yaml, or else starter rules
	@test -e $(RULES) || bin/quotagate init $(dir $(RULES))
	bin/quotagate run --store embedded --rules $(RULES)

build: ## bin/quotagate
	$(GO) build -trimpath -ldflags '-X main.buildVersion=$(VERSION)' -o bin/quotagate ./cmd/quotagate

test: test-tools ## install what the tests need where it is missing, run all of them with -race
	scripts/test.sh -timeout 12m

soak: test-tools ## the long forms: millions of operations, fifty kills, fuzzing (FUZZTIME=5m a target)
	QUOTAGATE_SOAK=1 scripts/test.sh -timeout 3h
	scripts/fuzz.sh $(FUZZTIME)

bench: build ## the benchmark tables, as text
	@mkdir -p .cache
	cd bench && $(GO) run . -quotagate ../bin/quotagate
	cd bench && $(GO) run . -quotagate ../bin/quotagate -h2
	cd bench && $(GO) run ./ledger
	$(GO) test -run '^$$' -bench 'Look|Claims' ./rules
	$(GO) test -run '^$$' -bench 'Reserve|Sync' ./ratelimit
	$(GO) test -run '^$$' -bench 'Enforcer' ./proxy

profile: build ## cmd/quotagate/default.pgo, by which the compiler optimises, from the benchmark
	@mkdir -p .cache/h1 .cache/h2
	cd bench && $(GO) run . -quotagate ../bin/quotagate -profile ../.cache/h1
	cd bench && $(GO) run . -h2 -quotagate ../bin/quotagate -profile ../.cache/h2
	$(GO) tool pprof -proto .cache/h1/*.pprof .cache/h2/*.pprof >cmd/quotagate/default.pgo

check: ## format, vet, staticcheck, known vulnerabilities, the rules of the house
	scripts/check.sh

clean: ## remove what the other targets made (not your rules, not the proxy's data)
	rm -rf bin .cache e2e/clients/node_modules

test-tools:
	scripts/install-test-tools.sh
