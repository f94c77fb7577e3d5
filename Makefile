# The short way to what one does most. `make help` lists it.
PRESET ?= dev
.PHONY: help build test one fmt tidy cover demo bench profile
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile
build: ## compile (PRESET=dev, release, asan, tsan, seeded-bugs, cover)
	@deploy/dev/packages --build && cmake --preset $(PRESET) && cmake --build --preset $(PRESET)
test: ## the usual tests: packages, builds, servers (15 minutes); tests/run --full is everything
	@tests/run
one: ## one test: make one T=test_decide.Decisions, or T=unit.csv; the servers stay in build/servers
	@tests/run --one "$(T)" --servers build/servers
fmt: ## format the C code
	@deploy/dev/packages --check && git ls-files '*.c' '*.h' | xargs clang-format -i
tidy: ## clang-tidy, on what has changed since it last ran
	@tests/run --only style.tidy
demo: ## a storefront to click in
	@deploy/demo
cover: ## branch coverage of unit and integration tests, by folder
	@tests/cover
bench: ## measure, side by side with what it is compared with
	@tests/bench/run
profile: ## flame graphs of producer, consumer and notifier
	@tests/bench/profile
