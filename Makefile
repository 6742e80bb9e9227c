# lxm: one Makefile for the whole tree. `make help` lists the targets.
#
#   V=1            show the commands           SAN=address|thread   instrumented build in build/san-$(SAN)
#   T=name         one test                    PREFIX, DESTDIR      where `make install` puts things

PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
V       ?= 0
T       ?=

B := build$(if $(SAN),/san-$(SAN))
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

CC      ?= cc
VERSION := 0.1
PKGS_D  := libmicrohttpd jansson sqlite3 openssl yaml-0.1 libseccomp libcap uuid
# loaded when first needed (lxmd/core/lazy.h): headers only
PKGS_L  := libarchive libnftables
CFLAGS_D := $(shell pkg-config --cflags $(PKGS_D) $(PKGS_L) 2>/dev/null)
libs     = $(or $(shell pkg-config --libs $(1)),$(error a library is missing: run make deps))
LIBS_D   = $(call libs,$(PKGS_D))

CPPFLAGS += -D_GNU_SOURCE -I. -DLXM_VERSION='"$(VERSION)"' -DLXM_PREFIX='"$(PREFIX)"'
CFLAGS   ?= -O2 -g
CFLAGS   += -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wno-unused-parameter -fstack-protector-strong -fno-strict-aliasing -ffunction-sections -fdata-sections
LDFLAGS  += -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections -pthread
ifeq ($(SAN),)
CPPFLAGS += -D_FORTIFY_SOURCE=2
STATIC   := -static
PIE_C    := -fPIE
PIE_L    := -pie
else
CFLAGS   += -fsanitize=$(SAN)$(if $(filter address,$(SAN)),$(comma)undefined -fno-sanitize-recover=undefined) -fno-omit-frame-pointer -O1 \
            -Wno-format-truncation -Wno-maybe-uninitialized -Wno-stringop-overflow # the instrumentation misleads them
LDFLAGS  += -fsanitize=$(SAN)$(if $(filter address,$(SAN)),$(comma)undefined)
STATIC   :=
CPPFLAGS += -DLXM_SAN='"$(SAN)"'
endif
comma := ,

# ---- what is built from what: rooms are found by name, a new file needs no line here
LIB_ROOMS  := lib/base lib/conf lib/api lib/tls lib/wire lib/mount
LXMD_ROOMS := lxmd/core lxmd/spawn lxmd/storage lxmd/network lxmd/device lxmd/image lxmd/guest lxmd/instance lxmd/cluster lxmd/http lxmd/api
srcs  = $(sort $(wildcard $(addsuffix /*.c,$(1))))
objs  = $(patsubst %.c,$(B)/obj/%.o,$(1))

LIB_OBJ  := $(call objs,$(call srcs,$(LIB_ROOMS)))
DB_OBJ   := $(call objs,$(call srcs,db))
LXMD_OBJ := $(call objs,$(call srcs,$(LXMD_ROOMS)))
MON_OBJ  := $(call objs,$(call srcs,lxmd/monitor))
HLP_OBJ  := $(call objs,$(call srcs,lxmd/helper))
FWD_OBJ  := $(call objs,$(call srcs,lxmd/forward))
GET_OBJ  := $(call objs,$(call srcs,lxmd/fetch))
LXMC_OBJ := $(call objs,$(call srcs,lxmc))
MAIN_OBJ := $(call objs,$(sort $(wildcard lxmd/*.c)))
SMALL    := $(call objs,$(call srcs,lib/base lib/wire lib/mount))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))

BINS := $(if $(MAIN_OBJ),$(B)/bin/lxmd) $(if $(MON_OBJ),$(B)/bin/lxm-monitor) \
        $(if $(HLP_OBJ),$(B)/bin/lxm-helper) $(if $(FWD_OBJ),$(B)/bin/lxm-forward) \
        $(if $(GET_OBJ),$(B)/bin/lxm-fetch) $(if $(LXMC_OBJ),$(B)/bin/lxmc)

.PHONY: all
all: $(BINS)

$(B)/obj/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_D) $(CFLAGS) $(PIE_C) -MMD -MP -c $< -o $@

# db/schema/*.sql become one C array each (see db/): text in, C string out
$(B)/gen/%.sql.h: %.sql
	@mkdir -p $(@D)
	$(Q)sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@
CPPFLAGS += -I$(B)/gen
SQL_H := $(patsubst %.sql,$(B)/gen/%.sql.h,$(wildcard db/schema/*.sql))
$(DB_OBJ): | $(SQL_H)
$(B)/obj/db/schema.o: $(SQL_H)

$(B)/bin/lxmd: $(MAIN_OBJ) $(LXMD_OBJ) $(DB_OBJ) $(LIB_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(LIBS_D) -o $@

# the single-threaded binaries; TSan would start a thread in them, so with SAN=thread they are the plain ones
ifeq ($(SAN),thread)
$(B)/bin/lxm-%: build/bin/lxm-%
	@mkdir -p $(@D)
	$(Q)cp $< $@
build/bin/lxm-%: FORCE
	$(Q)$(MAKE) --no-print-directory SAN= $@
.PHONY: FORCE
.PRECIOUS: build/bin/lxm-%
else
$(B)/bin/lxm-monitor: $(MON_OBJ) $(SMALL)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(STATIC) $^ -o $@

$(B)/bin/lxm-helper: $(HLP_OBJ) $(SMALL)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(STATIC) $^ -o $@

$(B)/bin/lxm-forward: $(FWD_OBJ) $(SMALL)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(STATIC) $^ -o $@

# libcurl and what that brings stay out of lxmd's memory
$(B)/bin/lxm-fetch: $(GET_OBJ) $(B)/obj/liblxm.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(call libs,libcurl openssl jansson libseccomp) -o $@
endif

# lxmc starts for every command: it takes only the members it needs from an archive, and libraries statically where
# the system has them so: each shared one costs it a tenth of a millisecond, OpenSSL half of one, a third of an exec.
# After a security update of OpenSSL it has to be linked again; LXMC_TLS='-lssl -lcrypto' links the shared one
$(B)/obj/liblxm.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

PC_LIBDIR := $(shell pkg-config --variable=libdir jansson 2>/dev/null)
static = $(foreach l,$(1),$(or $(wildcard $(PC_LIBDIR)/lib$(l).a),-l$(l)))
LXMC_TLS ?= $(call static,ssl crypto)
LIBS_C = $(call static,jansson yaml) $(LXMC_TLS)

$(B)/bin/lxmc: $(LXMC_OBJ) $(B)/obj/liblxm.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(LIBS_C) -o $@

# an archive, so that a test is linked with what it needs and no more
$(B)/rooms.a: $(LXMD_OBJ) $(filter-out %/main.o,$(GET_OBJ)) $(DB_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

# the client's unit tests link the client: its names and lxmd's may be the same
$(B)/unit/test_lxmc_%: $(B)/obj/tests/unit/test_lxmc_%.o $(filter-out %/main.o,$(LXMC_OBJ)) $(B)/obj/liblxm.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(LIBS_C) -lcunit -o $@

$(B)/unit/test_forward_header: $(B)/obj/tests/unit/test_forward_header.o $(B)/obj/lxmd/forward/header.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ -lcunit -o $@

$(B)/unit/test_monitor_%: $(B)/obj/tests/unit/test_monitor_%.o $(filter-out %/main.o,$(MON_OBJ)) $(B)/obj/liblxm.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(LIBS_D) -lcunit -o $@

$(B)/unit/%: $(B)/obj/tests/unit/%.o $(B)/rooms.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PIE_L) $^ $(LIBS_D) $(call libs,libarchive) -lcunit -o $@

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

include tests/tests.mk

# ---- for people
.PHONY: docs help deps deps-test up down install uninstall clean format lint
help:        ## list the targets
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

pkgs = $(shell awk '$$1 !~ /^\#/ && $$2 ~ /$(1)/ { print $$1 }' packaging/packages.txt)

deps:        ## install what building and running need (Debian 12, root)
	$(Q)packaging/install-packages $(call pkgs,build|run)

deps-test:   ## install what the tests need besides
	$(Q)packaging/install-packages $(call pkgs,build|run|test)

up: deps     ## build, start lxmd and a Debian container in it (root; LXMD_DIR=DIR keeps all of it there)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)packaging/up $(B)/bin

down:        ## stop every instance and lxmd, take its networks off the host
	$(Q)packaging/down $(B)/bin

# LXM_PREFIX is compiled in: build with the PREFIX that is installed to
INSTALLED := $(addprefix bin/,$(notdir $(BINS))) share/lxm share/doc/lxm \
             share/bash-completion/completions/lxmc lib/systemd/system/lxmd.service lib/systemd/system/lxmd-instances.service
dest = $(DESTDIR)$(PREFIX)

install: all ## into DESTDIR/PREFIX: programs, templates, profiles, units, completion, documents
	$(Q)install -d $(dest)/bin $(dest)/share/lxm $(dest)/share/doc/lxm/doc $(dest)/share/bash-completion/completions $(dest)/lib/systemd/system
	$(Q)install -m 755 $(BINS) $(dest)/bin/
	$(Q)cp -R --no-preserve=ownership templates profiles $(dest)/share/lxm/
	$(Q)install -m 644 README.md LICENSE $(dest)/share/doc/lxm/
	$(Q)install -m 644 doc/*.md $(dest)/share/doc/lxm/doc/
	$(Q)for u in lxmd lxmd-instances; do \
		sed 's|@PREFIX@|$(PREFIX)|g' packaging/$$u.service.in > $(dest)/lib/systemd/system/$$u.service || exit 1; done
	$(Q)$(B)/bin/lxmc completion bash > $(dest)/share/bash-completion/completions/lxmc

uninstall:   ## remove what install put there; data and configuration stay
	$(Q)rm -rf $(addprefix $(dest)/,$(INSTALLED))

docs: $(B)/unit/test_conf_keys ## print doc/config-keys.md from the tables in lib/conf
	$(Q)LXM_UPDATE_DOCS=1 $< >/dev/null

BASE ?= HEAD
format:      ## lay out the lines of C that were changed since BASE (HEAD), by .clang-format
	$(Q)git clang-format --quiet --force --extensions c,h $(BASE) || [ $$? = 1 ]

lint:        ## who includes and calls what, documented headers, file sizes
	$(Q)tests/lint/check.py

clean:       ## remove everything built
	$(Q)rm -rf build
