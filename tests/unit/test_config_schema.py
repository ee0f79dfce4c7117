"""Validation, names, and the cache key."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.config import CONNECTION_TYPES, Config, PoolSettings, parse_config, unresolved_references
from pgmonkey_magic.errors import ConfigError

MINIMAL: dict[str, Any] = {"connection_settings": {"host": "h"}}


def parsed(**sections: Any) -> Config:
    return parse_config(MINIMAL | sections)


def error_of(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(**sections)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults() -> None:
    config = parse_config({"connection_settings": None})
    assert config.connection_type == "normal"
    assert config.pool_settings == config.async_pool_settings == PoolSettings()
    assert PoolSettings() == PoolSettings(5, 20, 30, 300, 3600, False, 0, 300, 3)
    assert (config.autocommit, config.pgbouncer, config.source) == (False, False, None)
    assert dict(config.connection_settings) == dict(config.sync_settings) == dict(config.async_settings) == {}


def test_empty_sections_and_values_take_the_default() -> None:
    config = parsed(
        pool_settings=None, sync_settings=None, async_pool_settings={"max_size": None}, connection_type=None
    )
    assert config == parsed()


def test_connection_settings_must_be_there() -> None:
    with pytest.raises(ConfigError, match="'connection_settings' is missing"):
        parse_config({"pool_settings": {}})


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_not_a_mapping(data: Any) -> None:
    with pytest.raises(ConfigError):
        parse_config(data)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"pool_setings": {}}, "unknown key 'pool_setings'; did you mean 'pool_settings'?"),
        ({"pool_settings": {"min_szie": 1}}, "unknown key 'pool_settings.min_szie'; did you mean 'min_size'?"),
        (
            {"async_pool_settings": {"maxsize": 1}},
            "unknown key 'async_pool_settings.maxsize'; did you mean 'max_size'?",
        ),
        ({"connection_settings": {"hots": "h"}}, "unknown key 'connection_settings.hots'; did you mean 'host'?"),
        (
            {"connection_settings": {"database": "h"}},
            "unknown key 'connection_settings.database'; did you mean 'dbname'?",
        ),
        ({"connection_settings": {"xyzzy": 1}}, "libpq knows no such"),
        ({"zzz": 1}, "known are connection_type,"),
        ({True: 1}, "unknown key '(true or false that is no name)'"),
        ({"sync_settings": {"work mem": 1}}, "is not the name of a server setting"),
        ({"sync_settings": {"a; drop": 1}}, "is not the name of a server setting"),
        ({"sync_settings": {"a..b": 1}}, "is not the name of a server setting"),
        ({"sync_settings": {5: 1}}, "is not the name of a server setting"),
        ({"pool_settings": [1]}, "'pool_settings' must be a mapping, one 'key: value' per line, not a list"),
        ({"pool_settings": {"from_env": "X"}}, "'pool_settings' must be a mapping"),
        ({"connection_settings": {"host": ["a", "b"]}}, "'connection_settings.host' must be one value"),
        ({"connection_settings": {"host": {"a": 1}}}, "not a mapping"),
        ({"connection_settings": {"password": {"from_evn": "X"}}}, "did you mean 'from_env'?"),
        ({"connection_settings": {"user": True}}, "'connection_settings.user' must be text, not true or false"),
        ({"connection_settings": {"port": 70000}}, "'connection_settings.port' must be a number from 1 to 65535"),
        ({"connection_settings": {"port": "abc"}}, "from 1 to 65535"),
        ({"connection_settings": {"keepalives_idle": "x"}}, "'connection_settings.keepalives_idle' must be a whole"),
        ({"connection_settings": {"dbname": "postgresql://u:p@h/d"}}, "not a URL"),
        ({"connection_settings": {"user": "a\0b"}}, "NUL"),
        ({"connection_settings": {"autocommit": "maybe"}}, "'connection_settings.autocommit' must be true or false"),
        ({"pgbouncer": "maybe"}, "'pgbouncer' must be true or false, not text"),
        ({"pgbouncer": []}, "'pgbouncer' must be one value"),
        ({"connection_type": "asnyc"}, "did you mean 'async'?"),
        ({"connection_type": 5}, "cannot be a number"),
        ({"sync_settings": {"search_path": ["a"]}}, "'sync_settings.search_path' must be one value"),
    ],
)
def test_errors_name_the_path_and_the_cure(sections: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL | sections)
    assert message in str(caught.value)


def test_libpq_keywords_that_pgmonkey_drops_are_kept() -> None:
    given_ = {
        "require_auth": "scram-sha-256",
        "channel_binding": "require",
        "target_session_attrs": "any",
        "options": "-c a=b",
    }
    assert dict(parsed(connection_settings=given_).connection_settings) == given_


def test_values_become_text_and_switches_one_or_zero() -> None:
    config = parsed(
        connection_settings={
            "port": 5432,
            "keepalives": True,
            "sslsni": False,
            "user": None,
            "sslkey": "",
            "sslrootcert": Path("/c"),
            "autocommit": True,
        }
    )
    expected = {"port": "5432", "keepalives": "1", "sslsni": "0", "sslkey": "", "sslrootcert": "/c"}
    assert {**config.connection_settings} == dict(config.connection_settings) == expected
    assert config.autocommit


def test_ports_of_several_hosts() -> None:
    assert parsed(connection_settings={"port": "5432,,5433"}).connection_settings["port"] == "5432,,5433"


@pytest.mark.parametrize(("value", "expected"), [(True, True), (0, False), ("on", True), ("No", False), (None, False)])
def test_pgbouncer_and_other_truths(value: Any, expected: bool) -> None:
    assert parsed(pgbouncer=value).pgbouncer is expected


def test_server_settings() -> None:
    config = parsed(
        sync_settings={"jit": False, "statement_timeout": 500, "my.app_name": "x y", "work_mem": None},
        async_settings={"jit": True},
    )
    assert dict(config.sync_settings) == {"jit": "off", "statement_timeout": "500", "my.app_name": "x y"}
    assert config.server_settings_for("normal") is config.server_settings_for("pool") is config.sync_settings
    assert config.server_settings_for("async") is config.server_settings_for("async_pool") is config.async_settings


def test_pool_settings_for() -> None:
    config = parsed(pool_settings={"max_size": 7}, async_pool_settings={"max_size": 8})
    assert [config.pool_settings_for(kind).max_size for kind in CONNECTION_TYPES] == [7, 7, 8, 8]
    with pytest.raises(ConfigError, match="unknown connection type"):
        config.key("poool")


# -- pool settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"min_size": 0, "max_size": 1}, PoolSettings(min_size=0, max_size=1)),
        ({"min_size": "2", "max_size": " 10 "}, PoolSettings(min_size=2, max_size=10)),
        ({"timeout": 0.5, "max_idle": "1.5"}, PoolSettings(timeout=0.5, max_idle=1.5)),
        ({"max_idle": 60, "max_lifetime": 60}, PoolSettings(max_idle=60, max_lifetime=60)),
        ({"check_on_checkout": "true"}, PoolSettings(check_on_checkout=True)),
        (
            {"max_waiting": 0, "reconnect_timeout": 0, "num_workers": 1},
            PoolSettings(reconnect_timeout=0, num_workers=1),
        ),
        ({}, PoolSettings()),
        (None, PoolSettings()),
    ],
)
def test_pool_settings_accepted(values: Any, expected: PoolSettings) -> None:
    settings = PoolSettings.from_mapping(values)
    assert settings == expected
    assert isinstance(settings.timeout, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_size": -1}, "'pool_settings.min_size' must be a whole number of at least 0, not -1"),
        ({"max_size": 0}, "at least 1, not 0"),
        ({"min_size": 1.5}, "not 1.5"),
        ({"min_size": True}, "not true"),
        ({"min_size": "abc"}, "not text"),
        ({"min_size": "1_0"}, "not text"),
        ({"min_size": "١"}, "not text"),
        ({"max_size": 10**5000}, "not so large a number"),
        ({"timeout": 0}, "'pool_settings.timeout' must be a number of seconds, more than 0, not 0"),
        ({"timeout": math.nan}, "not nan"),
        ({"timeout": math.inf}, "not inf"),
        ({"timeout": "inf"}, "not text"),
        ({"timeout": 10**5000}, "so large"),
        ({"timeout": -(10**5000)}, "so large"),
        ({"timeout": False}, "not false"),
        ({"reconnect_timeout": -1}, "0 or more, not -1"),
        ({"max_waiting": -1}, "at least 0"),
        ({"num_workers": 0}, "at least 1"),
        ({"check_on_checkout": "sometimes"}, "true or false"),
        ({"check_on_checkout": 2}, "true or false"),
        (
            {"min_size": 10, "max_size": 5},
            (
                "'pool_settings.min_size' (10) is greater than 'pool_settings.max_size' (5); "
                "lower min_size or raise max_size"
            ),
        ),
        (
            {"max_size": 3},
            "min_size' (5, the default) is greater than 'pool_settings.max_size' (3); set min_size to at most 3",
        ),
        ({"min_size": 30}, "max_size' (20, the default); set max_size to at least 30"),
        ({"max_lifetime": 60}, "max_idle' (300, the default) is greater than 'pool_settings.max_lifetime' (60)"),
        ({"max_idle": 4000}, "max_lifetime' (3600, the default)"),
        ({"nope": 1}, "unknown key 'pool_settings.nope'"),
    ],
)
def test_pool_settings_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PoolSettings.from_mapping(values)
    assert message in str(caught.value)
    assert "'pool_settings." in str(caught.value)


def test_both_pool_sections_are_checked_whatever_the_type() -> None:
    assert "'async_pool_settings.max_size'" in error_of(async_pool_settings={"max_size": -3})


# -- key and equality ------------------------------------------------------------------------------------------


def test_the_key_ignores_order_spelling_and_written_defaults() -> None:
    a = parsed(connection_settings={"host": "h", "port": 5432}, pool_settings={"timeout": 30, "max_size": 9})
    b = parsed(
        connection_type="pool",
        connection_settings={"port": "5432", "host": "h", "autocommit": False},
        pool_settings={"max_size": "9", "min_size": 5, "timeout": 30.0},
        sync_settings={},
        pgbouncer=False,
    )
    assert a.key("pool") == b.key("pool")
    assert len(a.key("pool")) == 32
    assert len({a.key(kind) for kind in CONNECTION_TYPES}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"connection_settings": {"host": "h", "password": "a"}},
        {"connection_settings": {"host": "h", "password": "b"}},
        {"connection_settings": {"host": "h", "autocommit": True}},
        {"connection_settings": {"host": "hh"}},
        {"pool_settings": {"max_size": 21}},
        {"pool_settings": {"check_on_checkout": True}},
        {"sync_settings": {"jit": "off"}},
        {"pgbouncer": True},
    ],
)
def test_the_key_and_equality_see_every_difference(change: dict[str, Any]) -> None:
    assert parsed(**change).key("pool") != parsed().key("pool")
    assert parsed(**change) != parsed()


def test_a_change_of_the_sync_pool_leaves_the_key_of_the_async_pool() -> None:
    changed = parsed(pool_settings={"max_size": 21}, sync_settings={"jit": "off"})
    assert changed.key("async_pool") == parsed().key("async_pool")


def test_the_key_cannot_be_recomputed_in_another_process() -> None:
    code = f"from pgmonkey_magic.config import parse_config as p; print(p({MINIMAL!r}).key('pool'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert len(out) == 32
    assert out != parsed().key("pool")


SCALARS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8) | st.integers(0, 10**6)
SECTIONS = st.fixed_dictionaries(
    {"connection_settings": st.dictionaries(st.sampled_from(["user", "password", "dbname", "options"]), SCALARS)},
    optional={
        "sync_settings": st.dictionaries(st.sampled_from(["jit", "work_mem", "my.name"]), SCALARS),
        "pool_settings": st.fixed_dictionaries(
            {"max_size": st.integers(5, 50)}, optional={"timeout": st.floats(1, 99)}
        ),
        "pgbouncer": st.booleans(),
    },
).filter(lambda data: not (data.get("pgbouncer") and data.get("sync_settings")))


@given(SECTIONS, st.randoms(use_true_random=False))
def test_key_and_equality_follow_content_alone(data: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    one, two = parse_config(data), parse_config(shuffled(json.loads(json.dumps(data))), source=Path("x"))
    assert one == two
    assert hash(one) == hash(two)
    for kind in CONNECTION_TYPES:
        assert one.key(kind) == two.key(kind)


@given(SECTIONS, SECTIONS)
def test_equal_keys_mean_equal_content(a: dict[str, Any], b: dict[str, Any]) -> None:
    one, two = parse_config(a), parse_config(b)
    assert (one.key("pool") == two.key("pool")) == (one == two)


def test_server_settings_and_pgbouncer_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="'sync_settings' cannot be used with `pgbouncer: true`"):
        parsed(sync_settings={"jit": "off"}, pgbouncer=True)
    assert parsed(async_settings={"jit": None}, pgbouncer=True).pgbouncer


def test_config_is_a_frozen_value() -> None:
    config = parsed(connection_settings={"host": "h"})
    with pytest.raises(AttributeError):
        config.pgbouncer = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.connection_settings["host"] = "g"  # type: ignore[index]
    assert pickle.loads(pickle.dumps(config)) == config
    data = {"connection_settings": {"host": "h"}}
    assert parse_config(data).connection_settings == {"host": "h"}
    assert data == {"connection_settings": {"host": "h"}}


def test_unresolved_references() -> None:
    config = parsed(connection_settings={"host": "${H:-x}", "user": "u", "password": "a${PW}"})
    assert unresolved_references(config) == ["connection_settings.host", "connection_settings.password"]
