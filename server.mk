# What both server libraries are built with.
ROOT        := $(dir $(lastword $(MAKEFILE_LIST)))
PG_CPPFLAGS += -I$(ROOT)
# No exceptions and no RTTI: nothing of the C++ runtime is linked into a backend, and no C++ frame can meet a longjmp.
# Hidden visibility: libraries are loaded globally, and equally named inline functions of two extensions would be mixed up.
PG_CXXFLAGS += -std=c++20 -fno-exceptions -fno-rtti -fvisibility=hidden -Wall -Wextra $(if $(WERROR),-Werror)
# Bitcode for JIT is built without the flags above and would fail.
override with_llvm = no
PG_CONFIG   ?= pg_config
# Debian's libpq-dev has a pg_config too, which names a file that only the server's headers bring.
PGXS        := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
# A server that another compiler has built hands over flags that this one may not know.
complaint = $(shell echo | $(1) $(2) -fsyntax-only -x $(3) - 2>&1)
known     = $(foreach flag,$(2),$(if $(call complaint,$(1),-Wall $(flag),$(3)),,$(flag)))
ifneq ($(call complaint,$(CXX),$(CXXFLAGS),c++),)
override CXXFLAGS := $(call known,$(CXX),$(CXXFLAGS),c++)
endif
ifneq ($(call complaint,$(CC),$(CFLAGS),c),)
override CFLAGS := $(call known,$(CC),$(CFLAGS),c)
endif
else ifneq ($(filter-out test demo sidecar,$(or $(MAKECMDGOALS),all)),)
$(error no server headers for "$(PG_CONFIG)": install postgresql-server-dev-15, or name another pg_config by PG_CONFIG=)
endif
