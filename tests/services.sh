#!/bin/sh
# Installs what some integration tests run on: PostgreSQL and Java 17. Where that cannot be done the tests skip.
set -u
wanted=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="$wanted postgresql"
command -v java >/dev/null 2>&1 || wanted="$wanted openjdk-17-jre-headless"
[ -n "$wanted" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "tests that need$wanted will skip: install them, or run this as root where there is apt-get"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $wanted >/dev/null 2>&1 || echo "could not install$wanted: its tests will skip"
exit 0
