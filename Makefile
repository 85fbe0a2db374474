# Builds, starts and tests the gateway.  Everything generated is below build/;
# shell logic lives in t/tools.  "make help" lists what there is.

MODULE  = build/ngx_http_llm_gateway_module.so
TOOLS   = t/tools
PORT   ?= 8080

CORE   := $(wildcard src/core/*.c src/dialect/*.c)
CORE_H := $(wildcard src/core/*.h src/dialect/*.h t/00-unit/*.h)
UNIT   := $(patsubst t/00-unit/test_%.c,build/unit/%.t,\
              $(wildcard t/00-unit/test_*.c))
FUZZ   := $(patsubst t/fuzz/%.c,%,$(wildcard t/fuzz/fuzz_*.c))
CORPUS := $(patsubst %,build/unit/%.t,$(FUZZ))

STRICT  = -std=c11 -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes \
          -Wvla -Werror
LOOSE   = -std=gnu11 -Wall -Wextra -Werror
SANE    = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
          -fno-sanitize-recover=all
INCS    = -Isrc/core -Isrc/dialect -It/00-unit

export LLM_MODULE ?= $(CURDIR)/$(MODULE)

PROVE   = prove -j$(JOBS) -r -It/lib $(PROVE_OPTS)
JOBS   ?= 3
TESTS  ?= t build/unit
WORLD  ?= soak

.PHONY: module deps run stop test check unit units asan valgrind other fuzz \
        bench soak install clean help
.DELETE_ON_ERROR:

#: make            build build/ngx_http_llm_gateway_module.so (V=1: show it)
module:
	@$(TOOLS)/module.sh build/stock
	@cmp -s build/stock/$(notdir $(MODULE)) $(MODULE) || { \
	    cp build/stock/$(notdir $(MODULE)) $(MODULE).new && \
	    mv $(MODULE).new $(MODULE) && echo "built $(MODULE)"; }

#: make deps       install the Debian packages the build needs
deps:
	@$(TOOLS)/deps.sh run

#: make run        build, start on 127.0.0.1:8080 (PORT=...), ask one question
run: deps
	@$(MAKE) --no-print-directory module
	@$(TOOLS)/run.sh start $(PORT)

#: make stop       stop what "make run" started
stop:
	@$(TOOLS)/run.sh stop

#: make test       everything: style, unit and black-box tests (TESTS=..., JOBS=)
test:
	@$(TOOLS)/deps.sh test
	@$(MAKE) --no-print-directory module units
	@$(TOOLS)/sdk.sh
	$(PROVE) $(TESTS)

#: make check      style, purity and strict warnings of the sources
check:
	@$(TOOLS)/check.sh

#: make unit       build the unit tests (ASan + UBSan) and run them
unit: units
	@prove -j$(JOBS) -r build/unit

units: $(UNIT) $(CORPUS)

build/unit/core.a: $(patsubst src/%.c,build/unit/obj/%.o,$(CORE))
	@rm -f $@ && ar rcs $@ $^

build/unit/obj/%.o: src/%.c $(CORE_H) Makefile
	@mkdir -p $(@D)
	@gcc $(STRICT) $(SANE) $(INCS) -c -o $@ $<

build/unit/%.t: t/00-unit/test_%.c build/unit/core.a $(CORE_H)
	@gcc $(LOOSE) $(SANE) $(INCS) -o $@ $< build/unit/core.a -lcjson -lpcre2-8 -lm

build/unit/fuzz_%.t: t/fuzz/fuzz_%.c t/fuzz/replay.c build/unit/core.a \
                     $(wildcard t/fuzz/*.h)
	@gcc $(LOOSE) $(SANE) $(INCS) -DLLM_CORPUS='"t/fuzz/corpus/$*"' -o $@ \
	    $< t/fuzz/replay.c build/unit/core.a -lcjson -lpcre2-8 -lm

#: make asan       the whole suite on an nginx built with ASan and UBSan
asan:
	@$(TOOLS)/deps.sh test
	@$(MAKE) --no-print-directory module
	@$(TOOLS)/sdk.sh
	@$(TOOLS)/nginx.sh asan
	$(TOOLS)/nginx.sh asan $(PROVE) $(or $(filter-out t build/unit,$(TESTS)),t)

#: make valgrind   one test file per topic under valgrind
valgrind:
	@$(TOOLS)/deps.sh test valgrind
	@$(TOOLS)/nginx.sh valgrind
	$(TOOLS)/nginx.sh valgrind $(PROVE) \
	    $(or $(filter-out t build/unit,$(TESTS)),$(shell cat t/tools/valgrind.list))

#: make other      the suite on another nginx (NGINX_SOURCE=its source tree)
other:
	@$(TOOLS)/deps.sh test
	@$(MAKE) --no-print-directory module
	@$(TOOLS)/sdk.sh
	@$(TOOLS)/nginx.sh other
	$(TOOLS)/nginx.sh other $(PROVE) $(or $(filter-out t build/unit,$(TESTS)),t)

#: make fuzz       fuzz every parser, FUZZ_SECONDS=20 each
fuzz:
	@$(TOOLS)/deps.sh test clang
	@$(TOOLS)/fuzz.sh $(FUZZ)

#: make bench      compare with proxy_pass (ROUNDS=, SECONDS_PER_ROUND=)
bench: module
	@$(TOOLS)/deps.sh test wrk
	@perl t/bench/bench.pl
	@gcc -std=c11 -O2 -Isrc/core -o build/bench/core t/bench/bench_core.c \
	    src/core/llm_*.c -lm
	@build/bench/core

#: make soak       everything at once, at random (MINUTES=5, SEED=, ASAN=1,
#:                 WORLD=nodes: limits of several nodes)
soak: module
	@$(TOOLS)/deps.sh test
	@$(if $(ASAN),$(TOOLS)/nginx.sh asan)
	$(if $(ASAN),$(TOOLS)/nginx.sh asan) perl t/soak/$(WORLD).pl

#: make install    module, load snippet and examples (DESTDIR=...)
install: module
	@$(TOOLS)/install.sh "$(DESTDIR)"

#: make clean      stop the gateway and remove build/
clean: stop
	@rm -rf build

#: make help       this list
help:
	@sed -n 's/^#: //p' Makefile
