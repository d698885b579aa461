//! The key table, the layers and every way to get a setting wrong.

use super::*;
use crate::types::{Address, BlockId};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tempfile::TempDir;

const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

fn load(text: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, String> {
    let dir = TempDir::new().expect("temporary folder");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, text).expect("writes");
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let folder = format!("{}/", dir.path().display());
    Config::load_from(Some(&file), environment, flags).map_err(|error| error.to_string().replace(&folder, ""))
}

fn refused(text: &str) -> String {
    load(text, &[], &Flags::default()).expect_err("refused")
}

#[test]
fn example_file_is_the_generated_text_and_means_the_defaults() {
    let root = crate::codec::golden::checkout();
    let file = root.join("config.example.toml");
    let text = std::fs::read_to_string(&file).expect("config.example.toml is in the repository");
    assert_eq!(text, Config::example_toml(), "write the output of `cess config` to config.example.toml");
    let loaded = Config::load_from(Some(&file), [], &Flags::default()).expect("parses");
    let mut defaults = Config::defaults();
    assert_eq!(defaults.node.dir, Path::new("."));
    defaults.chain.genesis = root.join("genesis.json");
    defaults.node.dir = root;
    assert_eq!(loaded, defaults);
}

#[test]
fn every_key_is_documented_once() {
    let (mut variables, mut count) = (BTreeSet::new(), 0);
    for section in SECTIONS {
        assert!(section.doc.ends_with('.'), "{}", section.name);
        for key in section.keys {
            assert!(!key.doc.is_empty() && key.doc.iter().all(|line| !line.is_empty()), "{}", key.name);
            assert!(key.default.parse::<toml::Value>().is_ok(), "{}", key.default);
            variables.insert(key.env);
            count += 1;
        }
    }
    assert_eq!(variables.len(), count);
}

#[test]
fn later_sources_win() {
    let text = "[node]\nname = \"file\"\nroles = [\"gateway\"]\n[storage]\nspace = \"2GiB\"";
    let quiet = Flags::default();
    assert_eq!(load("", &[], &quiet).expect("loads").node.name, "node");
    assert_eq!(load(text, &[], &quiet).expect("loads").node.name, "file");
    let environment = [("CESS_NODE_NAME", "env"), ("CESS_NODE_ROLES", "storage, consensus"), ("CESS_URL", "http://x")];
    let config = load(text, &environment, &quiet).expect("loads");
    assert_eq!((config.node.name.as_str(), config.node.roles), ("env", vec![Role::Storage, Role::Consensus]));
    let flags = Flags {
        name: Some("flag".into()),
        roles: vec![Role::Storage],
        space: Some(ByteCount(5_000_001)),
        bootstrap: vec![format!("/ip4/10.0.0.1/tcp/4001/p2p/{PEER}")],
        log_json: true,
        rpc_listen: Some(String::new()),
        ..Flags::default()
    };
    let config = load(text, &environment, &flags).expect("loads");
    assert_eq!((config.node.name.as_str(), config.node.roles), ("flag", vec![Role::Storage]));
    assert_eq!((config.storage.space, config.network.bootstrap.len()), (ByteCount(5_000_001), 1));
    assert_eq!((config.node.log_json, config.rpc.listen), (true, None));
}

#[test]
fn numbers_and_switches_of_the_environment_are_read() {
    let environment = [("CESS_RPC_MAX_BATCH", "7"), ("CESS_NODE_LOG_JSON", "true"), ("CESS_LOG", "debug")];
    let config = load("", &environment, &Flags::default()).expect("loads");
    assert_eq!((config.rpc.max_batch, config.node.log_json, config.node.log.as_str()), (7, true, "debug"));
    let error = load("", &[("CESS_RPC_MAX_BATCH", "many")], &Flags::default()).expect_err("refused");
    assert_eq!(
        error,
        "environment variable `CESS_RPC_MAX_BATCH`: `rpc.max_batch` is a value of type string, expected a whole number"
    );
    let error = load("", &[("CESS_RPC_LISTENS", "x")], &Flags::default()).expect_err("refused");
    assert_eq!(
        error,
        "environment variable `CESS_RPC_LISTENS` sets no known key, the nearest known variable is `CESS_RPC_LISTEN`"
    );
}

#[test]
fn a_gateway_keeps_what_it_is_told_to() {
    let kept = |settings: &[(&str, &str)]| load("", settings, &Flags::default()).expect("loads").gateway.read_cache;
    assert_eq!(kept(&[]), ByteCount(512 << 20));
    assert_eq!(kept(&[("CESS_GATEWAY_READ_CACHE", "0 B")]), ByteCount(0));
}

#[test]
fn paths_start_where_the_file_is() {
    let dir = TempDir::new().expect("temporary folder");
    let file = dir.path().join(CONFIG_FILE);
    assert_eq!(Flags::file_in(dir.path()), None);
    std::fs::write(&file, "[node]\ndir = \"data\"").expect("writes");
    assert_eq!(Flags::file_in(dir.path()), Some(file.clone()));
    let config = Config::load_from(Some(&file), [], &Flags::default()).expect("loads");
    assert_eq!(config.node.dir, dir.path().join("data"));
    assert_eq!(config.chain.genesis, dir.path().join("data/genesis.json"));
    let flags = Flags { dir: Some("elsewhere".into()), genesis: Some("/etc/g.json".into()), ..Flags::default() };
    let config = Config::load_from(Some(&file), [], &flags).expect("loads");
    assert_eq!((config.node.dir, config.chain.genesis), ("elsewhere".into(), "/etc/g.json".into()));
}

#[test]
fn unknown_names_are_errors_with_the_nearest_known() {
    let cases = [
        (
            "[network]\nlisen = []",
            "config file `c.toml`: section [network] has no key `lisen`, the nearest known key is `network.listen`",
        ),
        (
            "[node]\nspace = \"1GiB\"",
            "config file `c.toml`: section [node] has no key `space`, the nearest known key is `storage.space`",
        ),
        ("[netwrk]\n", "config file `c.toml`: section [netwrk] is unknown, the nearest known is [network]"),
        (
            "tranquillity = 3",
            "config file `c.toml`: key `tranquillity` stands outside any section, the nearest known key is `storage.tranquility`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected);
    }
    assert!(refused(&format!("[node]\n{} = 1", "x".repeat(5_000))).len() < 300);
}

#[test]
fn bad_values_name_the_key_the_source_and_the_bound() {
    let cases = [
        ("[rpc]\nmax_batch = 0", "`rpc.max_batch` is `0`: expected 1 to 10000"),
        ("[rpc]\nmax_batch = -1", "`rpc.max_batch` is `-1`: expected 1 to 10000"),
        ("[rpc]\nmax_batch = \"9\"", "`rpc.max_batch` is a value of type string, expected a whole number"),
        ("[rpc]\nlisten = \"here\"", "`rpc.listen` is `here`: invalid socket address syntax"),
        ("[gateway]\nlisten = \"\"", "`gateway.listen` is ``: invalid socket address syntax"),
        ("[storage]\nspace = \"much\"", "`storage.space` is `much`: `much` is not a size such as 512, 64MiB or 50GiB"),
        ("[storage]\nspace = \"1KiB\"", "`storage.space` is `1KiB`: expected at least 1 MiB"),
        (
            "[node]\nname = \"a b\"",
            "`node.name` is `a b`: expected 1 to 64 letters, digits, dots, dashes or underscores",
        ),
        ("[node]\nroles = []", "`node.roles` is `[]`: a node needs at least one role"),
        ("[node]\nroles = [\"storage\", \"storage\"]", "`node.roles` is `storage`: the role is listed twice"),
        (
            "[node]\nroles = [\"miner\"]",
            "`node.roles` is `miner`: role `miner` is unknown, expected one of: consensus, storage, tee, gateway",
        ),
        ("[node]\nroles = [1]", "`node.roles` is a value of type integer, expected a list of texts"),
        (
            "[network]\nbootstrap = [\"/ip4/1.2.3.4/tcp/1\"]",
            "`network.bootstrap` is `/ip4/1.2.3.4/tcp/1`: the address must end in /p2p/<peer id>",
        ),
        ("[pool]\nmax_txs = 1", "`pool.max_txs` is `1`: expected 16 to 1000000"),
        ("[pool]\nmax_bytes = \"1MiB\"", "`pool.max_bytes` is `1MiB`: expected at least 2 MiB"),
        (
            "[pool]\nsender_max_txs = 100\nmax_txs = 50",
            "`pool.sender_max_txs` is `100`: it is above `pool.max_txs`, which is 50",
        ),
        (
            "[pool]\nsender_max_bytes = \"1GiB\"",
            "`pool.sender_max_bytes` is `1 GiB`: it is above `pool.max_bytes`, which is 128 MiB",
        ),
        ("[chain]\nblock_interval_ms = 60001", "`chain.block_interval_ms` is `60001`: expected 0 to 60000"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), format!("config file `c.toml`: {expected}"));
    }
    assert!(refused("[network]\nlisten = [\"tcp\"]").starts_with("config file `c.toml`: `network.listen` is `tcp`: "));
    let many = format!("[network]\nexternal = [{}]", "\"/ip4/1.2.3.4/tcp/1\",".repeat(65));
    assert!(refused(&many).ends_with("`network.external` is `65 entries`: at most 64 are allowed"));
}

#[test]
fn unreadable_files_are_named() {
    let missing = Config::load_from(Some(Path::new("/no/such.toml")), [], &Flags::default()).expect_err("refused");
    assert!(missing.to_string().starts_with("config file `/no/such.toml` cannot be read: "), "{missing}");
    let syntax = refused("[node]\nname = ");
    assert!(syntax.starts_with("config file `c.toml` is not valid TOML: ") && syntax.contains("line 2"), "{syntax}");
    let huge = refused(&"#".repeat(usize::try_from(CONFIG_FILE_MAX_BYTES).expect("fits") + 1));
    assert!(huge.ends_with("it is larger than 1048576 B"), "{huge}");
}

#[test]
fn a_node_without_the_chain_believes_or_verifies() {
    assert_eq!(load("", &[], &Flags::default()).expect("loads").chain.mode, ChainMode::Remote);
    let flags = Flags { light: true, ..Flags::default() };
    assert_eq!(load("", &[], &flags).expect("loads").chain.mode, ChainMode::Light);
    assert_eq!(load("[chain]\nmode = \"light\"", &[], &Flags::default()).expect("loads").chain.mode, ChainMode::Light);
    let full = refused("[chain]\nmode = \"full\"");
    assert!(full.contains("`chain.mode` is `full`") && full.contains("role consensus"), "{full}");
    assert!(refused("[chain]\nmode = \"lite\"").contains("expected remote or light"));
    for bad in ["7", "0:00", "x:00", "7:00"] {
        let why = refused(&format!("[chain]\ntrusted_block = \"{bad}\""));
        assert!(why.contains(&format!("`chain.trusted_block` is `{bad}`")), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_written_config_reads_back(
        name in "[a-z0-9._-]{1,20}", space in (1u64 << 20)..(1 << 50), batch in 1u32..10_000,
        interval in prop::option::of(1u64..60_000), rpc in any::<bool>(), genesis in "[a-z]{1,8}",
    ) {
        let dir = TempDir::new().expect("temporary folder");
        let mut config = Config::defaults();
        config.node.name = name;
        config.node.dir = dir.path().to_owned();
        config.node.roles = vec![Role::Gateway, Role::Consensus];
        config.network.bootstrap = vec![format!("/ip4/10.0.0.1/tcp/4001/p2p/{PEER}").parse().expect("valid")];
        config.storage.space = ByteCount(space);
        config.rpc.max_batch = batch;
        config.rpc.listen = rpc.then(|| "[::1]:99".parse().expect("valid"));
        config.chain.block_interval_ms = interval;
        config.chain.trusted_block = interval.map(|height| TrustedBlock { height, id: BlockId([7; 32]) });
        config.chain.mode = if rpc { ChainMode::Light } else { ChainMode::Remote };
        config.chain.genesis = config.node.dir.join(&genesis);
        config.tee.kind = if rpc { TeeKind::Marker } else { TeeKind::Full };
        config.gateway.group_key = rpc.then(|| config.node.dir.join(&genesis));
        config.gateway.group_members = vec![Address::repeat_byte(0xab)];
        config.tee.collateral = rpc.then(|| config.node.dir.join(genesis));
        (config.pool.max_txs, config.pool.max_bytes) = (2_000 + batch, ByteCount::mib(40));
        let file = dir.path().join(CONFIG_FILE);
        std::fs::write(&file, config.to_toml()).expect("writes");
        prop_assert_eq!(Config::load_from(Some(&file), [], &Flags::default())?, config);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(text in "[\\[\\]a-z=\"0-9.\n#]{0,60}") {
        let _ = load(&text, &[("CESS_NODE_ROLES", &text)], &Flags::default());
    }
}
