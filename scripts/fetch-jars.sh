#!/usr/bin/env bash
# Brings Java programs from Maven Central onto this machine, once: the files that a list names, each with its checksum.
#
#   scripts/fetch-jars.sh LIST        makes sure of all files of LIST; prints the directory they are in
#   scripts/fetch-jars.sh --pin LIST  prints LIST with the checksums of what is served now, after a version was changed
#
# LIST is one of scripts/*-jars.txt: lines "SHA-256 group:artifact:version[:type[:classifier]]", "#" begins a comment. The
# directory is ${XDG_CACHE_HOME:-~/.cache}/anabranch/LIST-DIGEST (the list's name without "-jars.txt", and what it says), never
# inside the tree. Maven does the download, with this machine's settings.xml, so mirrors, proxies and passwords are what
# they are for everything else. Files that came another way may be put there by hand. Checksums are verified every time.
#
# Exit codes: 0; 1 a checksum that is not the list's; 2 usage; 69 cannot be had here (no Java, no Maven, no repository), the
# reason on stderr, so that callers can go on without.
set -euo pipefail
export LC_ALL=C

# From sysexits.h.
readonly EX_UNAVAILABLE=69
# Pinned, so that every Maven 3 does the same.
readonly COPY=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy

unavailable() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit $EX_UNAVAILABLE; }

entries() { sed 's/#.*//; /^ *$/d' "$1"; } # LIST

file_name() { # group:artifact:version[:type[:classifier]]
  local artifact version type classifier
  IFS=: read -r _ artifact version type classifier <<< "$1"
  printf '%s-%s%s.%s\n' "$artifact" "$version" "${classifier:+-$classifier}" "${type:-jar}"
}

checksums() { # LIST   as sha256sum reads them
  local sum coordinates
  entries "$1" | while read -r sum coordinates; do printf '%s  %s\n' "$sum" "$(file_name "$coordinates")"; done
}

complete() { [ -d "$2" ] && (cd "$2" && sha256sum --check --status --strict "$1" 2>/dev/null); } # CHECKSUMS DIRECTORY

download() { # LIST DIRECTORY
  local coordinates group artifact version type classifier
  command -v java >/dev/null || unavailable "there is no Java: scripts/install-dependencies.sh kafka"
  command -v mvn >/dev/null || unavailable "there is no Maven: scripts/install-dependencies.sh kafka"
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>anabranch</groupId>'
    echo '<artifactId>jars</artifactId><version>1</version><packaging>pom</packaging><build><plugins><plugin>'
    echo "<groupId>${COPY%%:*}</groupId><artifactId>maven-dependency-plugin</artifactId><configuration><artifactItems>"
    entries "$1" | while read -r _ coordinates; do
      IFS=: read -r group artifact version type classifier <<< "$coordinates"
      printf '<artifactItem><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version><type>%s</type>%s</artifactItem>\n' \
        "$group" "$artifact" "$version" "${type:-jar}" "${classifier:+<classifier>$classifier</classifier>}"
    done
    echo '</artifactItems></configuration></plugin></plugins></build></project>'
  } > "$2/pom.xml"
  echo "fetching what ${1##*/} lists, by Maven" >&2
  mvn -B -q -f "$2/pom.xml" "$COPY" -DoutputDirectory="$2" > "$2/mvn.log" 2>&1 < /dev/null ||
    unavailable "Maven could not fetch the files of ${1##*/}: $(sed -n 's/^.*\[ERROR\] //p' "$2/mvn.log" | head -n 1)"
}

fetch() { # LIST
  local list=$1 name directory partial
  name=${list##*/}
  name=${name%-jars.txt}
  directory=${XDG_CACHE_HOME:-${HOME:?neither HOME nor XDG_CACHE_HOME is set}/.cache}/anabranch/$name-$(entries "$list" | sha256sum | cut -c 1-12)
  mkdir -p "${directory%/*}"
  # Several callers may find it missing at once.
  exec 9> "$directory.lock"
  flock -w 900 9 || unavailable "another process fetches the files of ${list##*/} for 15 minutes now"
  checksums "$list" > "$directory.sha256"
  if ! complete "$directory.sha256" "$directory"; then
    partial=$(mktemp -d "$directory.XXXXXX")
    # shellcheck disable=SC2064  # the directory as it is now
    trap "rm -rf '$partial'" EXIT
    download "$list" "$partial"
    complete "$directory.sha256" "$partial" || {
      echo "fetch-jars.sh: what came is not what ${list##*/} says; nothing of it is kept:" >&2
      (cd "$partial" && sha256sum --check --quiet "$directory.sha256" 2>&1 | sed 's/^/  /' >&2) || true
      exit 1
    }
    rm -rf "$directory" "$partial/pom.xml" "$partial/mvn.log"
    chmod 755 "$partial"
    mv "$partial" "$directory"
  fi
  printf '%s\n' "$directory"
}

pin() { # LIST
  local partial coordinates line
  partial=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$partial'" EXIT
  download "$1" "$partial"
  while IFS= read -r line; do
    case $line in '#'*|'') printf '%s\n' "$line"; continue ;; esac
    coordinates=${line##* }
    printf '%s %s\n' "$(sha256sum "$partial/$(file_name "$coordinates")" | cut -d ' ' -f 1)" "$coordinates"
  done < "$1"
}

case ${1:-} in
  --pin) pin "${2:?}" ;;
  ''|-*) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  *) fetch "$1" ;;
esac
