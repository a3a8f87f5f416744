# The server side: two libraries and the extension's SQL. `make && make install && make installcheck`, as PGXN clients expect.
EXTENSION    = anabranch
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
MODULE_big   = $(EXTENSION)
# The rule how a value stands in a row is one: the decoder writes rows by it, the extension reads them.
OBJS         = $(patsubst %.cpp,%.o,$(wildcard extension/*.cpp)) extension/value.o
DATA         = $(wildcard sql/$(EXTENSION)--*--*.sql)
DATA_built   = sql/$(EXTENSION)--$(EXTVERSION).sql
REGRESS      = $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql))
REGRESS_OPTS = --inputdir=test --outputdir=tmp_check
NO_INSTALLCHECK = 1
include server.mk

extension/value.o: decoder/value.cpp
	$(COMPILE.cc) -o $@ $<
$(DATA_built): sql/$(EXTENSION).sql
	cp $< $@
$(OBJS): $(wildcard extension/*.hpp decoder/*.hpp)

DECODER_GOALS = $(addprefix decoder/,all install uninstall clean)
.PHONY: $(DECODER_GOALS) installcheck regress
$(DECODER_GOALS): decoder/%:
	$(MAKE) -C decoder $*
all: decoder/all
install: decoder/install
uninstall: decoder/uninstall
clean: decoder/clean
