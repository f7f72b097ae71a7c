# make test     all tests
# make check    the whole gate: formatting, vet, staticcheck, govulncheck,
#               import direction, tests with -race, tidy
# make fuzz     every fuzz target for FUZZTIME
# make crash    kill -9 under load, ROUNDS times each: the gateway with its store, and
#               servers of a cluster; every 200 has to be stored once
# make powercut cut the power of the gateway's disk under load, CUTS times, half of
#               them with ext4, a quarter each with xfs and btrfs; needs root, FUSE
#               and loop devices
# make bench    the relay
# make compare  the gateway beside what a team would write by hand, in docs/benchmarks.md;
#               with BASE beside another gateway
# make slowdisk the front door on a disk with slow flushes; needs what powercut needs
# make e2e      bots of public frameworks, unmodified, behind the gateway; needs node and npm
# make docs     what is generated in docs/
# make watch    alert rules and dashboard, with the real Prometheus
# make image    build and run the image; needs root, podman and runc
# make systemd  check the systemd unit
# make release  binaries, checksums and the rest of VERSION, in dist/
# make examples the examples, README and guide, and the documents for tools, with a real
#               gateway, Node and Python
# make helm     the Helm chart: lint, rendering, and checks of what comes out
# make console  the console in a real browser, and its screenshots in bin/console; needs
#               Chromium, and npm for axe-core
# make helm-rules  copies the rules of Prometheus into the chart

GO       ?= go
FUZZTIME ?= 30s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
ROUNDS   ?= 50
CUTS     ?= 60
BENCHRUNS ?= 5
BENCHTIME ?= 2s

# Tests wait more than they work, so three packages run at once on two cores; with the
# race detector two.
SOME = -p 3
RACE = -p 2
# Pinned here and not in go.mod, so that they stay out of what users build.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.8.0

.PHONY: all build test check format vet staticcheck vuln imports race tidy fuzz crash powercut mkfs bench compare slowdisk docs watch

all: build test

build:
	$(GO) build -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/gateway ./cmd/gateway

test:
	$(GO) test $(SOME) ./...

check: format vet staticcheck imports tidy race vuln

format:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt -w these files:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

# The arrows between the packages; also a part of make test.
imports:
	$(GO) test -run '^TestImports$$' ./cmd/gateway

race:
	$(GO) test -race $(RACE) ./...

tidy:
	$(GO) mod tidy -diff

# Needs the vulnerability database, which is on the internet. Where it cannot be
# reached this says so and checks nothing; VULN=required makes that an error.
vuln:
	@out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); status=$$?; echo "$$out"; \
	if [ $$status -ne 0 ] && [ "$(VULN)" != required ] && echo "$$out" | grep -q 'fetching vulnerabilities'; then \
		echo "govulncheck: NOT CHECKED, the vulnerability database cannot be reached from here"; exit 0; fi; exit $$status

fuzz:
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$package || exit 1; \
		done; \
	done

crash:
	CRASH_ROUNDS=$(ROUNDS) $(GO) test -count 1 -v -timeout 60m -run '^TestCrash$$' ./cmd/gateway

# Where the machine cannot do it this fails and says what is missing;
# POWERCUT=optional makes that a line of the output.
powercut: mkfs
	POWERCUT=$(POWERCUT) POWERCUT_CUTS=$(CUTS) $(GO) test -count 1 ./publish/powercut
	POWERCUT_CUTS=$(CUTS) $(GO) test -count 1 -v -timeout 5m -run 'Mounted|StoreThatFailed|LooksAtTheStore' ./publish/embedded
	POWERCUT=$(POWERCUT) POWERCUT_CUTS=$(CUTS) $(GO) test -count 1 -v -timeout 3h -run '^TestPowerCut' ./cmd/gateway

# The programs for the file systems of these disks, installed where they are missing
# and can be; the tests say what is still missing then.
mkfs:
	@PATH="$$PATH:/usr/sbin:/sbin"; \
	if command -v mkfs.ext4 && command -v e2fsck && command -v mkfs.xfs && command -v mkfs.btrfs; then exit 0; fi >/dev/null; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends e2fsprogs xfsprogs btrfs-progs || true; fi

# Take the median of the runs.
bench:
	@for run in $$(seq $(BENCHRUNS)); do \
		$(GO) test -run '^$$' -bench Relay -benchtime 200000x ./publish/relay || exit 1; \
	done

# SCENARIOS=interval,group  only those
# SHORT=1                   a minute to see that everything works; writes bin/compare
# BASE=path                 another gateway instead of the rivals; writes nothing.
#                           BASE=bin/gateway ENV="GOGC=400" compares settings
# ENV, BASE_ENV             further settings of the gateway and of the base
# DIR=path                  for the stores, on a disk; else that of temporary files
# TURNS=16                  of each contestant; 40 with BASE where it is not set
COMPARE = -gateway bin/gateway -base "$(BASE)" -env "$(ENV)" -base-env "$(BASE_ENV)" -scenarios "$(SCENARIOS)" \
	-rounds $(or $(TURNS),0) $(if $(DIR),-dir "$(DIR)") $(if $(SHORT),-short) $(if $(BASE),,-docs $(if $(SHORT),bin/compare,docs))

compare: build
	@mkdir -p bin/compare && cp docs/benchmarks.md bin/compare/
	$(GO) run ./cmd/gateway/internal/compare $(COMPARE)

slowdisk: mkfs
	@for run in $$(seq $(BENCHRUNS)); do \
		$(GO) test -run '^$$' -bench SlowDisk -benchtime $(BENCHTIME) -timeout 30m ./cmd/gateway || exit 1; \
	done

docs:
	$(GO) test -run '^TestManual' ./cmd/gateway -update

.PHONY: helm helm-rules

# Pinned like the tools above. The module is also where validate's modules of
# Kubernetes come from: keep their versions together.
HELM = helm.sh/helm/v3/cmd/helm@v3.22.0

# -count 1: go test knows nothing of the files that helm reads, and would repeat an
# old result for a changed chart.
helm:
	GOBIN=$(CURDIR)/bin $(GO) install $(HELM)
	HELM=$(CURDIR)/bin/helm $(GO) -C deploy/helm/validate test -count 1 ./...
	$(GO) -C deploy/helm/validate run $(STATICCHECK) ./...
	$(GO) -C deploy/helm/validate mod tidy -diff

helm-rules:
	cp deploy/prometheus/postback-gateway.rules.yml deploy/helm/postback-gateway/files/

# The image of deploy/Dockerfile, built and run. Where the machine cannot do it this
# fails and says what is missing; IMAGE=optional makes that a line of the output.
IMAGE   ?= required
SYSTEMD ?= required

.PHONY: image podman systemd systemd-analyze release

image: podman
	IMAGE=$(IMAGE) $(GO) test -count 1 -v -timeout 20m -run '^TestImage$$' ./deploy

systemd: systemd-analyze
	SYSTEMD=$(SYSTEMD) $(GO) test -count 1 -v -run '^TestSystemd' ./deploy

# Programs that need no daemon, installed where they are missing and can be; the
# tests say what is still missing then.
podman:
	@if command -v podman >/dev/null && command -v runc >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends podman runc || true; fi

systemd-analyze:
	@if command -v systemd-analyze >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends systemd || true; fi

# The last commit as VERSION, in dist/.
release: vuln
	GO=$(GO) deploy/release.sh $(VERSION)

# The alert rules and the dashboard: promtool's unit tests, and the real Prometheus
# against real gateways. WATCH=optional as above.
WATCH ?= required

.PHONY: prometheus

watch: prometheus
	@if ! { command -v prometheus && command -v promtool; } >/dev/null; then \
		echo "watch: NOT CHECKED, prometheus and promtool are missing: install Debian's package prometheus, or put both into the PATH"; \
		[ "$(WATCH)" = optional ]; exit; fi; \
	set -e -x; \
	promtool check rules deploy/prometheus/postback-gateway.rules.yml; \
	promtool test rules deploy/prometheus/*_test.yml; \
	PROMETHEUS=$$(command -v prometheus) $(GO) test -count 1 -v -run '^TestWatch$$' ./cmd/gateway

prometheus:
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends prometheus || true; fi

# What docs/examples says. The packages for Node are in a directory that is removed
# afterwards. EXAMPLES=optional as above. -count 1: go test does not know which files
# node and python3 read.
EXAMPLES ?= required
NATSCLI  = github.com/nats-io/natscli/nats@v0.5.0

.PHONY: examples node

examples: node
	GOBIN=$(CURDIR)/bin $(GO) install $(NATSCLI) || [ "$(EXAMPLES)" = optional ]
	@set -e; modules=$$(mktemp -d); trap 'rm -rf "$$modules"' EXIT; \
	if command -v node && command -v npm; then \
		packages=$$(node -p '["node", "tools"].flatMap(d => Object.entries(require("./docs/examples/" + d + "/package.json").dependencies)).map(p => p.join("@")).join(" ")'); \
		npm install --prefix "$$modules" --no-audit --no-fund --ignore-scripts $$packages || [ "$(EXAMPLES)" = optional ]; fi; \
	set -x; \
	EXAMPLES=$(EXAMPLES) NODE_MODULES="$$modules/node_modules" NATS=$(CURDIR)/bin/nats $(GO) -C docs/examples test -count 1 -v -timeout 20m ./...
	$(GO) -C docs/examples vet ./...
	$(GO) -C docs/examples run $(STATICCHECK) ./...
	$(GO) -C docs/examples mod tidy -diff

# Bots of public frameworks behind the gateway. E2E=optional as above; AWAY is how long a
# bot is stopped under load.
E2E  ?= required
AWAY ?= 60s

.PHONY: e2e

e2e: node
	@set -e; modules=$$(mktemp -d); trap 'rm -rf "$$modules"' EXIT; \
	if command -v node && command -v npm; then \
		packages=$$(node -p 'Object.entries(require("./cmd/gateway/testdata/bots/package.json").dependencies).map(p => p.join("@")).join(" ")'); \
		npm install --prefix "$$modules" --no-audit --no-fund --ignore-scripts $$packages || [ "$(E2E)" = optional ]; fi; \
	set -x; \
	E2E=$(E2E) E2E_AWAY=$(AWAY) NODE_MODULES="$$modules/node_modules" $(GO) test -count 1 -v -timeout 20m -run '^TestExisting|^TestBotThat' ./cmd/gateway

node:
	@if command -v node && command -v npm && command -v python3; then exit 0; fi >/dev/null; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends nodejs npm python3 || true; fi

# The console in Chromium. CONSOLE=optional as above. Screenshots of every view are in
# bin/console; the one of the README is copied from there by make console-image.
CONSOLE ?= required
AXE      = axe-core@4.14.1

.PHONY: console console-image chromium

console: chromium
	@rm -rf bin/console && mkdir -p bin/console
	@if command -v npm >/dev/null; then npm pack --silent --pack-destination bin/console $(AXE) >/dev/null && tar -xzf bin/console/axe-core-*.tgz -C bin/console package/axe.min.js; fi || true
	CONSOLE=$(CONSOLE) AXE=$(CURDIR)/bin/console/package/axe.min.js SCREENSHOTS=$(CURDIR)/bin/console \
		$(GO) -C cmd/gateway/internal/console/browser test -count 1 -v -timeout 15m ./...
	$(GO) -C cmd/gateway/internal/console/browser vet ./...
	$(GO) -C cmd/gateway/internal/console/browser run $(STATICCHECK) ./...
	$(GO) -C cmd/gateway/internal/console/browser mod tidy -diff

console-image: console
	cp bin/console/readme.png docs/img/console.png

chromium:
	@if command -v chromium >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && apt-get -q install -y --no-install-recommends chromium fonts-dejavu || true; fi
