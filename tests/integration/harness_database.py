"""The databases of tests, and the logins of programs: a migrated one is made once on each server, others are its copies."""

import functools
import glob
import hashlib
import os
import secrets
import subprocess
import urllib.parse

import psycopg2
import psycopg2.errors

from harness_daemon import program
from harness_services import ROOT, services

_TEMPLATES = 8          # so many stay on servers that stay


def create_database(template=None):
    """A database of this process, as a copy of `template` if given; returns its name."""
    name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    administer(f"create database {name}" + (f" template {template}" if template else ""))
    return name


def drop_database(name):
    administer(f"drop database if exists {name} with (force)")


@functools.cache
def _template_name():
    """Of the migrated database that others are copied from: of this program and these files, one on each server."""
    digest = hashlib.sha256()
    for path in (program("checkoutctl"), *sorted(glob.glob(os.path.join(ROOT, "schemas/sql/**/*"), recursive=True))):
        if os.path.isfile(path):
            with open(path, "rb") as source:
                digest.update(source.read())
    return f"migrated_{digest.hexdigest()[:16]}"


def _databases(pattern):
    """The names that are like this, the newest first."""
    rows = query_once(services()["CHECKOUT_DATABASE_URL"],
                      "select datname from pg_database where datname like %s order by oid desc", (pattern,))
    return [name for name, in rows]


def administer(statement, database=None):
    url = services()["CHECKOUT_DATABASE_URL"] if database is None else database_url(database)
    query_once(url, statement)


def query_once(url, statement, arguments=None, **options):
    """Runs one statement in a session of its own and commits it; its rows, [] if it has none."""
    connection = psycopg2.connect(url, **options)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def database_url(name):
    url = urllib.parse.urlsplit(services()["CHECKOUT_DATABASE_URL"])
    return urllib.parse.urlunsplit(url._replace(path="/" + name))


_PROGRAMS = ("producer", "consumer", "notifier", "mailer", "webhooks", "console", "operator")
_LOGIN = """
do $$ begin
    begin
        create role {login} login password '{login}' in role checkout_{program};
    exception when duplicate_object or unique_violation then null;
    end;
end $$"""


def _postgresql(program_name, database, *arguments):
    bin_directory = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    subprocess.run([os.path.join(bin_directory, program_name), "-d", database_url(database), *arguments], check=True,
                   stdout=subprocess.DEVNULL)


def dump_database(name, path):
    _postgresql("pg_dump", name, "-Fc", "-f", path)


def restore_database(name, path):
    """Whatever the database has is gone, and what the dump has is there."""
    drop_database(name)
    administer(f"create database {name}")
    _postgresql("pg_restore", name, path)


def make_logins(programs=_PROGRAMS):
    """A login for each program, with its own role's rights: so each test shows that they suffice."""
    for program_name in programs:
        administer(_LOGIN.format(login=f"test_{program_name}", program=program_name))


def as_login(url, program_name):
    login = f"test_{program_name}"
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(
        parts._replace(netloc=f"{login}:{login}@{parts.netloc.rpartition('@')[2]}"))


def migrated_database(migrate):
    """A new one, as `migrate(url)` leaves it; returns its name."""
    if not _databases(_template_name()):
        _make_template(migrate)
    return create_database(_template_name())


def _make_template(migrate):
    fresh = create_database()
    migrate(database_url(fresh))
    make_logins()
    try:
        administer(f"alter database {fresh} rename to {_template_name()}")
    except psycopg2.errors.DuplicateDatabase:   # somebody was quicker
        drop_database(fresh)
    for old in _databases("migrated\\_%")[_TEMPLATES:]:
        drop_database(old)
