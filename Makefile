# DeviceOps. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

STATICCHECK   := v0.8.2
WORKFLOWCHECK := v0.6.0

# A target passes ARGS on: make demo ARGS="--exit --fleet 50"
ARGS     ?=
BENCH    ?= provision
FUZZTIME ?= 30s
TIMEOUT  ?= 60m
DEVICES  ?= 10000
SEED     ?=
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

staticcheck   := .bin/staticcheck-$(STATICCHECK)
workflowcheck := .bin/workflowcheck-$(WORKFLOWCHECK)
# Build tags of what no default build has.
clouds        := gcs azure kafka aws gcp

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: postgresql build ## The whole product with a simulated fleet (ARGS=--exit ends by itself)
	bin/deviceops dev --demo $(ARGS)

.PHONY: build
build: ## Build bin/deviceops
	@[ -x bin/deviceops ] || echo "Building. The first build compiles an embedded Temporal server: about 8 minutes on 2 cores, seconds afterwards."
	@mkdir -p bin
	@go build -v -o bin/deviceops ./cmd/deviceops 2>&1 | $(progress)

# go build -v names every package that it has to compile; all else it says is for
# people. The status is that of go build, by pipefail.
progress = awk '/^[^ :]+$$/ { if (++n % 100 == 0) { print "  " n " packages compiled"; fflush() } next } { print; fflush() }'

.PHONY: test
test: prerequisites ## Run all tests, those that need PostgreSQL and Mosquitto included
	@echo "The first run compiles an embedded Temporal server and a Vault server, each of which takes minutes."
	@go -C vault/vaulttest/server build -o /dev/null .
	@deploy/test.sh -timeout $(TIMEOUT) $(ARGS)

.PHONY: check
check: $(staticcheck) $(workflowcheck) ## Check format, vet, staticcheck, workflow determinism, go.mod
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$unformatted" ] || { echo "gofmt -w these:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go vet -tags lean ./...
	go vet -tags "$(clouds)" ./artifact ./forward
	$(staticcheck) ./...
	$(workflowcheck) $(if $(wildcard workflowcheck.yaml),-config workflowcheck.yaml) ./workflows/...
	go mod tidy -diff
	go mod verify

.PHONY: bench
bench: postgresql build ## Measure the whole stack (BENCH=provision ARGS="--devices 1000")
	bin/deviceops bench $(BENCH) $(ARGS)

.PHONY: chaos
chaos: prerequisites ## Kill every part again and again during a rollout (DEVICES=10000 SEED=1)
	@DEVICEOPS_CHAOS_DEVICES=$(DEVICES) DEVICEOPS_TEST_SEED=$(SEED) \
		go test -count=1 -timeout 3h -run '^TestKillEveryPartOfTheStackDuringARollout$$' -v ./cmd/deviceops $(ARGS)

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (30s)
	@grep -rn --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file _ name; do \
		name=$${name#func }; echo "$$(dirname $$file) $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)"; \
	done

.PHONY: lean
lean: ## Build bin/deviceops-lean, the one for production: no embedded servers
	CGO_ENABLED=0 go build -tags lean -trimpath -ldflags "-s -w" -o bin/deviceops-lean ./cmd/deviceops

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .bin

.PHONY: postgresql prerequisites
postgresql:
	@deploy/prerequisites.sh postgresql

prerequisites:
	@deploy/prerequisites.sh postgresql mosquitto openssl curl

$(staticcheck):
	GOBIN=$(CURDIR)/.bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK)
	@mv .bin/staticcheck $@

$(workflowcheck):
	GOBIN=$(CURDIR)/.bin go install go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK)
	@mv .bin/workflowcheck $@
