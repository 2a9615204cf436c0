# Thin aliases; the work is CMake's, with the presets of CMakePresets.json.
.PHONY: build app run demo test events attack bench lint fuzz clean setup

PRESET ?= release
TIME ?= 30

build: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)

# the function app alone, without the tests
app: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target handler default_app

run: app
	tools/azfn-local/azfn-local start --app-root build/$(PRESET)/app

demo: app
	tools/azfn-local/azfn-local demo --app-root build/$(PRESET)/app

test: build
	ctest --preset $(PRESET) -j 2

# docs/security-events.md from the catalogue in runtime/base/security_event.h, the workbook from its queries
events: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target security_events_files
	cp build/$(PRESET)/security-events.md docs/security-events.md
	python3 -B tools/workbook.py

# an exploited function, step by step, in azfn and in a plain handler; writes docs/attack.md
attack: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target attack_programs
	AZFN_DEFAULT_APP=build/$(PRESET)/app python3 -B tests/attack/report.py --output docs/attack.md

# beside a minimal epoll server, in less than four minutes; LONG=--long also sends ten million requests
bench:
	tools/setup.sh build bench
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target bench_programs
	python3 tests/bench/bench.py --build build/$(PRESET) $(LONG) --output docs/performance.md

lint:
	tools/setup.sh check
	cmake --preset clang
	tools/lint.sh build/clang

# TIME seconds for each target
fuzz:
	tools/setup.sh fuzz
	cmake --preset fuzz
	cmake --build --preset fuzz
	tools/fuzz.sh build/fuzz $(TIME)

clean:
	rm -rf build

setup:
	tools/setup.sh
